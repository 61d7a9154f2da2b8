"""How a dataset file names a credential, `secret://name`, and how the name becomes the value. A value itself is refused."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, SecretStr, StringConstraints, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from headrace.errors import Fatal

PREFIX: Final = "secret://"
NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,127}")


def name_of(value: str) -> str | None:
    """The name of the secret that a settings value refers to; None when it is no reference."""
    name = value.removeprefix(PREFIX)
    return name if name != value and NAME.fullmatch(name) else None


def names_in(settings: Any) -> frozenset[str]:
    """The names of all secrets that settings, as JSON has them, refer to."""
    match settings:
        case str():
            return frozenset(() if (name := name_of(settings)) is None else (name,))
        case Mapping():
            return frozenset().union(*map(names_in, settings.values()))
        case list():
            return frozenset().union(*map(names_in, settings))
    return frozenset()


def resolved(value: str, find: Callable[[str], SecretStr]) -> SecretStr:
    """The secret that a settings value refers to. `find` raises LookupError for a name nobody has set.

    Errors: Fatal when there is no such secret, or the value is no reference; whatever else `find` raises.
    """
    name = name_of(value)
    if name is None:
        raise Fatal(
            f"a credential (not shown here) is not written as {PREFIX}NAME: run `headrace secret set NAME`, "
            f"then write {PREFIX}NAME in its place"
        )
    try:
        return find(name)
    except LookupError:
        raise Fatal(f"there is no secret {name}: set it with `headrace secret set {name}`") from None


def _referring(value: Any) -> str:
    """The value when it refers to a secret. Errors: ValidationError without the value, which may be the secret itself."""
    if isinstance(value, str) and name_of(value) is not None:
        return value
    named = isinstance(value, str) and value.startswith(PREFIX)
    context = {
        "found": f"a name after {PREFIX} that no secret can have" if named else "a value that is not shown",
        "expected": f"{PREFIX}NAME, a lower case letter and then a-z 0-9 _ . -, of a secret that was set with "
        "`headrace secret set NAME`",
        "suggestion": "",
        "line": 0,
    }
    # The error of a rule, as `headrace.contract.issue` makes it; this module is below `contract`, which loads connectors.
    error = PydanticCustomError("rule", "found {found}, expected {expected}", context)
    raise ValidationError.from_exception_data("Credential", [InitErrorDetails(type=error, input=None)])


Credential = Annotated[str, StringConstraints(pattern=f"^{PREFIX}{NAME.pattern}$"), BeforeValidator(_referring)]
"""A setting that holds a credential: only `secret://name`. A union with another type than None would show the value again."""

"""Decides what is audited, what of a request is kept, and how an act ended."""

import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final

UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
REDACTED: Final = "(redacted)"

_MOST_CHARACTERS: Final = 20_000
_MOST_HEADER: Final = 300
_MOST_ITEMS: Final = 100
_DEEPEST: Final = 6
_SENSITIVE: Final = frozenset(
    {
        "code",
        "credential",
        "key",
        "nonce",
        "pass",
        "password",
        "secret",
        "signature",
        "state",
        "ticket",
        "token",
        "value",
    }
)
_UNKEPT: Final = re.compile("[\x00\ud800-\udfff]")  # a database keeps no such text


def is_audited(methods: Collection[str], *, marked: bool) -> bool:
    """Whether what a route does is audited: all that may change something, and reads that are marked."""
    return marked or not UNSAFE.isdisjoint(methods)


def kept_parameters(given: Mapping[str, str], declared: Collection[str]) -> dict[str, str]:
    """The parameters of a request as they may be kept: of those the route does not know, and of secrets, only the names."""
    return {name: value if name in declared and not _sensitive(name) else REDACTED for name, value in given.items()}


def _sensitive(name: str) -> bool:
    """`token` is, `token_id` names one."""
    words = name.lower().replace("-", "_").split("_")
    return words[-1] not in ("id", "name") and not _SENSITIVE.isdisjoint(words)


def kept_header(value: str) -> str:
    """A header's value as it may be stored."""
    return storable(value)[:_MOST_HEADER]


def storable(text: str) -> str:
    """Text that every database keeps as it is."""
    return _UNKEPT.sub("�", text)


def bounded(value: Any, depth: int = 0) -> Any:
    """A value of JSON, with what is too long or too deep cut off, and what was cut said."""
    if depth > _DEEPEST:
        return "(too deep)"
    match value:
        case str():
            left = len(value) - _MOST_CHARACTERS
            return value if left <= 0 else f"{value[:_MOST_CHARACTERS]}… ({left} more characters)"
        case dict():
            return {str(name): bounded(each, depth + 1) for name, each in value.items()}
        case list() | tuple():
            more = len(value) - _MOST_ITEMS
            shown = [bounded(each, depth + 1) for each in value[:_MOST_ITEMS]]
            return shown if more <= 0 else [*shown, f"({more} more)"]
        case _:
            return value


def outcome_of(status: int, *, whole: bool) -> str:
    """How an act ended, by the status of its answer. `whole`: the answer went out to its end."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    if status >= HTTPStatus.BAD_REQUEST:
        return "refused"
    return "done" if whole else "broken-off"


def formula_safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula. Source: OWASP, CSV injection."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

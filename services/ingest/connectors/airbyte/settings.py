"""What a dataset file says of a declarative connector of Airbyte. What runs it is loaded by whoever reads the source."""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ValidationError
from pydantic import Field as Setting

from headrace.contract.issue import Issue
from headrace.contract.source import SourceSettings
from headrace.secrets.reference import name_of

_SECRET: Final = ("password", "passwd", "secret", "token", "api_key", "apikey", "private_key", "credentials_json")
"""What is a credential by its name. The manifest says which others are."""


def _refused(found: str, expected: str) -> ValidationError:
    """An error that does not show the value, which may be a credential."""
    return ValidationError.from_exception_data("AirbyteSource", [Issue((), found, expected).as_error()])


def _config(value: Any) -> Any:
    for name, found in value.items() if isinstance(value, dict) else ():
        if str(name).startswith("__"):
            raise _refused(f"{name} in the config", "no code: a manifest and its config are data")
        if isinstance(found, str) and str(name).lower().endswith(_SECRET) and name_of(found) is None:
            raise _refused(f"a credential in {name} (not shown)", "secret://NAME, set with `headrace secret set NAME`")
        _config(found)
    for found in value if isinstance(value, list) else ():
        _config(found)
    return value


class AirbyteSource(SourceSettings):
    """A stream of a declarative connector of Airbyte, run inside ingest. Needs the extra `airbyte`."""

    type: Literal["airbyte"] = Setting(description="The connector.")
    manifest: str = Setting(
        min_length=1,
        description="The connector's manifest, a YAML file. A relative path starts at the data folder of ingest; an absolute "
        "one must lie in it, or in a folder of HEADRACE_SOURCE_ROOTS.",
    )
    stream: str = Setting(min_length=1, description="Which of its streams is read.")
    config: Annotated[dict[str, Any], BeforeValidator(_config)] = Setting(
        {}, description="What its `spec` asks for. Credentials, at any depth, as `secret://name`."
    )
    state: dict[str, Any] | None = Setting(
        None, description="The state of the stream to start from, such as that of an Airbyte connection before."
    )

    def why_no_backfill(self, mode: str) -> str:
        """See `SourceSettings.why_no_backfill`."""
        del mode
        return "a manifest says from where its stream is read, and takes no other stretch of time"

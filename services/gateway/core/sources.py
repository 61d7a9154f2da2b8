"""A dataset file of which only the source is written yet."""

from collections.abc import Mapping
from typing import Any, Final

_UNWRITTEN: Final[Mapping[str, Any]] = {
    "dataset": "new.source",
    "description": "A source that is looked at.",
    "owner": {"team": "nobody yet"},
}
_OF_THE_SOURCE: Final = ("dataset", "description", "owner", "source")


def completed(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a source is looked at by: its section, and what a dataset file must have besides."""
    return {**_UNWRITTEN, **{name: document[name] for name in _OF_THE_SOURCE if name in document}}

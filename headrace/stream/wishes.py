"""What people ask of a source that is live, as `_headrace.source-wishes` tells it: to rest, go on, be read now or be given up.

A pause stands until somebody takes it back, whatever is restarted meanwhile. See docs/sources/operating.md.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

Act = Literal["pause", "resume", "run", "release"]


@dataclass(frozen=True, slots=True)
class Wish:
    """A record of `_headrace.source-wishes`. Fields: `schemas/source_wish.avsc`."""

    dataset: str
    act: Act
    at: datetime
    by: str
    because: str = ""
    request: str = ""

    @property
    def key(self) -> bytes:
        """The key of the record: a pause, its end, and a pause for good are one matter."""
        return key_of(self.dataset, "run" if self.act == "run" else "pause").encode()

    @property
    def told(self) -> str:
        """What a pause is told as."""
        did = "released" if self.act == "release" else "paused"
        return f"{did} by {self.by} since {self.at.isoformat(timespec='seconds')} because: {self.because}"

    def record(self) -> dict[str, Any]:
        """As it is encoded."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Wish":
        """As it was decoded; what a later version may have added is left out."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__ if name in record})


def key_of(dataset: str, matter: Literal["pause", "run"]) -> str:
    """The key of a wish."""
    return f"{dataset}/{matter}"


def pause_of(wishes: Mapping[str, Wish], dataset: str) -> Wish | None:
    """The pause of a source that stands, by the latest wish of each key; None when it may be read. A release is one."""
    found = wishes.get(key_of(dataset, "pause"))
    return found if found is not None and found.act in ("pause", "release") else None


def run_of(wishes: Mapping[str, Wish], dataset: str) -> str:
    """The name of the last wish that a source be read now; nothing when there was none."""
    found = wishes.get(key_of(dataset, "run"))
    return found.request if found is not None else ""

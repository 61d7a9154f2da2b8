"""What people decide by hand about the rows of a dataset, as `_headrace.overrides` tells it: which are skipped, what becomes of
those that are held, and whether the dataset's file may change. See docs/overrides.md.

A decision is about raw offsets, so it means the same rows whatever is restarted meanwhile, and however often they are read.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

Act = Literal["skip", "pass", "quarantine", "pin", "unpin"]

#: The rule in the ledger of rows that were skipped.
SKIPPED: Final = "skipped"

_OF_ROWS: Final = ("skip", "pass", "quarantine")


@dataclass(frozen=True, slots=True)
class Override:
    """A record of `_headrace.overrides`. Fields: `schemas/override.avsc`; `to_offset` is the last of the rows."""

    dataset: str
    act: Act
    at: datetime
    by: str
    because: str
    partition: int = -1
    from_offset: int = 0
    to_offset: int = -1
    rule: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def key(self) -> str:
        """The key of the record: a pin and its end are one matter, each decision about rows is one of its own."""
        return f"{self.dataset}/{self.id if self.act in _OF_ROWS else 'pin'}"

    @property
    def told(self) -> str:
        """Who did it, when and why."""
        return f"{self.by} at {self.at.isoformat(timespec='seconds')} because: {self.because}"

    def covers(self, partition: int, offset: int) -> bool:
        """Whether it is about this raw record."""
        return partition == self.partition and self.from_offset <= offset <= self.to_offset

    def record(self) -> dict[str, Any]:
        """As it is encoded."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Override":
        """As it was decoded; what a later version may have added is left out."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__ if name in record})


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was decided about the rows of one dataset, in the order of the decisions."""

    items: tuple[Override, ...] = ()

    @classmethod
    def about(cls, dataset: str, overrides: Iterable[Override]) -> "Decisions":
        """Those among `overrides` that are about rows of this dataset."""
        return cls(tuple(each for each in overrides if each.dataset == dataset and each.act in _OF_ROWS))

    def skips(self) -> list[Override]:
        """The ranges that are skipped."""
        return [each for each in self.items if each.act == "skip"]

    def on(self, rule: str, partition: int, offset: int) -> Override | None:
        """What was decided last about a raw record that this rule holds; None when nothing was."""
        about = (each for each in reversed(self.items) if each.act != "skip" and each.rule == rule)
        return next((each for each in about if each.covers(partition, offset)), None)

"""What is told of one raw record, and of all it became."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headrace.errors import HeadraceError
from headrace.stream.runs import Run
from services.gateway.adapters.lake import Landed
from services.gateway.adapters.trail import RawRecord
from services.gateway.contributors import Contribution
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.passport import Fate, Place, Stamp, Step


class NoRecordError(HeadraceError):
    """There is no raw record at these coordinates. The message says why."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema a raw record names."""

    id: int
    fields: list[dict[str, Any]] | None  # None when the registry does not know it


@dataclass(frozen=True, slots=True)
class SetAside:
    """A quarantined row, and as which raw records it was read anew."""

    row: dict[str, Any]
    became: list[Place]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of a raw record. `record` is None when its topic no longer has it; `shown` are the `_seq` people see."""

    record: RawRecord | None
    landed: Landed
    steps: Sequence[Step]
    rows: list[dict[str, Any]]
    shown: set[int]
    quarantined: list[SetAside]

    @property
    def anything(self) -> bool:
        """Whether there is anything of it at all."""
        return bool(self.record or self.rows or self.quarantined) or self.landed.state == "landed"

    @property
    def fields(self) -> dict[str, Any] | None:
        """The decoded raw record: from its topic, or else from the lake."""
        return self.record.fields if self.record is not None else self.landed.own_fields


@dataclass(frozen=True, slots=True)
class Passport:
    """All that is known of one raw record and of what became of it.

    `version` is the dataset file that decided about it, None when it is not known. `matched` are the `_seq` that were asked
    for. `edits` are what its record was before, the last first.
    """

    dataset: DatasetVersion
    place: Place
    fate: Fate
    rule: str | None
    candidates: list[str]
    stamps: list[Stamp]
    matched: Sequence[int]
    seen: Seen
    schema: Schema | None
    edits: list[dict[str, Any]]
    version: DatasetVersion | None
    run: Run | None
    contributors: list[Contribution]

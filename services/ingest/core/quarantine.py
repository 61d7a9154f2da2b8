"""What is asked of quarantined rows, and what can become of each."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from headrace.contract import Contract
from headrace.json_patch import Patch, checked
from services.ingest.core.faults import Fault
from services.ingest.core.json_rows import parse_lines

RESUBMITTED, DISCARDED, REFUSED, TRIED = "resubmitted", "discarded", "refused", "tried"
#: What is asked that leaves a row open -> what was done then.
PASSED_ON: Final = {"assign": "assigned", "unassign": "unassigned"}
#: What is done once and for all.
FINAL: Final = frozenset({RESUBMITTED, DISCARDED})


@dataclass(frozen=True, slots=True)
class Edit:
    """How rows are changed before they are written anew: columns by SQL expressions, or a JSON Patch; or not at all.

    Once expressions have seen a row: columns that are `kept` are text in another one, those `renamed` are another one, and
    those it is to be `without` are gone.
    """

    sets: Mapping[str, str]
    patch: Patch = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    without: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str | None) -> "Edit":
        """As a request has it. Errors: ValueError."""
        found = json.loads(text) if text else {}
        return cls(dict(found.get("set") or {}), checked(found["patch"]) if found.get("patch") else ())


@dataclass(frozen=True, slots=True)
class Given:
    """What a source gave for a row: its bytes and, where these alone do not tell them, the texts by column as JSON."""

    value: bytes
    fields: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A record of `_headrace.quarantine-requests`. Fields: `schemas/quarantine_request.avsc`."""

    request: str
    dataset: str
    row: str
    act: str
    edit: str | None
    by: str
    because: str
    stage: str
    reason: str
    column: str | None
    topic: str | None
    partition: int
    raw_offset: int | None
    value: bytes
    fields: str | None
    quarantined_at: datetime
    version: int = 0
    asked_at: datetime | None = None
    to: str | None = None

    @property
    def given(self) -> Given:
        """What its source gave, if ingest set it aside."""
        return Given(self.value, self.fields)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Asked":
        """As it was decoded; what a later version may have added is left out. Errors: ValueError: it names no row."""
        found = {"version": 0, **{name: record[name] for name in cls.__dataclass_fields__ if name in record}}
        _number(found["row"])
        return cls(**{**found, "value": base64.b64decode(found["value"])})


@dataclass(frozen=True, slots=True)
class Age:
    """How old a row is among those of its key: as the raw record at `offset` of the partition it was set aside in.

    None where it never was a record; then it is as old as the records of `since`. `again` says that it was resubmitted
    before: `since` is then the time of that, and says nothing. `anywhere`: the offset counts in every partition.
    """

    since: datetime
    offset: int | None
    again: bool = False
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class Fate:
    """What was done about a row: resubmitted, discarded, tried, assigned, unassigned, or refused, then with the reason.

    `target` is the partition that a resubmitted row is written to.
    """

    asked: Asked
    act: str
    detail: str = ""
    target: int = -1


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Rows as the raw topic has them. Shapes: `index` has for each row its place among those asked; the others by place.

    `faults` are for those of the refused of which a column is known to be at fault.
    """

    rows: pa.RecordBatch
    index: Sequence[int]
    refused: Mapping[int, str]
    faults: Mapping[int, Fault] = field(default_factory=dict)


def may_be_deletion(asked: Asked, contract: Contract) -> str | None:
    """Why a row that ingest set aside may have been the deletion of one, which its bytes do not say; None if it was none."""
    source = contract.source
    if source.changes:
        return "it is a change of a captured database, and whether a deletion is not kept: mend the row there"
    if getattr(source, "tombstones", None) != "delete":
        return None
    objects, _ = parse_lines([asked.value])
    key: Sequence[str] = source.key.columns  # type: ignore[attr-defined]
    if 0 in objects and not objects[0].keys() <= set(key):
        return None
    return "it may be the key of a message that deletes its row: have the message written to its topic once more"


_SHIFT: Final = 48


class Done:
    """The rows of each dataset that were resubmitted or discarded: none is a second time."""

    def __init__(self) -> None:
        self._rows: dict[str, set[int]] = {}

    def add(self, dataset: str, row: str) -> None:
        """Note one."""
        self._rows.setdefault(dataset, set()).add(_number(row))

    def __contains__(self, place: tuple[str, str]) -> bool:
        return _number(place[1]) in self._rows.get(place[0], ())


def _number(row: str) -> int:
    partition, _, offset = row.partition("-")
    return int(partition) << _SHIFT | int(offset)

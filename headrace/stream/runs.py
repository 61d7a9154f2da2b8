"""Full loads and backfills: what `_headrace.runs` tells of a dataset's runs, and what follows from it.

A run is one reading of a whole source, or, of a dataset that is read on, of a stretch of time once more (a backfill).
Ingest is the only writer of a raw topic, so the rows of a full load are those of one contiguous range of raw offsets in
each partition. See docs/decisions/0011-a-run-is-a-range-of-raw-offsets.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

State = Literal["wanted", "begun", "ended", "shown", "refused", "recalled", "unwanted", "cancelled"]


class Range(NamedTuple):
    """Raw offsets of one partition, `end` excluded."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Run:
    """A record of `_headrace.runs`. Fields: `schemas/run.avsc`."""

    dataset: str
    run: int
    state: State
    at: datetime
    by: str = ""
    request: str = ""
    version: int = 0
    begun_at: datetime | None = None
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    rows: int = 0
    rejected: int = 0
    source_rows: int | None = None
    loaded: int = 0
    quarantined: int = 0
    filtered: int = 0
    message: str = ""
    since: datetime | None = None
    until: datetime | None = None
    position: str = ""
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def is_backfill(self) -> bool:
        """Whether it reads a stretch of time again, or asks for that."""
        return self.since is not None

    @property
    def key(self) -> bytes:
        """The key of the record."""
        return f"{self.dataset}/{self.run if self.state not in _ASKED else self.state}".encode()

    @property
    def ranges(self) -> tuple[Range, ...]:
        """Where the rows of an ended run are; partitions without any are left out."""
        places = zip(self.starts, self.ends, strict=True)
        return tuple(Range(number, start, end) for number, (start, end) in enumerate(places) if start < end)

    def record(self) -> dict[str, Any]:
        """As it is encoded."""
        inputs = {name: list(places) for name, places in self.inputs.items()}
        return {**asdict(self), "starts": list(self.starts), "ends": list(self.ends), "inputs": inputs}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Run":
        """As it was decoded; what a later version may have added is left out."""
        run = cls(**{name: record[name] for name in cls.__dataclass_fields__ if name in record})
        inputs = {name: tuple(places) for name, places in run.inputs.items()}
        return replace(run, starts=tuple(run.starts), ends=tuple(run.ends), inputs=inputs)


_ASKED = frozenset({"wanted", "recalled", "unwanted"})


@dataclass(frozen=True, slots=True)
class History:
    """The runs of one dataset, and what is asked; both in the order in which something was last heard of them."""

    told: tuple[Run, ...] = ()

    @classmethod
    def of(cls, dataset: str, records: Iterable[Run]) -> "History":
        """What records, in their order, tell of a dataset."""
        return cls(tuple(record for record in records if record.dataset == dataset))

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run, by number."""
        return tuple(sorted((run for run in self.told if run.state not in _ASKED), key=lambda run: run.run))

    @property
    def newest(self) -> Run | None:
        """The run that began last."""
        return self.runs[-1] if self.runs else None

    @property
    def shown(self) -> tuple[Run, ...]:
        """The runs that were shown, in the order in which they last were."""
        return tuple(run for run in self.told if run.state == "shown")

    @property
    def current(self) -> Run | None:
        """The run that shows."""
        return self.shown[-1] if self.shown else None

    @property
    def previous(self) -> Run | None:
        """The run that showed before, which is kept: the one to go back to."""
        return self.shown[-2] if len(self.shown) > 1 else None

    @property
    def wanted(self) -> Run | None:
        """The last wish for a run."""
        return next((record for record in self.told if record.state == "wanted"), None)

    @property
    def backfill(self) -> Run | None:
        """The backfill that is being read."""
        newest = self.newest
        return newest if newest is not None and newest.is_backfill and newest.state == "begun" else None

    @property
    def awaited(self) -> Run | None:
        """The wish for a backfill that no run answers yet."""
        wanted = self.wanted
        if wanted is None or not wanted.is_backfill or any(run.request == wanted.request for run in self.runs):
            return None
        return wanted

    def unwanted(self, request: str) -> bool:
        """Whether somebody wants the backfill that answers a wish to end."""
        return any(record.state == "unwanted" and record.request == request for record in self.told)

    def cancelled(self, run: Run) -> bool:
        """Whether somebody wants a run to end that is read."""
        return any(record.state == "unwanted" and record.run == run.run for record in self.told)

    @property
    def being_read(self) -> Run | None:
        """The run that is being read, or waits to be."""
        newest = self.newest
        return newest if newest is not None and newest.state == "begun" else None

    @property
    def recalled(self) -> Run | None:
        """The run to show again, if somebody asks for it. What was asked before the last change of the view is void."""
        later: Run | None = None
        for record in self.told:
            later = record if record.state == "recalled" else None if record.state == "shown" else later
        return self.previous if later and self.previous and later.run == self.previous.run else None

    @property
    def undecided(self) -> tuple[Run, ...]:
        """The runs that were read to their end, and wait to be shown or refused, in this order."""
        last = max((run.run for run in self.shown), default=0)
        return tuple(run for run in self.runs if run.state == "ended" and run.run > last)

    def forgettable(self, kept: int) -> tuple[Run, ...]:
        """The runs that nobody will ask for: all but the last so many, the one that shows and the one before."""
        return tuple(run for run in self.runs[:-kept] if run not in (self.current, self.previous))

    def abandoned(self, run: Run) -> bool:
        """Whether a run will never be read to its end: a later one began."""
        return run.state == "begun" and run is not self.newest


def histories(records: Iterable[Run]) -> dict[str, History]:
    """What records, in their order, tell of each dataset."""
    told: dict[str, list[Run]] = {}
    for record in records:
        told.setdefault(record.dataset, []).append(record)
    return {dataset: History(tuple(each)) for dataset, each in told.items()}


def backfilling(of: Mapping[str, History]) -> frozenset[str]:
    """The datasets with a backfill that is being read, or is to begin."""
    return frozenset(name for name, history in of.items() if history.backfill or history.awaited)

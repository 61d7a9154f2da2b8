"""Decides what applying a dataset file would change, and what stands against it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from headrace.contract import Change, Contract, cycle, dependencies, diff, needs_generation


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation of a dataset that is not live. Fields: those of `beside` in `schemas/dataset.avsc`."""

    generation: int
    version: int
    state: str  # candidate, kept or retired
    document: str
    applied_at: datetime
    applied_by: str
    tests_skipped: str
    at: datetime
    by: str
    because: str
    ingested_from: datetime | None = None  # it holds only rows that were ingested then or later,
    ingested_to: datetime | None = None  # ... and before

    @property
    def whole(self) -> bool:
        """Whether it holds the rows of all times."""
        return self.ingested_from is None and self.ingested_to is None


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """A version of a dataset file, as it is live, and the generations beside it. Fields: `schemas/dataset.avsc`."""

    name: str
    version: int
    generation: int
    state: str
    document: str
    applied_at: datetime
    applied_by: str
    tests_skipped: str = ""  # why; empty when they passed or there are none
    live_since: datetime | None = None  # None: live from the first
    live_by: str = ""
    live_because: str = ""
    beside: tuple[Generation, ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "DatasetVersion":
        """The version that a record tells of. An earlier version of Headrace may not have written all of its fields."""
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        return cls(**known | {"beside": tuple(Generation(**each) for each in known.get("beside", ()))})

    @property
    def highest_generation(self) -> int:
        """The highest number that a generation of it ever had."""
        return max(self.generation, *(each.generation for each in self.beside), 0)

    @property
    def highest_version(self) -> int:
        """The highest version that there ever was of it."""
        return max(self.version, *(each.version for each in self.beside), 0)

    def other(self, generation: int) -> Generation | None:
        """The generation with this number, if it is not the live one."""
        return next((each for each in self.beside if each.generation == generation), None)

    def made_by(self, other: Generation) -> "DatasetVersion":
        """The dataset as that generation has it: its number, version and file; nothing is beside it."""
        return replace(
            self,
            version=other.version,
            generation=other.generation,
            document=other.document,
            applied_at=other.applied_at,
            applied_by=other.applied_by,
            tests_skipped=other.tests_skipped,
            live_since=None,
            live_by="",
            live_because="",
            beside=(),
        )

    def of_generation(self, generation: int) -> "DatasetVersion | None":
        """The dataset as a generation has it, live or not: its contract, and by its number its table; None where none is."""
        if generation == self.generation:
            return self
        other = self.other(generation)
        return self.made_by(other) if other is not None and other.document else None

    @property
    def generations(self) -> tuple["DatasetVersion", ...]:
        """The dataset as each of its generations has it that is not retired, the live one first."""
        return (self, *(self.made_by(each) for each in self.beside if each.document))

    def contract(self) -> Contract:
        """The dataset file."""
        return Contract.from_json(self.document)


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """How far a source has been read. Fields: `schemas/source_position.avsc`, without what only its connector needs."""

    dataset: str
    rows_read: int
    caught_up: bool
    at: datetime
    version: int = 0  # of the dataset, that read it

    def ended(self, dataset: "DatasetVersion") -> bool:
        """Whether this version of a dataset has read its source to the end."""
        return self.caught_up and self.version == dataset.version


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a dataset file cannot be applied. `code` names the kind of problem."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A dataset file beside what is live."""

    contract: Contract
    current: DatasetVersion | None
    changes: tuple[Change, ...]
    refusals: tuple[Refusal, ...]

    @property
    def next_version(self) -> int:
        """The version the file would have: the live one when nothing changes."""
        if self.current is None:
            return 1
        return self.current.highest_version + 1 if self.changed else self.current.version

    @property
    def changed(self) -> bool:
        """Whether the file differs from what is live."""
        return bool(self.changes)

    @property
    def needs_generation(self) -> bool:
        """Whether a change is breaking."""
        return needs_generation(list(self.changes))

    def successor(self, at: datetime, by: str, tests_skipped: str = "") -> DatasetVersion:
        """The version that applying makes. `tests_skipped` says why its tests, if it has any, were not run."""
        skipped = tests_skipped if self.contract.tests else ""
        document = self.contract.canonical_json()
        if self.current is None:
            return DatasetVersion(self.contract.dataset, 1, 1, "active", document, at, by, skipped)
        return replace(
            self.current,
            version=self.next_version,
            document=document,
            applied_at=at,
            applied_by=by,
            tests_skipped=skipped,
        )


def refusals_of_reading(contract: Contract, live: Mapping[str, DatasetVersion]) -> Iterator[Refusal]:
    """Whether a dataset, made live like this, would read rows that it may not: of itself, or beside others that it has."""
    yield from _refusals_of_order(contract, live)
    yield from _refusals_of_origin(contract, live)


def _refusals_of_order(contract: Contract, live: Mapping[str, DatasetVersion]) -> Iterator[Refusal]:
    """Whether the dataset would wait for itself."""
    around = cycle(
        contract.dataset, {**{name: each.contract() for name, each in live.items()}, contract.dataset: contract}
    )
    if around:
        yield Refusal("cycle", f"models and what they read wait for each other: {' -> '.join(around)}")


def _refusals_of_origin(contract: Contract, live: Mapping[str, DatasetVersion]) -> Iterator[Refusal]:
    """Whether rows would be taken from a dataset that takes them back: those of a run that is given up, or replaced; and
    whether rows of another source could not replace those of an origin, which are as old as they are there."""
    current = live[contract.dataset].contract() if contract.dataset in live else None
    if (
        current is not None
        and current.source.passes_on
        and current.source.type != contract.source.type
        and contract.load.mode == "upsert"
    ):
        detail = (
            f"its rows are as old as they are in {', '.join(current.source.references)}, and newer ones of another source could "
            "not replace them: give the dataset another name"
        )
        yield Refusal("ages-of-origin", detail)
    if not contract.source.passes_on:
        return
    for name in contract.source.references:
        if name in live and live[name].contract().load.mode == "replace":
            detail = (
                f"{name} is loaded in runs (load.mode: replace), and rows of a run that is given up or replaced would stay here: "
                "read it by a model (source.type: model), or load it row by row"
            )
            yield Refusal("origin-in-runs", detail)


def propose(contract: Contract, live: Mapping[str, DatasetVersion]) -> Proposal:
    """What applying `contract` over what is live would do."""
    current = live.get(contract.dataset)
    changes = tuple(diff(current.contract() if current else None, contract))
    return Proposal(contract, current, changes, tuple(_refusals(contract, live, changes)))


def _refusals(contract: Contract, live: Mapping[str, DatasetVersion], changes: tuple[Change, ...]) -> Iterator[Refusal]:
    if unknown := sorted(dependencies(contract) - live.keys() - {contract.dataset}):
        yield Refusal("unknown-parents", f"apply first what it refers to: {', '.join(unknown)}")
    yield from refusals_of_reading(contract, live)
    current = live.get(contract.dataset)
    if breaking := [change for change in changes if change.breaking]:
        what = "; ".join(f"{change.path}: {change.why}" for change in breaking)
        hint = f"headrace replay {contract.dataset} -f FILE --because TEXT fills new tables by it beside the live ones"
        if current is not None and "replace" in (contract.load.mode, current.contract().load.mode):
            hint = "give the dataset another name: one with load.mode replace has no generations"
        yield Refusal("breaking-change", f"what is live would break. {what}. Instead: {hint}")

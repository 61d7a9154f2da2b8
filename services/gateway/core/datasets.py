"""Decides what applying a dataset file would change, and what stands against it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from headrace.contract import Change, Contract, dependencies, diff, needs_generation


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """A version of a dataset file, as it is live. Fields: `schemas/dataset.avsc`."""

    name: str
    version: int
    generation: int
    state: str
    document: str
    applied_at: datetime
    applied_by: str
    tests_skipped: str = ""  # why; empty when they passed or there are none

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
        live = self.current.version if self.current else 0
        return live + 1 if self.changed else live

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


def propose(contract: Contract, live: Mapping[str, DatasetVersion]) -> Proposal:
    """What applying `contract` over what is live would do."""
    current = live.get(contract.dataset)
    changes = tuple(diff(current.contract() if current else None, contract))
    return Proposal(contract, current, changes, tuple(_refusals(contract, live, changes)))


def _refusals(contract: Contract, live: Mapping[str, DatasetVersion], changes: tuple[Change, ...]) -> Iterator[Refusal]:
    if unknown := sorted(dependencies(contract) - live.keys() - {contract.dataset}):
        yield Refusal("unknown-parents", f"apply first what it refers to: {', '.join(unknown)}")
    if cycle := _cycle(contract, live):
        yield Refusal("circular", f"datasets may not wait for each other: {' -> '.join(cycle)}")
    if breaking := [change for change in changes if change.breaking]:
        what = "; ".join(f"{change.path}: {change.why}" for change in breaking)
        yield Refusal("breaking-change", f"what is live would break. {what}")


def _cycle(contract: Contract, live: Mapping[str, DatasetVersion]) -> list[str]:
    """A way from the dataset through those it leans on back to itself; empty when there is none."""
    waiting = [[contract.dataset, name] for name in sorted(dependencies(contract) - {contract.dataset})]
    seen: set[str] = set()
    while waiting:
        way = waiting.pop()
        if way[-1] == contract.dataset:
            return way
        if way[-1] in seen or way[-1] not in live:
            continue
        seen.add(way[-1])
        waiting += [[*way, name] for name in sorted(dependencies(live[way[-1]].contract()))]
    return []

"""Decides what a dataset's books and status are right now: sums from the database, evidence of rest from Kafka.

A difference may only be called a residue when nothing is left to read and nothing was written while that was being
measured. So the order is: look at the books, ask Kafka which transactions are open and who has something left to read,
wait until every ledger entry written by then is decided and in the books, look again. If the books did not change in
between, they belong to the evidence.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from headrace.contract import References
from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.ledger import LATENCY_BOUNDS_MS
from headrace.stream.wishes import Wish
from services.gateway.adapters.control_fold import ControlFold, Slot
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.adapters.incident_store import IncidentStore
from services.gateway.adapters.ledger_store import LedgerStore, Pace
from services.gateway.adapters.override_store import OverrideStore
from services.gateway.adapters.progress import Progress, Reading
from services.gateway.adapters.run_log import RunLog
from services.gateway.adapters.wish_store import WishStore
from services.gateway.core.conservation import STAGES, DatasetBooks, StageBooks, balance
from services.gateway.core.datasets import DatasetVersion, SourcePosition
from services.gateway.core.folding import Sums
from services.gateway.core.incidents import SOURCE_DOWN, Incident, standing
from services.gateway.core.latency import quantile
from services.gateway.core.overrides import HeldRow, each_once, held_row, undecided
from services.gateway.core.runs import refused, unfinished
from services.gateway.core.source_state import SourceState, source_state

_FOLD_S: Final = 2.0
_LEDGER: Final = Slot(topics.LEDGER, 0)  # the topic has one partition, so the books are in the order of commits

SumsOf = Mapping[tuple[str, int], Sums]


@dataclass(frozen=True, slots=True)
class Account:
    """The books of a dataset. `waiting_for` says why it is not settled; empty when it is.

    `problems` are those of the reasons that will not go away by themselves: a service has stopped working on it, or its last
    full load was refused.
    """

    dataset: DatasetVersion
    books: DatasetBooks
    last_commit_at: Mapping[str, datetime]
    problems: tuple[str, ...]
    waiting_for: tuple[str, ...]
    source: SourceState

    @property
    def settled(self) -> bool:
        return not self.waiting_for


@dataclass(frozen=True, slots=True)
class StageStatus:
    """What one stage of a dataset is doing."""

    stage: str
    rows_in: int
    rows_out: int
    lag_rows: int | None
    rate_rows_s: float
    p50_ms: float | None
    p95_ms: float | None
    last_commit_at: datetime | None


class Accounts:
    """The books and the status of datasets."""

    def __init__(
        self,
        datasets: DatasetStore,
        ledger: LedgerStore,
        incidents: IncidentStore,
        progress: Progress,
        fold: ControlFold,
        runs: RunLog,
        wishes: WishStore,
        overrides: OverrideStore,
        shown: Callable[[DatasetVersion], int | None],
    ) -> None:
        self._datasets = datasets
        self._ledger = ledger
        self._incidents = incidents
        self._progress = progress
        self._fold = fold
        self._runs = runs
        self._wishes = wishes
        self._overrides = overrides
        self._shown = shown

    def of(self, datasets: Iterable[DatasetVersion]) -> list[Account]:
        """The account of each dataset."""
        datasets = list(datasets)
        before = {dataset.name: self._sums(dataset) for dataset in datasets}
        pauses = self._wishes.pauses()
        waiting = self._waiting(datasets, pauses)
        incidents, positions = self._incidents.open(), self._datasets.positions()
        accounts = []
        for dataset in datasets:
            sums = self._sums(dataset)
            last_commit_at = _last_commits(sums)
            stopped = self._standing(incidents, dataset, last_commit_at)
            in_runs, of_runs = self._of_runs(dataset)
            pause, commit = pauses.get(dataset.name), last_commit_at.get(STAGES[0])
            source = source_state(dataset, pause, stopped, positions.get(dataset.name), commit)
            down = [incident.message for incident in stopped if incident.type == SOURCE_DOWN and pause is None]
            problems = (*(incident.message for incident in stopped if incident.type != SOURCE_DOWN), *of_runs)
            reasons = [*problems, *down, *waiting[dataset.name], *in_runs, *self._of_view(dataset)]
            if not reasons and sums != before[dataset.name]:
                reasons = ["the books changed while they were being read"]
            # Rows that wait for their parents are no doubt about the others: what is left over then is a residue.
            books = balance(sums, settled=not reasons)
            reasons += parked_reasons(dataset, books.total.parked)
            accounts.append(Account(dataset, books, last_commit_at, problems, tuple(reasons), source))
        return accounts

    def held(self, datasets: Iterable[DatasetVersion]) -> list[HeldRow]:
        """The rows that these datasets are stopped in front of, for somebody to decide about."""
        incidents = self._incidents.open()
        stopped = (
            incident
            for dataset in datasets
            for incident in self._standing(incidents, dataset, _last_commits(self._sums(dataset)))
        )
        return each_once(row for row in map(held_row, stopped) if row is not None)

    def _standing(
        self, incidents: Mapping[str, list[Incident]], dataset: DatasetVersion, last_commit_at: Mapping[str, datetime]
    ) -> tuple[Incident, ...]:
        found = standing(incidents.get(dataset.name, ()), dataset, last_commit_at)
        return undecided(found, self._overrides.of(dataset.name)) if found else ()

    def status(self, account: Account, now: datetime) -> list[StageStatus]:
        """What each stage is doing."""
        dataset = account.dataset
        paces = self._ledger.pace(dataset.name, dataset.generation, now)
        found = []
        previous: StageBooks | None = None
        for stage in account.books.stages:
            pace = paces.get(stage.stage, Pace(0.0, ()))
            found.append(
                StageStatus(
                    stage.stage,
                    stage.rows_in,
                    stage.rows_out,
                    None if previous is None else previous.rows_out - stage.rows_in,
                    round(pace.rate_rows_s, 1),
                    quantile(pace.latency, LATENCY_BOUNDS_MS, 0.5),
                    quantile(pace.latency, LATENCY_BOUNDS_MS, 0.95),
                    account.last_commit_at.get(stage.stage),
                )
            )
            previous = stage
        return found

    def _of_runs(self, dataset: DatasetVersion) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What is still to come of a dataset that is loaded in runs, and what stands against it."""
        if dataset.contract().load.mode != "replace":
            return (), ()
        try:
            history = self._runs.history(dataset.name)
        except Transient as error:
            return (str(error),), ()
        return tuple(unfinished(history)), tuple(refused(history))

    def _of_view(self, dataset: DatasetVersion) -> Iterator[str]:
        """What is still to come of a generation that was promoted, or gone back to."""
        shown = self._shown(dataset) if dataset.live_since is not None else None
        if shown is not None and shown != dataset.generation:
            yield f"generation {dataset.generation} is live, and readers see generation {shown} until the loader shows it"

    def _sums(self, dataset: DatasetVersion) -> SumsOf:
        return self._ledger.sums(dataset.name, dataset.generation)

    def _waiting(self, datasets: list[DatasetVersion], pauses: Mapping[str, Wish]) -> dict[str, list[str]]:
        """Why each dataset is not settled."""
        if self._fold.fault is not None:
            return {dataset.name: [self._fold.fault] for dataset in datasets}
        readings = {dataset.name: read_by_stages(dataset) for dataset in datasets}
        try:
            every = [reading for each in readings.values() for reading in each]
            undecided = self._progress.undecided({Slot(at.topic, at.partition) for at in every})
            unread = self._progress.unread(every)
            books = self._books_reasons()
        except Transient as error:
            return {dataset.name: [str(error)] for dataset in datasets}
        positions = self._datasets.positions()
        return {
            dataset.name: [
                *_source_reasons(dataset, positions.get(dataset.name), pauses.get(dataset.name)),
                *_reading_reasons(readings[dataset.name], undecided, unread),
                *books,
            ]
            for dataset in datasets
        }

    def _books_reasons(self) -> list[str]:
        """Why the books may lack an entry. Errors: Transient."""
        if self._fold.wait_for(self._progress.ends([_LEDGER]), _FOLD_S):
            return []
        undecided = self._progress.undecided([_LEDGER])
        return [_open(slot) for slot in undecided] or ["the ledger is still being folded"]


def _source_reasons(dataset: DatasetVersion, position: SourcePosition | None, pause: Wish | None) -> list[str]:
    """A source that is pushed to is always read to its end: what was not accepted is still the sender's."""
    if dataset.contract().source.type == "http_push" or (position is not None and position.ended(dataset)):
        return []
    why = f": it is {pause.told}" if pause is not None else ""
    return [f"the source has not been read to its end{why}"]


def _reading_reasons(readings: Mapping[Reading, str], undecided: set[Slot], unread: set[Reading]) -> Iterator[str]:
    for at, stage in readings.items():
        slot = Slot(at.topic, at.partition)
        if slot in undecided:
            yield _open(slot)
        if at in unread:
            yield f"{stage} has not read {at.topic}, partition {at.partition}, to its end"


def parked_reasons(dataset: DatasetVersion, parked: Mapping[str, int]) -> Iterator[str]:
    """What rows wait for, as a person reads it."""
    checks = {check.name: check for check in dataset.contract().checks}
    for rule, rows in parked.items():
        check = checks.get(rule)
        parent = f"{check.dataset} ({rule})" if isinstance(check, References) else f"{rule}, which is no check any more"
        yield f"{rows:,} {'row waits' if rows == 1 else 'rows wait'} for {parent}"


def _open(slot: Slot) -> str:
    return f"a transaction is still open on {slot.topic}, partition {slot.partition}"


def read_by_stages(dataset: DatasetVersion) -> dict[Reading, str]:
    """Who reads what, each with its stage.

    The requests of quarantined rows are not among it: until one is answered its row is in quarantine, as the books say, and
    the topic is that of all datasets.
    """
    inputs = topics.of_dataset(dataset.name, dataset.generation)
    readers = (*STAGES[1:], "quarantine_loader")
    return {
        Reading(topics.group(stage, dataset.name, dataset.generation), topic, partition): stage
        for stage, topic in zip(readers, inputs, strict=True)
        for partition in range(dataset.contract().partitions)
    }


def _last_commits(sums: SumsOf) -> dict[str, datetime]:
    latest: dict[str, datetime] = {}
    for (stage, _), each in sums.items():
        if each.last_commit_at is not None:
            latest[stage] = max(each.last_commit_at, latest.get(stage, each.last_commit_at))
    return latest

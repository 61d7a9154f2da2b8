"""Decides how far the generations of a dataset have got beside the live one, and which of them its view shows.

All read the same staged records in the same order, so counts tell: a generation has caught up when its transformer has read as
many of each partition as that of the live one had, and what came of them has reached the warehouse.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.generation_table import shown_generation
from services.gateway.adapters.control_fold import ControlFold, Slot
from services.gateway.adapters.incident_store import IncidentStore
from services.gateway.adapters.lake import Lake
from services.gateway.adapters.ledger_store import LedgerStore
from services.gateway.adapters.progress import Progress
from services.gateway.adapters.published_rows import table_of
from services.gateway.adapters.warehouse import QueryError, Warehouse
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.generations import LIVE, RETIRED
from services.gateway.core.incidents import standing
from services.gateway.core.reach import Goal, Reach, first_goal, next_goal, reach, reached

_FOLD_S: Final = 5.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class GenerationStatus:
    """A generation, and how far it has got. `shown` says that readers of the view see it; `problem` what has stopped it."""

    generation: int
    state: str
    version: int
    shown: bool
    since: datetime
    by: str
    because: str
    applied_at: datetime
    applied_by: str
    reach: Reach | None
    caught_up: bool
    problem: str
    ingested_from: datetime | None = None
    ingested_to: datetime | None = None


class Generations:
    """What there is to know of the generations of datasets."""

    def __init__(
        self,
        ledger: LedgerStore,
        incidents: IncidentStore,
        progress: Progress,
        fold: ControlFold,
        warehouse: Warehouse,
        lake: Lake,
    ) -> None:
        self._ledger = ledger
        self._incidents = incidents
        self._progress = progress
        self._fold = fold
        self._warehouse = warehouse
        self._lake = lake

    def of(self, dataset: DatasetVersion) -> list[GenerationStatus]:
        """Every generation there is or was, the newest first."""
        shown = self.shown(dataset)
        since = (dataset.live_since or dataset.applied_at, dataset.live_by or dataset.applied_by, dataset.live_because)
        told = {(dataset.generation, LIVE): since}
        told |= {(each.generation, each.state): (each.at, each.by, each.because) for each in dataset.beside}
        return [
            self._status(dataset, generation, state, act, shown)
            for (generation, state), act in sorted(told.items(), reverse=True)
        ]

    def shown(self, dataset: DatasetVersion) -> int | None:
        """The generation that the view shows; None when there is no view, or it cannot be known."""
        domain, _, name = dataset.name.partition(".")
        asked = "SELECT as_select FROM system.tables WHERE database = {domain:String} AND name = {name:String}"
        try:
            rows = self._warehouse.query(asked, 1, {"domain": domain, "name": name}).records()
        except (QueryError, Transient):
            return None
        return shown_generation(rows[0]["as_select"]) if rows else None

    def has_table(self, dataset: DatasetVersion, generation: int) -> bool:
        """Whether there is a table to show. Errors: Transient."""
        try:
            self._warehouse.query(f"SELECT 1 FROM {table_of(dataset.name, generation)} LIMIT 0", 1)  # noqa: S608
        except QueryError as error:
            if error.no_table:
                return False
            raise
        return True

    def deleted(self, dataset: DatasetVersion) -> int:
        """How many staged records a generation that begins now would miss: those that the lake does not have either.

        What is not landed yet is waited for by the transformer. Errors: Transient.
        """
        staged = topics.staged(dataset.name)
        slots = [Slot(staged, number) for number in range(dataset.contract().partitions)]
        cut = {slot.partition: start for slot, start in self._progress.starts(slots).items() if start}
        landed = self._lake.reached(dataset.name) if cut else {}
        return sum(start for number, start in cut.items() if not landed.get(number))

    def catches_up(self, dataset: DatasetVersion, generation: int, patience_s: float) -> bool:
        """Wait until a generation has what the live one has now. Returns whether it has. Errors: Transient."""
        if self._fold.fault is not None:
            raise Transient(self._fold.fault)
        if not self._fold.wait_for(self._progress.ends([_LEDGER]), _FOLD_S):
            return False
        deadline = time.monotonic() + patience_s
        goal: Goal | None = first_goal(self._ledger.sums(dataset.name, dataset.generation))
        while goal is not None:
            mine = self._ledger.sums(dataset.name, generation)
            if reached(goal, mine):
                goal = next_goal(goal, mine)
            elif time.monotonic() > deadline:
                return False
            else:
                time.sleep(_POLL_S)
        return True

    def _status(
        self, dataset: DatasetVersion, generation: int, state: str, act: tuple[datetime, str, str], shown: int | None
    ) -> GenerationStatus:
        other = dataset.other(generation)
        version = dataset if other is None else dataset.made_by(other)
        got = None
        if state != RETIRED:
            live = self._ledger.sums(dataset.name, dataset.generation)
            got = reach(live, self._ledger.sums(dataset.name, generation))
        return GenerationStatus(
            generation,
            state,
            version.version,
            shown == generation,
            *act,
            version.applied_at,
            version.applied_by,
            got,
            got is not None and got.behind == 0,
            "; ".join(self._problems(version)) if state not in (RETIRED, LIVE) else "",
            None if other is None else other.ingested_from,
            None if other is None else other.ingested_to,
        )

    def _problems(self, generation: DatasetVersion) -> Iterable[str]:
        incidents = self._incidents.open().get(f"{generation.name}/g{generation.generation}", ())
        return [incident.message for incident in standing(incidents, generation, {})]


_LEDGER: Final = Slot(topics.LEDGER, 0)

"""Shows the full loads of a dataset: a run that is whole, all of it at once, and nothing of any other.

What shows is decided in `_headrace.runs`, and the view follows. Whoever takes this work over finds both out again, so it may
break off anywhere.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from confluent_kafka import IsolationLevel

from headrace.contract import compile_transform
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed, Replay, TransactionalWriter
from headrace.stream.kafka.chain import Chain, hops
from headrace.stream.notices import Notices
from headrace.stream.registry import Registry
from headrace.stream.runs import History, Run
from headrace.stream.service import LiveDataset
from services.loader.adapters.comparison import Comparison
from services.loader.adapters.seat import Seat
from services.loader.adapters.warehouse import FullLoads
from services.loader.core import runs
from services.loader.core.runs import Found, Verdict
from services.loader.core.table import create_view, published, quarantined

log = logging.getLogger(__name__)

STAGE: Final = "run_keeper"
INCIDENT: Final = "run_refused"
_OPEN_S: Final = 60.0
_LOOK_S: Final = 1.0
_KEPT_RUNS: Final = 100  # in the topic, which who asks for runs reads from its beginning


@dataclass(frozen=True, slots=True)
class _Decision:
    """What is said of a run, and why."""

    run: Run
    verdict: Verdict


class RunKeeper:
    """See `headrace.stream.service.Worker`."""

    def __init__(
        self,
        dataset: LiveDataset,
        connection: Connection,
        registry: Registry,
        warehouse: FullLoads,
        notices: Notices,
        *,
        session_timeout_ms: int,
        transaction_timeout_ms: int,
        compare: bool = True,
    ) -> None:
        self.name = f"{STAGE} {dataset.name}"
        self._dataset = dataset
        self._connection = connection
        self._controls = Controls(registry)
        self._warehouse = warehouse
        self._notices = notices
        self._session_timeout_ms = session_timeout_ms
        self._group = topics.group(STAGE, dataset.name, dataset.generation)
        self._writer = TransactionalWriter(
            connection, f"headrace.{STAGE}.{dataset.name}", transaction_timeout_ms=transaction_timeout_ms
        )
        self._table = published(dataset.contract, dataset.generation, promotion=dataset.promotion)
        self._quarantine = quarantined(dataset.contract)
        self._may_drop = compile_transform(dataset.contract).attribution_sql is not None
        self._comparison = Comparison(dataset, connection, registry, self._table) if compare else None
        self._chain = Chain(connection, hops(dataset.name, dataset.generation))
        self._made: tuple[str, str | None] | None = None  # the statement that made the view, and what it selected then
        self._looked_s = 0.0
        self._tidied: int | None = None

    def run(self, stopping: threading.Event) -> None:
        """See `Worker.run`."""
        with closing(self._warehouse), closing(self._writer), closing(self._chain):
            seat = Seat(self._connection, topics.RUNS, self._group, self._session_timeout_ms)
            with closing(seat):
                while not stopping.is_set():
                    if seat.taken():
                        self._keep(seat, stopping)

    def _keep(self, seat: Seat, stopping: threading.Event) -> None:
        self._writer.init()  # first shut out who did this last: only then is what it has committed all there is
        self._settle()
        self._made = self._tidied = None
        followed = Followed(self._connection, topics.RUNS, lambda value: Run.of(self._controls.decode(value)))
        with closing(followed):
            while seat.taken() and not stopping.is_set():
                followed.refresh()
                history = History.of(self._dataset.name, followed.state.values())
                decided = self._decision(history, lambda: seat.taken() and not stopping.is_set())
                if decided is None:
                    self._follow(history)
                else:
                    self._tell(decided.run, history)
                    self._announce(decided)

    def _decision(self, history: History, going_on: Callable[[], bool]) -> _Decision | None:
        """The next thing to say of a run, if there is one. `going_on` says whether it is still this keeper's to say."""
        if (recalled := history.recalled) is not None:
            return _Decision(replace(recalled, state="shown", at=datetime.now(UTC)), Verdict())
        for run in history.undecided:
            if not self._chain.passed(dict(enumerate(run.ends))):
                return None
            found = self._warehouse.found(self._table, self._quarantine, self._dataset.generation, run.ranges)
            may_be_empty = self._dataset.contract.load.may_be_empty
            judged = runs.verdict(run, found, may_drop=self._may_drop, may_be_empty=may_be_empty)
            if found.rows and not judged.why and self._comparison is not None:
                differing = self._comparison.differs(self._warehouse, run.ranges, going_on)
                judged = runs.compared(differing)
            return self._judged(run, found, judged)
        return None

    def _judged(self, run: Run, found: Found, judged: Verdict) -> _Decision:
        counted = replace(
            run,
            state="refused" if judged.why else "shown",
            at=datetime.now(UTC),
            loaded=found.rows,
            quarantined=found.quarantined,
            filtered=max(run.rows - found.accounted, 0),
            message=judged.why,
        )
        return _Decision(counted, judged)

    def _announce(self, decided: _Decision) -> None:
        name, run, judged = self._dataset.name, decided.run, decided.verdict
        figures = {"loaded": run.loaded, "quarantined": run.quarantined, "filtered": run.filtered, "error": judged.why}
        took_s = (run.at - run.begun_at).total_seconds() if run.begun_at is not None else None
        data = {"run": run.run, "rows": run.rows, **figures, "took_s": took_s}
        if not judged.why:
            message = f"run {run.run} shows: {run.loaded} rows"
            log.info("%s", message, extra={"dataset": name})
            self._notices.event("run_shown", name, message, data)
            self._notices.resolved(INCIDENT, name, f"run {run.run} of {name} shows")
            return
        message = f"run {run.run} of {name} does not show: {judged.why}"
        log.warning("%s", message, extra={"dataset": name})
        self._notices.event("run_ended", name, message, data)
        if not judged.overtaken:
            self._notices.incident(INCIDENT, name, message, {"run": run.run})

    def _tell(self, run: Run, history: History) -> None:
        """Say it, forget what nobody will ask for, and wait until that can be read."""
        forgotten = [each.key for each in history.forgettable(_KEPT_RUNS)]
        with self._writer.transaction() as transaction:
            transaction.produce(
                topics.RUNS,
                [self._controls.encode("run", run.record()), *[None] * len(forgotten)],
                keys=[run.key, *forgotten],
            )
        self._settle()
        self._looked_s = 0.0

    def _settle(self) -> None:
        """Wait until everything said of runs so far is decided. Errors: Transient."""
        everything = Replay(self._connection, topics.RUNS, end=IsolationLevel.READ_UNCOMMITTED, timeout_s=_OPEN_S)
        with closing(everything):
            for _ in everything.advance():
                pass

    def _follow(self, history: History) -> None:
        """Have the view show what was decided, with the columns the table has now, and drop what nobody can go back to."""
        now_s = time.monotonic()
        if now_s < self._looked_s + _LOOK_S:
            return
        self._looked_s = now_s
        held = self._warehouse.held(self._table)
        if held is None:
            return
        current = history.current
        only = runs.shown(current)
        statement = create_view(self._table, held, only)
        if self._made is None or self._made != (statement, self._warehouse.shows(self._table)):
            self._warehouse.show(self._table, held, only)
            self._made = statement, self._warehouse.shows(self._table)
        if current is not None and self._tidied != current.run:
            self._warehouse.discard(self._table, runs.outdated(current, history.previous))
            self._tidied = current.run

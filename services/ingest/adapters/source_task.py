"""Reads a source for as long as this instance owns it, and publishes what it reads beside the position."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from confluent_kafka.admin import AdminClient

from headrace.connector import Connector, Counting, Dependent, ReadingFailed, SourceChanged
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import TransactionalWriter
from headrace.stream.kafka.connection import Connection
from headrace.stream.kafka.replay import partition_count
from headrace.stream.notices import Notices
from headrace.stream.outputs import Messages
from headrace.stream.registry import Registry
from headrace.stream.runs import Run, State
from headrace.stream.service import LiveDataset
from services.ingest.adapters.backfill import Backfills
from services.ingest.adapters.committed import committed
from services.ingest.adapters.known_wishes import KnownWishes
from services.ingest.adapters.outage import Outage, SourceDown, of_source
from services.ingest.adapters.ownership import Ownership
from services.ingest.adapters.publisher import Encoded, Publisher
from services.ingest.adapters.run_log import RunLog
from services.ingest.adapters.run_story import RunStory
from services.ingest.core.partition import partition_of
from services.ingest.core.reached import Reached
from services.ingest.core.upstreams import Inputs

log = logging.getLogger(__name__)

FAILED: Final = "run_failed"
_LOOK_S: Final = 0.2
_SAY_EVERY_S: Final = 5.0


class SourceTask:
    """See `headrace.stream.service.Worker`. `connect` opens the source with the schema its topic has by then.

    `inputs` tells what there is now of the datasets that a model reads. `in_use` is held while a source is
    read that keeps something outside of Headrace: it is not taken away meanwhile.
    """

    def __init__(
        self,
        dataset: LiveDataset,
        connection: Connection,
        registry: Registry,
        ownership: Ownership,
        connect: Callable[[], Connector],
        *,
        instance: str,
        poll_interval_s: float,
        transaction_timeout_ms: int,
        notices: Notices,
        wishes: KnownWishes,
        in_use: "threading.Lock | None" = None,
        inputs: Callable[[], Inputs] = dict,
    ) -> None:
        self.name = f"ingest {dataset.name}"
        self._in_use = in_use or threading.Lock()
        self._dataset = dataset
        self._connection = connection
        self._registry = registry
        self._controls = Controls(registry)
        self._ownership = ownership
        self._connect = connect
        self._instance = instance
        self._poll_interval_s = poll_interval_s
        self._transaction_timeout_ms = transaction_timeout_ms
        self._notices = notices
        self._outage = Outage(dataset.name, notices)
        self._story = RunStory(dataset.name, notices)
        self._wishes = wishes
        self._inputs = inputs
        self._paused = False

    def run(self, stopping: threading.Event) -> None:
        """See `Worker.run`."""
        while not stopping.is_set():
            if not self._may_read():
                stopping.wait(_LOOK_S)
                continue
            if not self._in_use.acquire(timeout=_LOOK_S):
                continue
            try:
                self._own(stopping)
            except SourceDown as error:
                down = error
            else:
                continue
            finally:
                self._in_use.release()
            self._rest(stopping, self._outage.failed(down))

    def _may_read(self) -> bool:
        """Whether the source is this instance's to read, and nobody has paused it."""
        pause = self._wishes.pause(self._dataset.name)
        if (pause is not None) != self._paused:
            self._paused = pause is not None
            log.info(pause.told if pause is not None else "resumed", extra={"dataset": self._dataset.name})
        return pause is None and self._ownership.owns(self._dataset.name)

    def _rest(self, stopping: threading.Event, wait_s: float) -> None:
        """Wait, unless there is something to do before: somebody wants the source to be read now, or to rest."""
        request, deadline = self._wishes.run(self._dataset.name), time.monotonic() + wait_s
        while (left := deadline - time.monotonic()) > 0 and self._mine(stopping):
            if self._wishes.run(self._dataset.name) != request:
                return
            stopping.wait(min(left, _LOOK_S))

    def _own(self, stopping: threading.Event) -> None:
        """Read for as long as this instance is the owner. Any failure ends it: what stands is then read anew."""
        name = self._dataset.name
        writer = TransactionalWriter(
            self._connection, f"headrace-ingest-{name}", transaction_timeout_ms=self._transaction_timeout_ms
        )
        try:
            writer.init()  # first shut out the last owner: only then is what it has committed all there is
            publisher = Publisher(self._dataset, self._registry, writer, self._instance, self._notices)
            if self._dataset.contract.load.mode == "replace":
                self._run_by_run(publisher, stopping)
            else:
                self._follow(publisher, stopping)
        finally:
            writer.close()

    def _follow(self, publisher: Publisher, stopping: threading.Event) -> None:
        """Read a source on for ever, all the time or when its schedule says so."""
        found, there_since = self._last_position(), datetime.now(UTC)
        connector = self._connect()
        with closing(self._backfills(connector, publisher, stopping)) as backfills:
            self._read_for_ever(connector, publisher, found, there_since, backfills, stopping)

    def _read_for_ever(
        self,
        connector: Connector,
        publisher: Publisher,
        found: Reached,
        there_since: datetime,
        backfills: Backfills,
        stopping: threading.Event,
    ) -> None:
        log.info("reads on after %d rows", found.rows_read, extra={"dataset": self._dataset.name})
        now: Reached | None = found
        while now is not None and self._mine(stopping):
            wished = self._wishes.run(self._dataset.name)
            reached = now.at(datetime.now(UTC), self._dataset.contract.source.schedule, there_since, wished)
            if reached is not None:
                if reached is not now:
                    log.info("it is time to read the source", extra={"dataset": self._dataset.name})
                    if not self._written(publisher, [], reached, stopping):  # a failure must not make it forgotten
                        return
                try:
                    now = self._read_on(connector, publisher, reached, stopping)
                except ReadingFailed as error:
                    raise SourceDown(str(error)) from error
            more = self._mine(stopping) and self._wishes.backfill(self._dataset.name) and backfills.read_on()
            if not more:
                self._rest(stopping, self._poll_interval_s)

    def _backfills(self, connector: Connector, publisher: Publisher, stopping: threading.Event) -> Backfills:
        def runs() -> RunLog:
            return RunLog(self._dataset, self._connection, self._controls)

        def write(parts: Sequence[Encoded], extras: Sequence[Messages]) -> bool:
            return self._mine(stopping) and self._write(publisher, stopping, parts, extras)

        return Backfills(self._dataset, runs, connector, publisher.encoded, write, self._story)

    def _run_by_run(self, publisher: Publisher, stopping: threading.Event) -> None:
        """Read a whole source, and once more from its beginning whenever that is due."""
        name = self._dataset.name
        with closing(RunLog(self._dataset, self._connection, self._controls)) as runs:
            now: Reached | None = self._last_position(runs)
            connector: Connector | None = None
            while now is not None and self._mine(stopping):
                reached = now
                if runs.due(reached.run, self._inputs):
                    connector, now = None, self._begun(runs, publisher, reached.run, stopping)
                elif self._cancelled(reached):
                    connector, now = None, self._ended_early(runs, publisher, reached, stopping, "cancelled")
                elif reached.caught_up:
                    stopping.wait(self._poll_interval_s)
                    runs.refresh()
                else:
                    if connector is None:
                        connector = self._connect()
                        log.info("reads on after %d rows", reached.rows_read, extra={"dataset": name})
                    try:
                        now = self._read_on(connector, publisher, reached, stopping, runs)
                    except SourceChanged as error:
                        log.warning("begins anew: %s", error, extra={"dataset": name})
                        connector, now = None, self._begun(runs, publisher, reached.run, stopping)
                    except ReadingFailed as error:
                        now = self._given_up(runs, publisher, reached, connector, str(error), stopping)
                        connector = None
                    except SourceDown as error:
                        if not self._outage.exhausts(self._dataset.contract.source.attempts):
                            raise
                        now = self._given_up(runs, publisher, reached, connector, str(error), stopping)
                        connector = None
                    if now is not None and not now.caught_up:
                        stopping.wait(self._poll_interval_s)

    def _begun(
        self, runs: RunLog, publisher: Publisher, after: Run | None, stopping: threading.Event
    ) -> Reached | None:
        """Begin a run. Returns where it starts, or None when it is time to stop."""
        run = runs.begun(after, self._inputs())
        reached = Reached(run=run)
        if not self._written(publisher, [], reached, stopping, runs.messages(run)):
            return None
        log.info("run %d begins", run.run, extra={"dataset": self._dataset.name})
        self._story.begun(run)
        return reached

    def _given_up(
        self,
        runs: RunLog,
        publisher: Publisher,
        reached: Reached,
        connector: Connector,
        why: str,
        stopping: threading.Event,
    ) -> Reached | None:
        """End a run that cannot be read: what showed before shows on, and the next begins when it is due."""
        ended = self._ended_early(runs, publisher, reached, stopping, "refused", why, _inputs(connector))
        if ended is not None and ended.run is not None:
            message = f"run {ended.run.run} of {self._dataset.name} is given up: {why}"
            log.warning("%s", message, extra={"dataset": self._dataset.name})
            self._notices.incident(FAILED, self._dataset.name, message, {"run": ended.run.run})
        return ended

    def _ended_early(
        self,
        runs: RunLog,
        publisher: Publisher,
        reached: Reached,
        stopping: threading.Event,
        state: State,
        why: str = "",
        inputs: Inputs | None = None,
    ) -> Reached | None:
        """End a run that was not read to its end: its rows never show. Returns None when it is time to stop."""
        assert reached.run is not None
        inputs = self._inputs() if inputs is None else inputs
        run = replace(runs.ended(reached.run, None), state=state, message=why, inputs=inputs)
        ended = replace(reached, caught_up=True, run=run)
        if not self._written(publisher, [], ended, stopping, runs.messages(run)):
            return None
        self._story.ended(run)
        return ended

    def _cancelled(self, reached: Reached) -> bool:
        run, caught_up = reached.run, reached.caught_up
        return run is not None and not caught_up and self._wishes.history(self._dataset.name).cancelled(run)

    def _waits(
        self, runs: RunLog, publisher: Publisher, reached: Reached, awaited: str, stopping: threading.Event
    ) -> Reached | None:
        """Say what a run waits for, once."""
        if reached.run is None or reached.run.message == awaited:
            return reached
        run = replace(reached.run, at=datetime.now(UTC), message=awaited)
        log.info("run %d %s", run.run, awaited, extra={"dataset": self._dataset.name})
        self._story.waits(run)
        waiting = replace(reached, run=run)
        return waiting if self._written(publisher, [], waiting, stopping, runs.messages(run)) else None

    def _read_on(
        self,
        connector: Connector,
        publisher: Publisher,
        reached: Reached,
        stopping: threading.Event,
        runs: RunLog | None = None,
    ) -> Reached | None:
        """Publish what the source has now. Returns how far that is, or None when it is time to stop."""
        said = time.monotonic()
        for fetched, position in of_source(connector.read(reached.position)):
            self._outage.over()
            encoded = publisher.encoded(fetched)
            reached = reached.further(position, fetched.rows_read, len(encoded.values))
            if not self._written(publisher, [encoded], reached, stopping) or not self._mine(stopping):
                return None
            if reached.run is not None:
                self._story.step(reached.run, sum(map(len, encoded.values)))
            if self._cancelled(reached):
                return reached
            if time.monotonic() > said + _SAY_EVERY_S:
                said = time.monotonic()
                log.info("%d rows read", reached.rows_read, extra={"dataset": self._dataset.name})
        self._outage.over()
        if runs is not None and isinstance(connector, Dependent) and connector.waiting:
            return self._waits(runs, publisher, reached, connector.awaited, stopping)
        if not reached.caught_up and not connector.waiting:
            reached = replace(reached, caught_up=True)
            ended = []
            if runs is not None and reached.run is not None:
                counted = connector.count() if isinstance(connector, Counting) else None
                run = replace(runs.ended(reached.run, counted), message="", inputs=_inputs(connector))
                reached, ended = replace(reached, run=run), [runs.messages(run)]
                self._notices.resolved(FAILED, self._dataset.name, f"run {run.run} of {self._dataset.name} is read")
            if not self._written(publisher, [], reached, stopping, *ended):
                return None
            if reached.run is not None:
                self._story.read(reached.run)
            log.info("caught up: %d rows read", reached.rows_read, extra={"dataset": self._dataset.name})
        return reached if self._mine(stopping) else None

    def _mine(self, stopping: threading.Event) -> bool:
        return not stopping.is_set() and self._may_read()

    def _written(
        self,
        publisher: Publisher,
        parts: Sequence[Encoded],
        reached: Reached,
        stopping: threading.Event,
        *extras: Messages,
    ) -> bool:
        """Write records, how far they go and `extras` as one. Returns whether this instance still was to do so."""
        return self._write(publisher, stopping, parts, [self._record(reached), *extras])

    def _write(
        self, publisher: Publisher, stopping: threading.Event, parts: Sequence[Encoded], extras: Sequence[Messages]
    ) -> bool:
        with self._ownership.working(self._dataset.name) as mine:
            if mine and not stopping.is_set():
                publisher.write(parts, extras)
                return True
        return False

    def _record(self, reached: Reached) -> Messages:
        record = {
            "dataset": self._dataset.name,
            "connector": self._dataset.contract.source.type,
            "position": reached.position or "",
            "rows_read": reached.rows_read,
            "caught_up": reached.caught_up,
            "version": self._dataset.version,
            "run": reached.run.run if reached.run else 0,
            "run_rows": reached.run.rows if reached.run else 0,
            "begun_at": reached.begun_at,
            "request": reached.request,
            "at": datetime.now(UTC),
        }
        value = self._controls.encode("source_position", record)
        return Messages(topics.SOURCE_POSITIONS, [value], [self._dataset.name.encode()])

    def _last_position(self, runs: RunLog | None = None) -> Reached:
        """How far the source was read by whoever owned it last. What another version called the end may not be this one's."""
        key = self._dataset.name.encode()
        count = partition_count(AdminClient(self._connection.client()), topics.SOURCE_POSITIONS)
        replay = committed(self._connection, topics.SOURCE_POSITIONS)
        replay.seek({partition_of(key, count): 0})
        try:
            value = None
            for records in replay.advance():
                for found, latest in zip(records.keys, records.values, strict=True):
                    value = latest if found == key else value
        finally:
            replay.close()
        if value is None:
            return Reached()
        record = self._controls.decode(value)
        if record["connector"] != self._dataset.contract.source.type:  # nobody else can tell what its position means
            return Reached(rows_read=record["rows_read"])
        caught_up = record["caught_up"] and record.get("version", 0) == self._dataset.version
        rows_read = record["rows_read"]
        run = runs.resumed(record.get("run", 0), record.get("run_rows", 0), rows_read) if runs is not None else None
        begun_at, request = record.get("begun_at"), record.get("request", "")
        return Reached(record["position"] or None, rows_read, caught_up, run, begun_at, request)


def _inputs(connector: Connector) -> Inputs:
    """What there was of the datasets that a connector reads, if it reads any."""
    return connector.inputs if isinstance(connector, Dependent) else {}

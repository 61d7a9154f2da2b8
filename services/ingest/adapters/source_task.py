"""Reads a source for as long as this instance owns it, and publishes what it reads beside the position."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from confluent_kafka.admin import AdminClient

from headrace.connector import Connector
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import TransactionalWriter
from headrace.stream.kafka.connection import Connection
from headrace.stream.kafka.replay import partition_count
from headrace.stream.outputs import Messages
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from services.ingest.adapters.committed import committed
from services.ingest.adapters.ownership import Ownership
from services.ingest.adapters.publisher import Encoded, Publisher
from services.ingest.core.partition import partition_of

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.2
_SAY_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a source has been read: what a record of `_headrace.source-positions` says."""

    position: str | None = None
    rows_read: int = 0
    caught_up: bool = False


class SourceTask:
    """See `headrace.stream.service.Worker`. `connect` opens the source with the schema its topic has by then."""

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
    ) -> None:
        self.name = f"ingest {dataset.name}"
        self._dataset = dataset
        self._connection = connection
        self._registry = registry
        self._controls = Controls(registry)
        self._ownership = ownership
        self._connect = connect
        self._instance = instance
        self._poll_interval_s = poll_interval_s
        self._transaction_timeout_ms = transaction_timeout_ms

    def run(self, stopping: threading.Event) -> None:
        """See `Worker.run`."""
        while not stopping.is_set():
            if self._ownership.owns(self._dataset.name):
                self._own(stopping)
            else:
                stopping.wait(_LOOK_S)

    def _own(self, stopping: threading.Event) -> None:
        """Read for as long as this instance is the owner. Any failure ends it: what stands is then read anew."""
        name = self._dataset.name
        writer = TransactionalWriter(
            self._connection, f"headrace-ingest-{name}", transaction_timeout_ms=self._transaction_timeout_ms
        )
        try:
            writer.init()  # first shut out the last owner: only then is what it has committed all there is
            reached = self._last_position()
            publisher = Publisher(self._dataset, self._registry, writer, self._instance)
            connector = self._connect()
            log.info("reads on after %d rows", reached.rows_read, extra={"dataset": name})
            while (now := self._read_on(connector, publisher, reached, stopping)) is not None:
                reached = now
                stopping.wait(self._poll_interval_s)
        finally:
            writer.close()

    def _read_on(
        self, connector: Connector, publisher: Publisher, reached: Reached, stopping: threading.Event
    ) -> Reached | None:
        """Publish what the source has now. Returns how far that is, or None when it is time to stop."""
        said = time.monotonic()
        for fetched, position in connector.read(reached.position):
            reached = Reached(position, reached.rows_read + fetched.rows_read, False)
            if not self._written(publisher, [publisher.encoded(fetched)], reached, stopping):
                return None
            if time.monotonic() > said + _SAY_EVERY_S:
                said = time.monotonic()
                log.info("%d rows read", reached.rows_read, extra={"dataset": self._dataset.name})
        if not reached.caught_up and not connector.waiting:
            reached = replace(reached, caught_up=True)
            if not self._written(publisher, [], reached, stopping):
                return None
            log.info("caught up: %d rows read", reached.rows_read, extra={"dataset": self._dataset.name})
        return None if stopping.is_set() or not self._ownership.owns(self._dataset.name) else reached

    def _written(
        self, publisher: Publisher, parts: Sequence[Encoded], reached: Reached, stopping: threading.Event
    ) -> bool:
        """Write records and how far they go as one. Returns whether this instance still was to do so."""
        with self._ownership.working(self._dataset.name) as mine:
            if mine and not stopping.is_set():
                publisher.write(parts, [self._record(reached)])
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
            "at": datetime.now(UTC),
        }
        value = self._controls.encode("source_position", record)
        return Messages(topics.SOURCE_POSITIONS, [value], [self._dataset.name.encode()])

    def _last_position(self) -> Reached:
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
        caught_up = record["caught_up"] and record.get("version", 0) == self._dataset.version
        return Reached(record["position"] or None, record["rows_read"], caught_up)

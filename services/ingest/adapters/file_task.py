"""Reads a file source for as long as this instance owns it, and publishes what it reads beside the position."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import TransactionalWriter
from headrace.stream.kafka.connection import Connection
from headrace.stream.outputs import Messages
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from services.ingest.adapters.committed import CommittedReader, partition_count
from services.ingest.adapters.ownership import Ownership
from services.ingest.adapters.publisher import Publisher
from services.ingest.core.connector import Connector
from services.ingest.core.partition import partition_of

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.2


class FileTask:
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
        name = self._dataset.name
        writer = TransactionalWriter(
            self._connection, f"headrace-ingest-{name}", transaction_timeout_ms=self._transaction_timeout_ms
        )
        try:
            writer.init()  # first shut out the last owner: only then is what it has committed all there is
            position, rows_read, caught_up = self._last_position()
            publisher = Publisher(self._dataset, self._registry, writer, self._instance)
            connector = self._connect()
            log.info("reads on after %d rows", rows_read, extra={"dataset": name})
            while not stopping.is_set():
                for fetched, reached in connector.read(position):
                    with self._ownership.working(name) as mine:
                        if not mine or stopping.is_set():
                            return
                        rows_read += fetched.rows_read
                        publisher.write([publisher.encoded(fetched)], [self._record(reached, rows_read, False)])
                    position, caught_up = reached, False
                    log.debug("%d rows read", rows_read, extra={"dataset": name})
                if not caught_up:
                    with self._ownership.working(name) as mine:
                        if not mine or stopping.is_set():
                            return
                        with writer.transaction() as transaction:
                            record = self._record(position or "", rows_read, True)
                            transaction.produce(record.topic, record.values, keys=record.keys)
                    caught_up = True
                    log.info("caught up: %d rows read", rows_read, extra={"dataset": name})
                if not self._ownership.owns(name):
                    return
                stopping.wait(self._poll_interval_s)
        finally:
            writer.close()

    def _record(self, position: str, rows_read: int, caught_up: bool) -> Messages:
        record = {
            "dataset": self._dataset.name,
            "connector": self._dataset.contract.source.type,
            "position": position,
            "rows_read": rows_read,
            "caught_up": caught_up,
            "at": datetime.now(UTC),
        }
        value = self._controls.encode("source_position", record)
        return Messages(topics.SOURCE_POSITIONS, [value], [self._dataset.name.encode()])

    def _last_position(self) -> tuple[str | None, int, bool]:
        """(position, rows read, caught up) as last committed."""
        key = self._dataset.name.encode()
        partition = partition_of(key, partition_count(self._connection, topics.SOURCE_POSITIONS))
        reader = CommittedReader(self._connection, topics.SOURCE_POSITIONS, partition)
        try:
            value = None
            for found, latest in reader.read_on():
                value = latest if found == key else value
        finally:
            reader.close()
        if value is None:
            return None, 0, False
        record = self._controls.decode(value)
        return record["position"] or None, record["rows_read"], record["caught_up"]

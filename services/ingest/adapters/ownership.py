"""Which source tasks are this instance's: those whose position is in a partition the consumer group gave it.

The group only assigns; it fetches nothing. Being the owner is not what keeps a source from being published twice (the
transactional id is): it keeps two instances from trying.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.stream import topics
from headrace.stream.kafka.connection import Connection
from headrace.stream.kafka.replay import partition_count
from services.ingest.core.partition import partition_of

log = logging.getLogger(__name__)

GROUP: Final = "headrace.ingest"
_HANDOVER_S: Final = 5.0


class Ownership:
    """Follows the assignment in a thread of its own."""

    def __init__(self, connection: Connection, session_timeout_ms: int) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._owned: frozenset[int] = frozenset()
        self._busy: dict[int, int] = {}
        self._partitions = 0
        self._stopping = threading.Event()
        self._session_timeout_ms = session_timeout_ms
        self._thread = threading.Thread(target=self._follow, name="ownership", daemon=True)

    def start(self) -> None:
        """Join the group."""
        self._thread.start()

    def close(self) -> None:
        """Leave the group, so that others can take over at once."""
        self._stopping.set()
        self._thread.join(_HANDOVER_S + 5)

    def owns(self, dataset: str) -> bool:
        """Whether the dataset's source task is this instance's now."""
        return bool(self._partitions) and partition_of(dataset.encode(), self._partitions) in self._owned

    @contextmanager
    def working(self, dataset: str) -> Iterator[bool]:
        """A stretch of work that a hand-over waits for; yields whether it may start."""
        with self._changed:
            mine = self.owns(dataset)
            partition = partition_of(dataset.encode(), self._partitions) if mine else -1
            self._busy[partition] = self._busy.get(partition, 0) + 1
        try:
            yield mine
        finally:
            with self._changed:
                self._busy[partition] -= 1
                self._changed.notify_all()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._poll()
            except Exception as error:
                log.warning("joining the group %s again: %s", GROUP, error)
                self._stopping.wait(1.0)

    def _poll(self) -> None:
        consumer = Consumer(
            self._connection.client(
                group_id=GROUP,
                enable_auto_commit=False,
                auto_offset_reset="latest",
                partition_assignment_strategy="cooperative-sticky",
                session_timeout_ms=self._session_timeout_ms,
                heartbeat_interval_ms=max(100, self._session_timeout_ms // 5),
            )
        )
        try:
            self._partitions = partition_count(consumer, topics.SOURCE_POSITIONS)
            consumer.subscribe(
                [topics.SOURCE_POSITIONS], on_assign=self._gained, on_revoke=self._lost, on_lost=self._lost
            )
            while not self._stopping.is_set():
                consumer.poll(0.2)
        finally:
            self._release(self._owned)
            consumer.close()

    def _gained(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)
        self._owned |= {each.partition for each in partitions}
        log.info("owns %d of %d source partitions", len(self._owned), self._partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._release(frozenset(each.partition for each in partitions))
        try:
            consumer.incremental_unassign(partitions)
        except KafkaException as error:
            log.info("the assignment was already gone: %s", error)

    def _release(self, partitions: frozenset[int]) -> None:
        """Give partitions up once their work is at rest; work that takes too long is fenced by the next owner."""
        with self._changed:
            self._owned -= partitions
            self._changed.wait_for(lambda: not any(self._busy.get(each) for each in partitions), _HANDOVER_S)

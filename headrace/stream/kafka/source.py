"""Reads a topic as one member of a consumer group, and knows for every batch on whose authority it was read."""

import itertools
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Literal

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from headrace.errors import HeadraceError
from headrace.stream.kafka.connection import Connection, mapped
from headrace.stream.kafka.messages import records_of
from headrace.stream.pump import Delivery

log = logging.getLogger(__name__)

_epochs = itertools.count(1)

_REPLY_S = 20.0  # longer than a transaction may stay open: committed offsets wait for one
_SILENCES = 3  # after this many the client is given up
_LINGER_S = 0.01  # how long a poll waits for more once the first record is there
_BACKLOG_LINGER_S = 0.05  # ... when the poll before it came back full: larger batches cost less a row


class KafkaSource:
    """A `Source` over one topic.

    `positions` gives the offsets to start from where they are kept elsewhere than in the group. `lost` is what happens where
    the topic no longer has the next record: Fatal, or it goes on with the oldest there is, which is right only where
    a record that expired unread asks for nothing any more.

    Its authority is the group metadata of the assignment that the records came under. Read any later, it could
    be that of another generation, or, for a member the group has given up, empty: the broker would then accept
    offsets from anyone. A revoke is noticed inside `poll`, and answered only once the commit under way has ended: a
    batch is committed by the member that read it, or refused. Records that a poll brought together with a change of
    assignment are dropped and read again.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        group: str,
        *,
        positions: Callable[[list[int]], Mapping[int, int]] | None = None,
        max_bytes: int = 24 << 20,
        session_timeout_ms: int = 10_000,
        lost: Literal["error", "earliest"] = "error",
    ) -> None:
        self._topic = topic
        self._positions = positions if positions is not None else self._committed
        self._max_bytes = max_bytes
        self._bytes_per_row = 1024.0
        self._full = False
        self._changed = False
        self._membership: object = None
        self._unplaced: list[TopicPartition] | None = None  # assigned, but where to start could not be asked
        self._epoch = next(_epochs)
        self._finish: Callable[[], None] = lambda: None
        self._first: Callable[[list[int]], Mapping[int, int]] = lambda _: {}
        self._next: dict[int, int] = {}  # of the partitions that are held, what comes next, where it is known
        self._resting: bool | None = None  # not known of what was assigned anew
        self._silences = 0  # in a row, of questions where to start
        self._config = connection.client(
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset=lost,
            isolation_level="read_committed",
            partition_assignment_strategy="range",
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=session_timeout_ms // 4,
            max_poll_interval_ms=300_000,
            fetch_queue_backoff_ms=2,
            fetch_wait_max_ms=500,  # the broker answers as soon as something is committed
            fetch_max_bytes=max_bytes,
            queued_min_messages=100_000,
            queued_max_messages_kbytes=max(max_bytes >> 10, 1024),
            fetch_message_max_bytes=1 << 20,
            topic_metadata_refresh_interval_ms=10_000,
        )
        self._consumer = self._joined()

    @property
    def epoch(self) -> int:
        """See `headrace.stream.pump.Source.epoch`."""
        return self._epoch

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        """See `headrace.stream.pump.Source.poll`."""
        limit = max(1, min(max_rows, int(self._max_bytes / self._bytes_per_row)))
        try:
            messages = self._consumer.consume(1, timeout_s)
            if messages and limit > 1:
                messages += self._consumer.consume(limit - 1, _BACKLOG_LINGER_S if self._full else _LINGER_S)
        except KafkaException as error:
            raise mapped(error, f"reading {self._topic}") from error
        if self._changed:
            self._changed = False
            if messages or self._unplaced is not None:
                self.rewind()
            return None
        if not messages:
            self._full = False
            return None
        for failure in map(Message.error, messages):
            if failure is not None:
                raise mapped(failure, f"reading {self._topic}")
        self._full = 2 * len(messages) > limit
        return self._delivery(messages)

    def rewind(self) -> None:
        """See `headrace.stream.pump.Source.rewind`."""
        self._epoch = next(_epochs)
        held = self._consumer.assignment() if self._unplaced is None else self._unplaced
        try:
            # Assigned anew rather than sought: a partition whose start was not known yet cannot be sought.
            self._consumer.assign(self._starts(held))
        except KafkaException as error:
            self._silences += 1
            if self._silences < _SILENCES:
                raise mapped(error, f"rewinding {self._topic}") from error
            self._rejoin()
        self._silences, self._unplaced = 0, None

    def standing(self) -> Delivery:
        """A delivery that brings nothing: with it, who holds the partitions commits where they stand."""
        return Delivery(records_of(self._topic, []), dict(self._next), self._membership, self._epoch)

    def rest(self, resting: bool) -> None:
        """Bring nothing until told otherwise; what a poll does besides goes on."""
        if resting == self._resting:
            return
        try:
            held = self._consumer.assignment()
            (self._consumer.pause if resting else self._consumer.resume)(held)
        except KafkaException as error:
            raise mapped(error, f"pausing {self._topic}") from error
        self._resting = resting

    def before_handover(self, finish: Callable[[], None]) -> None:
        """See `headrace.stream.pump.Source.before_handover`."""
        self._finish = finish

    def begin_at(self, first: Callable[[list[int]], Mapping[int, int]]) -> None:
        """Have `first` say where those of the partitions begin of which nothing was committed; else it is at their beginning.

        It is asked under each new epoch, of no partition, too, and while no commit is under way. Errors: Transient, Fatal.
        """
        self._first = first

    def committed(self, topic: str, partitions: list[int]) -> Mapping[int, int]:
        """What the group has committed of these partitions of a topic, which may be another than it reads.

        Errors: Transient, Fatal; those of the client.
        """
        asked = [TopicPartition(topic, number) for number in partitions]
        answered = self._consumer.committed(asked, timeout=_REPLY_S) if asked else []
        for position in answered:
            if position.error is not None:
                raise mapped(position.error, f"asking for the committed offset of {topic}[{position.partition}]")
        return {position.partition: position.offset for position in answered if position.offset >= 0}

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _joined(self) -> Consumer:
        consumer = Consumer(self._config)
        consumer.subscribe([self._topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke)
        return consumer

    def _rejoin(self) -> None:
        """Give the client up and join the group with a new one: librdkafka may never find its coordinator again."""
        log.warning(
            "the client that reads %s is given up: it was not told where to start %d times", self._topic, _SILENCES
        )
        silent, self._consumer = self._consumer, self._joined()
        self._changed = False
        threading.Thread(target=silent.close, name=f"leaving {self._topic}", daemon=True).start()  # it may wait long

    def _delivery(self, messages: list[Message]) -> Delivery:
        records = records_of(self._topic, messages)
        size_bytes = sum(map(len, filter(None, records.values)))
        self._bytes_per_row = max(1.0, 0.5 * self._bytes_per_row + 0.5 * size_bytes / len(messages))
        last = dict(zip(records.partition.to_numpy().tolist(), records.offset.to_numpy().tolist(), strict=True))
        ends = {number: offset + 1 for number, offset in last.items()}
        self._next |= ends
        return Delivery(records, ends, self._membership, self._epoch, self._full)

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:  # given up
            return
        self._changed = True
        self._epoch = next(_epochs)
        self._membership = consumer.consumer_group_metadata()
        self._unplaced = None
        if not consumer.memberid():  # given up meanwhile; the broker would take offsets with such metadata from anyone
            consumer.assign([])  # it joins again, and is called again
            return
        try:
            consumer.assign(self._starts(partitions))
        except (HeadraceError, KafkaException) as error:
            log.warning("the start of %s is not known yet: %s", self._topic, error)
            self._unplaced = partitions  # `rewind` asks again
            consumer.assign([])

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        del partitions  # the range strategy is eager: everything is given back
        if consumer is not self._consumer:  # given up, and with it what it had read
            return
        self._finish()
        self._changed = True
        self._epoch = next(_epochs)
        self._unplaced = None
        self._next = {}
        consumer.unassign()

    def _starts(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Where to read on. A partition never read before starts at its beginning; a lost position is never guessed."""
        self._next, self._resting = {}, None
        if not partitions:
            return []
        known = self._positions([partition.partition for partition in partitions])
        self._next = dict(known)
        return [
            TopicPartition(self._topic, partition.partition, known.get(partition.partition, OFFSET_BEGINNING))
            for partition in partitions
        ]

    def _committed(self, partitions: list[int]) -> Mapping[int, int]:
        known = self.committed(self._topic, partitions)
        return {**known, **self._first([number for number in partitions if number not in known])}

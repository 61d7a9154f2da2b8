"""Measures whether a stage has read its topic to the end.

Offsets cannot tell: transaction markers and aborted records take some, too. Where the committed offset is short
of the end, the gap is read, and one committed record in it settles the matter.

The end a reader can reach is not the end of what was committed either: behind the first open transaction of a partition
nothing can be read until it is decided, and that of a process that was killed stays open until it times out.
"""

import threading
import time
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from headrace.errors import Transient
from headrace.stream.kafka import Connection
from headrace.stream.kafka.connection import mapped
from services.gateway.adapters.control_fold import Slot

_REPLY_S = 5.0


class Reading(NamedTuple):
    """A consumer group on one partition of its input topic."""

    group: str
    topic: str
    partition: int


class _Gap(NamedTuple):
    slot: Slot
    committed: int
    end: int


class Progress:
    """Asks Kafka how far its readers are."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = threading.Lock()
        self._admin: AdminClient | None = None
        self._empty: dict[Slot, _Gap] = {}  # the last gap of each partition that was found to hold no record

    def ends(self, slots: Iterable[Slot]) -> dict[Slot, int]:
        """The end of each partition, with what is not decided yet. Errors: Transient."""
        return self._ends(slots, IsolationLevel.READ_UNCOMMITTED)

    def starts(self, slots: Iterable[Slot]) -> dict[Slot, int]:
        """The first offset that each partition still has. Errors: Transient."""
        return self._offsets(slots, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)  # type: ignore[no-untyped-call]

    def undecided(self, slots: Collection[Slot]) -> set[Slot]:
        """The partitions with a transaction open: what others committed behind it cannot be read. Errors: Transient."""
        ends = self.ends(slots)  # first: what is written from here on does not matter
        readable = self._ends(slots, IsolationLevel.READ_COMMITTED)
        return {slot for slot, end in ends.items() if readable[slot] < end}

    def _ends(self, slots: Iterable[Slot], isolation: IsolationLevel) -> dict[Slot, int]:
        return self._offsets(slots, OffsetSpec.latest(), isolation)  # type: ignore[no-untyped-call]

    def _offsets(self, slots: Iterable[Slot], which: Any, isolation: IsolationLevel) -> dict[Slot, int]:
        wanted = {TopicPartition(*slot): which for slot in slots}
        if not wanted:
            return {}
        try:
            asked = self._client().list_offsets(wanted, isolation_level=isolation, request_timeout=_REPLY_S)
            return {Slot(at.topic, at.partition): future.result(_REPLY_S).offset for at, future in asked.items()}
        except (KafkaException, TimeoutError) as error:
            raise self._unanswered(error, "asking for the ends of topics") from error

    def unread(self, readings: Collection[Reading]) -> set[Reading]:
        """The readings with records left that they can read. Errors: Transient."""
        slots = {Slot(reading.topic, reading.partition) for reading in readings}
        ends = self._ends(slots, IsolationLevel.READ_COMMITTED)
        committed = self.committed(readings)
        gaps: dict[Reading, _Gap] = {}
        for reading in readings:
            slot = Slot(reading.topic, reading.partition)
            if committed[reading] < ends[slot]:
                gaps[reading] = _Gap(slot, committed[reading], ends[slot])
        with self._turn:
            filled = self._with_records({gap for gap in gaps.values() if self._empty.get(gap.slot) != gap})
        return {reading for reading, gap in gaps.items() if gap in filled}

    def committed(self, readings: Collection[Reading]) -> dict[Reading, int]:
        """The committed offset of each reading; 0 where nothing was committed yet. Errors: Transient."""
        groups: dict[str, list[TopicPartition]] = {}
        for reading in readings:
            groups.setdefault(reading.group, []).append(TopicPartition(reading.topic, reading.partition))
        try:
            asked = [
                self._client().list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, positions)])
                for group, positions in groups.items()
            ]
            answers = [future.result(_REPLY_S) for each in asked for future in each.values()]
        except (KafkaException, TimeoutError) as error:
            raise self._unanswered(error, "asking for committed offsets") from error
        return {
            Reading(answer.group_id, at.topic, at.partition): max(at.offset, 0)
            for answer in answers
            for at in answer.topic_partitions
        }

    def _with_records(self, gaps: Collection[_Gap]) -> set[_Gap]:
        """The gaps that hold at least one committed record. What lies before an end never changes: it is remembered."""
        filled: set[_Gap] = set()
        waiting = {gap.slot: gap for gap in gaps}
        if not waiting:
            return filled
        consumer = Consumer(
            self._connection.client(
                group_id="headrace-gateway-progress",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                enable_partition_eof=True,
                fetch_wait_max_ms=50,
                queued_min_messages=1,
            )
        )
        try:
            consumer.assign([TopicPartition(*gap.slot, gap.committed) for gap in waiting.values()])
            deadline = time.monotonic() + _REPLY_S
            while waiting:
                message = consumer.poll(0.2)
                if message is None:
                    if time.monotonic() > deadline:
                        raise Transient(
                            f"reading what is left of {next(iter(waiting)).topic}: no answer in {_REPLY_S:g} s"
                        )
                    continue
                self._settle(message, waiting, filled)
        finally:
            consumer.close()
        return filled

    def _settle(self, message: Any, waiting: dict[Slot, _Gap], filled: set[_Gap]) -> None:
        failure = message.error()
        slot = Slot(message.topic(), message.partition())
        if failure is not None and failure.code() != failure._PARTITION_EOF:
            raise mapped(failure, f"reading what is left of {slot.topic}")
        gap = waiting.pop(slot, None)
        if gap is None:
            return
        if failure is None and message.offset() < gap.end:
            filled.add(gap)
        else:
            self._empty[slot] = gap

    def _client(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient(self._connection.client())
        return self._admin

    def _unanswered(self, error: KafkaException | TimeoutError, doing: str) -> Exception:
        """The failure as ours. The client goes: it keeps the leader epochs it knows, and a restarted broker refuses those."""
        self._admin = None
        if isinstance(error, KafkaException):
            return mapped(error, doing)
        return Transient(f"{doing}: no answer in {_REPLY_S:g} s")

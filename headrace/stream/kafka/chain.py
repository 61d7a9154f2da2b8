"""Whether all that stands in front of some offsets has gone through a chain of stages to its last topic.

Offsets cannot tell by themselves: transaction markers and aborted records take some too, and who reads committed records
notices them only when it is asked for more. So where a committed offset is short of what is to be reached, the gap is read.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from headrace.errors import HeadraceError, Transient
from headrace.stream import topics
from headrace.stream.kafka.connection import Connection, mapped

_REPLY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Hop:
    """A consumer group on a topic."""

    group: str
    topic: str


def hops(dataset: str, generation: int) -> list[Hop]:
    """Who a raw record passes on its way to the warehouse, quarantine last: every stage writes there."""
    inputs = topics.of_dataset(dataset, generation)
    readers = ("stager", "transformer", "quality", "loader", "quarantine_loader")
    return [Hop(topics.group(stage, dataset, generation), topic) for stage, topic in zip(readers, inputs, strict=True)]


class Chain:
    """Follows what is in front of some offsets of the first topic through each hop. One thread at a time.

    What a hop has written stands in the next topic, in front of its end, by the time the hop's offsets are committed. So
    when a hop has passed its mark, the end of the next topic is the next mark. Ends are asked for without isolation: the
    markers of what was written may still be on their way.
    """

    def __init__(self, connection: Connection, hops: Sequence[Hop]) -> None:
        self._connection = connection
        self._hops = hops
        self._of: Mapping[int, int] = {}
        self._passed = 0
        self._marks: Mapping[int, int] = {}
        self._admin: AdminClient | None = None
        self._reader: Consumer | None = None

    def passed(self, ends: Mapping[int, int]) -> bool:
        """Whether everything in front of `ends` in the first topic has come through. Errors: Transient, Fatal."""
        try:
            return self._all_passed(ends)
        except HeadraceError:
            self.close()  # a client remembers leader epochs that a broker which was restarted refuses
            raise

    def close(self) -> None:
        """Give the connections up; they are made anew when they are needed."""
        self._admin = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _all_passed(self, ends: Mapping[int, int]) -> bool:
        if ends != self._of:
            self._of, self._marks, self._passed = ends, ends, 0
        while self._passed < len(self._hops):
            if not self._hop_passed(self._hops[self._passed]):
                return False
            self._passed += 1
            if self._passed < len(self._hops):
                self._marks = self._ends(self._hops[self._passed].topic, len(ends))
        return True

    def _hop_passed(self, hop: Hop) -> bool:
        committed = self._committed(hop)
        short = {number: committed[number] for number, mark in self._marks.items() if committed[number] < mark}
        return not short or self._empty(hop.topic, short)

    def _committed(self, hop: Hop) -> dict[int, int]:
        """Where the group stands, as far as it is decided; 0 where it has never been."""
        asked = [TopicPartition(hop.topic, number) for number in self._marks]
        try:
            (future,) = (
                self._asking().list_consumer_group_offsets([ConsumerGroupTopicPartitions(hop.group, asked)]).values()
            )
            places = future.result(_REPLY_S).topic_partitions
        except (KafkaException, TimeoutError) as error:
            raise _unanswered(error, f"asking where {hop.group} stands") from error
        for place in places:
            if place.error is not None:
                raise mapped(place.error, f"asking where {hop.group} stands")
        return {place.partition: max(place.offset, 0) for place in places}

    def _ends(self, topic: str, partitions: int) -> dict[int, int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        try:
            asked = self._asking().list_offsets(
                {TopicPartition(topic, number): latest for number in range(partitions)},
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
            )
            return {at.partition: future.result(_REPLY_S).offset for at, future in asked.items()}
        except (KafkaException, TimeoutError) as error:
            raise _unanswered(error, f"asking for the ends of {topic}") from error

    def _empty(self, topic: str, starts: Mapping[int, int]) -> bool:
        """Whether no committed record is left between these offsets and the marks. False where that is not decided yet."""
        consumer = self._reading()
        waiting = dict(starts)
        deadline = time.monotonic() + _REPLY_S
        try:
            consumer.assign(
                [TopicPartition(topic, number, start or OFFSET_BEGINNING) for number, start in starts.items()]
            )
            while waiting:
                message = consumer.poll(0.2)
                if message is None:
                    if time.monotonic() > deadline:
                        raise Transient(f"reading what is left of {topic}: no answer in {_REPLY_S:g} s")
                    continue
                failure = message.error()
                if failure is not None and failure.code() != KafkaError._PARTITION_EOF:
                    raise mapped(failure, f"reading what is left of {topic}")
                if message.topic() != topic:
                    continue  # of the check before
                number, offset = cast(int, message.partition()), cast(int, message.offset())
                if offset < self._marks[number]:
                    return False  # a record is left, or a transaction is open in front of the mark
                waiting.pop(number, None)
        finally:
            consumer.unassign()
        return True

    def _asking(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient(self._connection.client())
        return self._admin

    def _reading(self) -> Consumer:
        if self._reader is None:
            self._reader = Consumer(
                self._connection.client(
                    group_id="headrace-chain",  # required by the client, never joined
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    isolation_level="read_committed",
                    enable_partition_eof=True,
                    fetch_wait_max_ms=50,
                    queued_min_messages=1,
                )
            )
        return self._reader


def _unanswered(error: KafkaException | TimeoutError, doing: str) -> Exception:
    if isinstance(error, KafkaException):
        return mapped(error, doing)
    return Transient(f"{doing}: no answer in {_REPLY_S:g} s")

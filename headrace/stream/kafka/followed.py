"""A compacted control topic kept in memory: the latest record of every key."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.errors import Fatal, Transient
from headrace.stream.kafka.connection import Connection, mapped

log = logging.getLogger(__name__)

T = TypeVar("T")

_REPLY_S = 10.0


class Followed(Generic[T]):
    """Reads a topic from its beginning without a group, and remembers the last value of each key. One thread at a time.

    `partitions` restricts it to some of them; None is all.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        decode: Callable[[bytes], T],
        *,
        partitions: set[int] | None = None,
    ) -> None:
        self._topic = topic
        self._decode = decode
        self._partitions = partitions
        self._positions: dict[int, int] = {}
        self.state: dict[str, T] = {}
        self._consumer = Consumer(
            connection.client(
                group_id=f"headrace-follow-{topic}",
                enable_auto_commit=False,
                isolation_level="read_committed",
                auto_offset_reset="earliest",
                fetch_wait_max_ms=100,
                enable_partition_eof=True,
            )
        )

    def refresh(self, timeout_s: float = _REPLY_S) -> set[str]:
        """Read on to the present end of the topic. Returns the keys that changed. Errors: Transient (it is read again)."""
        try:
            self._start(timeout_s)
            return self._read(self._behind(timeout_s), timeout_s)
        except Exception as error:
            self._place()
            if isinstance(error, KafkaException):
                raise mapped(error, f"following {self._topic}") from error
            raise

    def close(self) -> None:
        """Stop following."""
        self._consumer.close()

    def _start(self, timeout_s: float) -> None:
        if self._positions:
            return
        found = self._consumer.list_topics(self._topic, timeout=timeout_s).topics[self._topic]
        if found.error is not None:
            raise KafkaException(found.error)
        numbers = set(found.partitions) if self._partitions is None else self._partitions & set(found.partitions)
        self._positions = dict.fromkeys(numbers, OFFSET_BEGINNING)
        self._place()

    def _place(self) -> None:
        """Read on from the known positions, whatever the consumer has taken since."""
        self._consumer.assign([TopicPartition(self._topic, *position) for position in self._positions.items()])

    def _behind(self, timeout_s: float) -> dict[int, int]:
        """The partitions with something new, each with its present end: it is not announced when nothing was read since."""
        ends = {
            number: self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=timeout_s)[1]
            for number in self._positions
        }
        return {number: end for number, end in ends.items() if max(self._positions[number], 0) < end}

    def _read(self, ends: dict[int, int], timeout_s: float) -> set[str]:
        """Take records until every partition of `ends` is read to there."""
        changed: set[str] = set()
        while ends:
            message = self._consumer.poll(timeout_s)
            if message is None:
                raise Transient(f"following {self._topic}: no answer in {timeout_s:g} s")
            number, offset = cast(int, message.partition()), cast(int, message.offset())
            failure = message.error()
            if failure is None:
                changed |= self._remember(message)
                self._positions[number] = offset + 1
            elif failure.code() == KafkaError._PARTITION_EOF:
                self._positions[number] = offset
            else:
                raise mapped(failure, f"following {self._topic}")
            if self._positions[number] >= ends.get(number, offset):
                ends.pop(number, None)
        return changed

    def _remember(self, message: Message) -> set[str]:
        """Keep the record. One that cannot be read changes nothing: its key keeps the value it had."""
        key, value = (message.key() or b"").decode(errors="replace"), message.value()
        try:
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = self._decode(value)
        except (Fatal, ValueError):
            log.exception("%s has an unreadable record for %s at offset %s", self._topic, key, message.offset())
            return set()
        return {key}

"""A compacted control topic kept in memory: the latest record of every key."""

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.errors import Transient
from headrace.stream.kafka.connection import Connection, mapped

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
        """Read on to the present end of the topic. Returns the keys that changed. Errors: Transient (nothing is forgotten)."""
        changed: set[str] = set()
        try:
            self._start(timeout_s)
            changed |= self._read(self._behind(timeout_s), timeout_s)
        except KafkaException as error:
            raise mapped(error, f"following {self._topic}") from error
        return changed

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
        self._consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in numbers])
        self._positions = dict.fromkeys(numbers, 0)

    def _behind(self, timeout_s: float) -> set[int]:
        """The partitions with something new. An end that was reached before is not announced again, so it is asked for."""
        ends = {
            number: self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=timeout_s)[1]
            for number in self._positions
        }
        return {number for number, end in ends.items() if self._positions[number] < end}

    def _read(self, waiting: set[int], timeout_s: float) -> set[str]:
        """Take records until every partition of `waiting` has announced its end."""
        changed: set[str] = set()
        while waiting:
            message = self._consumer.poll(timeout_s)
            if message is None:
                raise Transient(f"following {self._topic}: no answer in {timeout_s:g} s")
            number, offset = cast(int, message.partition()), cast(int, message.offset())
            failure = message.error()
            if failure is None:
                changed.add(self._remember(message))
                self._positions[number] = offset + 1
            elif failure.code() == KafkaError._PARTITION_EOF:
                self._positions[number] = offset
                waiting.discard(number)
            else:
                raise mapped(failure, f"following {self._topic}")
        return changed

    def _remember(self, message: Message) -> str:
        key, value = (message.key() or b"").decode(), message.value()
        if value is None:
            self.state.pop(key, None)
        else:
            self.state[key] = self._decode(value)
        return key

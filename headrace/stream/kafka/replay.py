"""Reads a topic from some offsets to its present ends, without a group."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from headrace.errors import Transient
from headrace.stream.kafka.connection import Connection, mapped
from headrace.stream.kafka.messages import records_of
from headrace.stream.stage import Records

_REPLY_S: Final = 10.0
_POLL_S: Final = 0.5
_LINGER_S: Final = 0.02  # how long a poll waits for more once the first record is there
_MOST_ROWS: Final = 20_000
_AGAIN_S: Final = 0.05
_LED_ANEW: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)


class Replay:
    """The committed records of all partitions of a topic from their beginnings; `seek` narrows it. One thread at a time.

    Where a transaction is open, a reader of committed records stops in front of it, and calls that the end: with
    `end` READ_COMMITTED that is what counts. With READ_UNCOMMITTED it is the end without isolation, and what stands
    behind the transaction is waited for. At most `most_rows` come at a time.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        *,
        end: IsolationLevel = IsolationLevel.READ_COMMITTED,
        timeout_s: float = _REPLY_S,
        most_rows: int = _MOST_ROWS,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._end = end
        self._timeout_s = timeout_s
        self._most_rows = most_rows
        self._reply_s = min(timeout_s, _REPLY_S)
        self._positions: dict[int, int] = {}  # none before the partitions are known
        self._consumer = self._client(IsolationLevel.READ_COMMITTED)

    def seek(self, positions: Mapping[int, int]) -> None:
        """Read on from these offsets, in these partitions only."""
        self._positions = dict(positions)

    def watermarks(self) -> dict[int, tuple[int, int]]:
        """The first offset of each partition, and its end. Errors: Transient, Fatal."""
        low, high = self._offsets(OFFSET_BEGINNING), self._offsets(OFFSET_END)
        return {number: (low[number], high[number]) for number in high}

    def since(self, moment: datetime) -> dict[int, int]:
        """The offset of the first record of each partition that was written then or later; its end without one.

        Errors: Transient, Fatal.
        """
        ends = self._offsets(OFFSET_END)
        asked = [TopicPartition(self._topic, number, int(moment.timestamp() * 1000)) for number in ends]
        try:
            found = self._consumer.offsets_for_times(asked, timeout=self._reply_s)
        except KafkaException as error:
            raise mapped(error, f"asking what was written to {self._topic} since {moment}") from error
        return {at.partition: at.offset if at.offset >= 0 else ends[at.partition] for at in found}

    def advance(self) -> Iterator[Records]:
        """The records since the last time up to the ends as they are now, perhaps some behind them.

        What was yielded counts as read when the next is asked for: where the caller fails, it is yielded again.
        Errors: Transient, also when nothing comes for `timeout_s` in front of an end; Fatal.
        """
        ends = self._offsets(OFFSET_END)
        if not self._left(ends):
            return
        self._place()
        deadline = time.monotonic() + self._timeout_s
        while left := self._left(ends):
            messages = self._take()
            if records := [message for message in messages if message.error() is None]:
                yield records_of(self._topic, records)
            self._note(messages)
            if self._left(ends) < left:
                deadline = time.monotonic() + self._timeout_s
            elif time.monotonic() > deadline:
                raise Transient(
                    f"reading {self._topic}: its end is not reached, and nothing came in {self._timeout_s:g} s"
                    + (": a transaction is open" if self._end is IsolationLevel.READ_UNCOMMITTED else "")
                )
        self._consumer.unassign()  # a consumer that is not asked would go on fetching, twenty times a second

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _client(self, isolation: IsolationLevel) -> Consumer:
        return Consumer(
            self._connection.client(
                group_id=f"headrace-replay-{self._topic}",  # required by the client, never joined
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level=isolation.name.lower(),
                enable_partition_eof=True,
                fetch_wait_max_ms=50,  # also how soon the end of a partition is noticed
                queued_max_messages_kbytes=16 << 10,
            )
        )

    def _offsets(self, which: int) -> dict[int, int]:
        """The first or last offsets as the brokers know them: what the consumer remembers is as old as its last fetch."""
        if not self._positions:
            count = partition_count(self._consumer, self._topic, self._reply_s)
            self.seek(dict.fromkeys(range(count), OFFSET_BEGINNING))
        if self._end is IsolationLevel.READ_COMMITTED:
            return self._answered(self._consumer, which)
        asking = self._client(self._end)
        try:
            return self._answered(asking, which)
        finally:
            asking.close()

    def _answered(self, asked: Consumer, which: int) -> dict[int, int]:
        """A client learns of a leader that is new, or came anew, by its refusal: then it is asked again."""
        deadline = time.monotonic() + self._reply_s
        while True:
            answers, refusal = self._asked(asked, which)
            if refusal is None:
                return answers
            if refusal.code() not in _LED_ANEW or time.monotonic() > deadline:
                raise mapped(refusal, f"asking for the ends of {self._topic}")
            time.sleep(_AGAIN_S)

    def _asked(self, asked: Consumer, which: int) -> tuple[dict[int, int], KafkaError | None]:
        places = [TopicPartition(self._topic, number, which) for number in self._positions]
        try:
            answers = asked.offsets_for_times(places, timeout=self._reply_s)
        except KafkaException as error:
            return {}, error.args[0]
        refusal = next((answer.error for answer in answers if answer.error is not None), None)
        return {answer.partition: answer.offset for answer in answers}, refusal

    def _place(self) -> None:
        """Read on from the positions, whatever the consumer has taken since."""
        try:
            self._consumer.assign([TopicPartition(self._topic, *position) for position in self._positions.items()])
        except KafkaException as error:
            raise mapped(error, f"reading {self._topic}") from error

    def _left(self, ends: Mapping[int, int]) -> int:
        """How many offsets there are in front of the ends. The end is not announced where nothing was read since."""
        return sum(max(end - max(self._positions[number], 0), 0) for number, end in ends.items())

    def _take(self) -> list[Message]:
        """The next records, and notices of the end of a partition."""
        try:
            messages = self._consumer.consume(1, _POLL_S)
            if messages:
                messages += self._consumer.consume(self._most_rows - 1, _LINGER_S)
        except KafkaException as error:
            raise mapped(error, f"reading {self._topic}") from error
        for message in messages:
            failure = message.error()
            if failure is not None and failure.code() != KafkaError._PARTITION_EOF:
                raise mapped(failure, f"reading {self._topic}")
        return messages

    def _note(self, messages: list[Message]) -> None:
        """Remember how far these reach. The end of a partition lies behind its last transaction marker, which is not a
        record: only the client's notice tells that it was passed."""
        for number, last in {message.partition(): message for message in messages}.items():
            is_record = last.error() is None
            self._positions[cast(int, number)] = cast(int, last.offset()) + is_record


def partition_count(client: Consumer | AdminClient, topic: str, timeout_s: float = _REPLY_S) -> int:
    """How many partitions a topic has. Errors: Transient, Fatal."""
    try:
        found = client.list_topics(topic, timeout=timeout_s).topics[topic]
    except KafkaException as error:
        raise mapped(error, f"asking for {topic}") from error
    if found.error is not None:
        raise mapped(found.error, f"asking for {topic}")
    return len(found.partitions)

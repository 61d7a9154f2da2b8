"""Reads a whole topic without a group, up to where it ends at the moment of asking."""

import time
from collections.abc import Iterator

import pyarrow as pa
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.errors import Transient
from headrace.stream.kafka import Connection
from headrace.stream.kafka.connection import mapped
from headrace.stream.stage import Records

_REPLY_S = 10.0
_POLL_S = 0.5
_MOST_ROWS = 20_000


class Tail:
    """A topic read from its beginning, committed records only. One thread at a time.

    The end is asked of the brokers each time, because what the consumer remembers of it is as old as its last fetch.
    """

    def __init__(self, connection: Connection, topic: str, partitions: int) -> None:
        self._topic = topic
        self._reached = dict.fromkeys(range(partitions), 0)
        self._consumer = Consumer(
            connection.client(
                group_id=f"headrace-tail-{topic}",  # required by the client, never joined
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                enable_partition_eof=True,
                fetch_wait_max_ms=50,  # also how soon the end of a partition is noticed
                queued_max_messages_kbytes=16 << 10,
            )
        )
        self._records_read = 0
        self._place()

    @property
    def empty(self) -> bool:
        """Whether no record was ever read."""
        return self._records_read == 0

    def advance(self) -> Iterator[Records]:
        """The records committed since the last time, up to the present end of every partition.

        Errors: Transient. What was yielded last when the caller fails is yielded again the next time.
        """
        try:
            ends = self._ends()
            deadline = time.monotonic() + _REPLY_S
            while any(self._reached[number] < end for number, end in ends.items()):
                messages = self._consumer.consume(_MOST_ROWS, _POLL_S)
                records = self._checked(messages)
                if records:
                    yield self._records(records)
                    deadline = time.monotonic() + _REPLY_S
                elif time.monotonic() > deadline:
                    raise Transient(f"reading {self._topic}: no record in {_REPLY_S:g} s, and its end is not reached")
                self._note(messages)
        except BaseException as error:
            self._place()
            if isinstance(error, KafkaException):
                raise mapped(error, f"reading {self._topic}") from error
            raise

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _ends(self) -> dict[int, int]:
        asked = [TopicPartition(self._topic, number, OFFSET_END) for number in self._reached]
        return {found.partition: found.offset for found in self._consumer.offsets_for_times(asked, timeout=_REPLY_S)}

    def _place(self) -> None:
        """Read on from what was reached, whatever the consumer has taken since."""
        self._consumer.assign([TopicPartition(self._topic, *reached) for reached in self._reached.items()])

    @staticmethod
    def _checked(messages: list[Message]) -> list[Message]:
        """The records among the messages; the others announce the end of a partition."""
        for message in messages:
            failure = message.error()
            if failure is not None and failure.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(failure)
        return [message for message in messages if message.error() is None]

    def _note(self, messages: list[Message]) -> None:
        """Remember how far these reach. The end of a partition lies behind its last transaction marker, which is not a
        record: only the client's notice tells that it was passed."""
        for message in messages:
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            is_record = message.error() is None
            self._reached[partition] = offset + is_record
            self._records_read += is_record

    def _records(self, messages: list[Message]) -> Records:
        return Records(
            self._topic,
            pa.array([message.partition() for message in messages], pa.int32()),
            pa.array([message.offset() for message in messages], pa.int64()),
            pa.array([message.timestamp()[1] for message in messages], pa.int64()),
            [None] * len(messages),
            [message.value() for message in messages],
        )

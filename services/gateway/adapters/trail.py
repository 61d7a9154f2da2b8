"""Finds single records in topics: the one at an offset, and those that were made of a raw record, by its identity."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.errors import Transient
from headrace.stream import columns
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection
from headrace.stream.kafka.connection import mapped
from headrace.stream.kafka.messages import records_of
from headrace.stream.outputs import readable
from headrace.stream.stage import Batch
from services.gateway.core.json_values import json_value
from services.gateway.core.passport import Found

_REPLY_S: Final = 5.0
_MOST_SIBLINGS: Final = 1000


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as it stands in its topic. `error` says why it has no fields."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    value: bytes | None
    batch: Batch | None
    error: str | None

    @property
    def at(self) -> datetime:
        """When the topic says that it was written."""
        return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC)

    @property
    def fields(self) -> dict[str, Any] | None:
        """Its decoded fields, as JSON has them; None when they cannot be decoded."""
        return None if self.batch is None else fields_of(self.batch.rows)


def fields_of(row: pa.RecordBatch) -> dict[str, Any]:
    """The values of the only row, as JSON has them."""
    return {name: json_value(readable(row.column(name)[0])) for name in row.schema.names}


class Trail:
    """A reader of single committed records. Used by one thread; close it.

    Errors of all it is asked: Transient.
    """

    def __init__(self, connection: Connection, decoder: Decoder) -> None:
        self._decoder = decoder
        self._consumer = Consumer(
            connection.client(
                group_id="headrace-gateway-trail",  # required by the client, never joined
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                enable_partition_eof=True,
                fetch_wait_max_ms=10,
                fetch_queue_backoff_ms=2,  # one that has its record waits a second else before it looks elsewhere
                queued_min_messages=1,
                max_partition_fetch_bytes=64 << 10,  # a larger record comes all the same
            )
        )

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that the partition still has, and its end."""
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_REPLY_S)
        except KafkaException as error:
            raise mapped(error, f"asking for the ends of {topic}") from error
        return low, high

    def record(self, topic: str, partition: int, offset: int) -> RawRecord | None:
        """The record at this offset; None when there is none, as where a transaction ended."""
        self._place(topic, partition, offset)
        message = self._next(topic)
        return None if message is None or message.offset() != offset else self._read(message)

    def find(self, topic: str, partition: int, raw_offset: int) -> Found:
        """The records that were made of a raw record, whose identities ascend in the topic.

        But for rows that had waited: those are not looked at, see `find_waited`.
        """
        low, high = self.bounds(topic, partition)
        first, end = low, high
        while first < end:
            middle = (first + end) // 2
            found = self._identity(topic, partition, middle)
            if found is None or found[1] >= raw_offset:
                end = middle
            else:
                first = found[0] + 1
        offsets, beyond = self._siblings(topic, partition, first, raw_offset)
        oldest = None if low == 0 else self._identity(topic, partition, low)
        reaches_back = low == 0 or (oldest is not None and oldest[1] <= raw_offset)
        return Found(tuple(offsets), reaches_back, beyond)

    def identity_from(self, topic: str, partition: int, offset: int) -> int | None:
        """The raw offset that the first record there or behind was made of; None when there is no such record."""
        if offset >= self.bounds(topic, partition)[1]:
            return None
        found = self._identity(topic, partition, offset)
        return None if found is None else found[1]

    def find_waited(self, topic: str, partition: int, raw_offset: int, since_ms: int, patience_s: float) -> Found:
        """The records that were made of a raw record after it had waited, written since then; none when time is up before."""
        first = self.offset_at(topic, partition, since_ms)
        offsets: list[int] = []
        for message in self.records_from(topic, partition, first, patience_s) if first is not None else ():
            identity, waited = self._marks_of(message)
            if waited and identity == raw_offset:
                offsets.append(message.offset() or 0)
            elif offsets:
                break
        return Found(tuple(offsets), beyond=bool(offsets))

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        """The offset of the first record that was written then or later; None when there is none."""
        try:
            wanted = TopicPartition(topic, partition, max(timestamp_ms, 0))
            [at] = self._consumer.offsets_for_times([wanted], timeout=_REPLY_S)
        except KafkaException as error:
            raise mapped(error, f"asking {topic} for a time") from error
        return at.offset if at.offset >= 0 else None

    def records_from(self, topic: str, partition: int, offset: int, patience_s: float) -> Iterator[Message]:
        """The records of a partition from an offset to its end, or until the time is up."""
        deadline = time.monotonic() + patience_s
        if offset >= self.bounds(topic, partition)[1]:  # to ask also spares waiting until the client knows the topic
            return
        self._place(topic, partition, offset)
        while time.monotonic() < deadline and (message := self._next(topic)) is not None:
            yield message

    def _siblings(self, topic: str, partition: int, first: int, raw_offset: int) -> tuple[list[int], bool]:
        """The offsets of the neighbours with this identity, and whether a younger record stands behind them."""
        offsets: list[int] = []
        self._place(topic, partition, first)
        while (message := self._next(topic)) is not None:
            identity = self._identity_of(message)
            if identity is not None and identity != raw_offset:
                return offsets, identity > raw_offset
            if identity is not None and len(offsets) < _MOST_SIBLINGS:
                offsets.append(message.offset() or 0)
        return offsets, False

    def _identity(self, topic: str, partition: int, offset: int) -> tuple[int, int] | None:
        """Offset and identity of the first record there or behind; None when there is none."""
        self._place(topic, partition, offset)
        while (message := self._next(topic)) is not None:
            if (identity := self._identity_of(message)) is not None:
                return message.offset() or 0, identity
        return None

    def _identity_of(self, message: Message) -> int | None:
        identity, waited = self._marks_of(message)
        return None if waited else identity

    def _marks_of(self, message: Message) -> tuple[int | None, bool]:
        """The raw offset that a record says it comes from, and whether it had waited."""
        record = self._read(message)
        if record.batch is None or columns.OFFSET not in record.batch.rows.schema.names:
            return None, False
        rows = record.batch.rows
        identity: int = rows.column(columns.OFFSET)[0].as_py()
        waited = columns.PARKED_AT in rows.schema.names and rows.column(columns.PARKED_AT)[0].is_valid
        return identity, waited

    def _read(self, message: Message) -> RawRecord:
        batches, rejections = self._decoder(records_of(message.topic() or "", [message]))
        headers: Any = message.headers() or []
        return RawRecord(
            message.offset() or 0,
            message.timestamp()[1],
            message.key(),
            list(headers),
            message.value(),
            batches[0] if batches else None,
            rejections[0].detail if rejections else None,
        )

    def _place(self, topic: str, partition: int, offset: int) -> None:
        try:
            self._consumer.assign([TopicPartition(topic, partition, offset)])
        except KafkaException as error:
            raise mapped(error, f"reading {topic}") from error

    def _next(self, topic: str) -> Message | None:
        """The next record, or None at the end of what is committed."""
        deadline = time.monotonic() + _REPLY_S
        while time.monotonic() < deadline:
            message = self._consumer.poll(0.2)
            if message is None:
                continue
            failure = message.error()
            if failure is None:
                return message
            if failure.code() == KafkaError._PARTITION_EOF:
                return None
            raise mapped(failure, f"reading {topic}")
        raise Transient(f"reading {topic}: no answer in {_REPLY_S:g} s")

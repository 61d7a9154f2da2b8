"""Reads the newest records of a topic and decodes them by the schema each names."""

from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.errors import Transient
from headrace.stream.codec import Codec, schema_id_of
from headrace.stream.kafka import Connection
from headrace.stream.kafka.connection import mapped
from headrace.stream.registry import Registry
from services.gateway.core.json_values import json_value

_REPLY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class TailRecord:
    """A record of a topic; `error` says why it has no fields."""

    partition: int
    offset: int
    timestamp: datetime
    fields: dict[str, Any] | None
    error: str | None


class Tail:
    """The ends of topics."""

    def __init__(self, connection: Connection, registry: Registry) -> None:
        self._connection = connection
        self._registry = registry

    def __call__(self, topic: str, limit: int) -> list[TailRecord]:
        """The newest committed records of all partitions, at most `limit`, oldest first. Errors: Transient."""
        consumer = Consumer(
            self._connection.client(
                group_id="headrace-gateway-tail",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                enable_partition_eof=True,
                fetch_wait_max_ms=50,
            )
        )
        try:
            messages = _newest(consumer, topic, limit)
        except KafkaException as error:
            raise mapped(error, f"reading the end of {topic}") from error
        finally:
            consumer.close()
        return self._decoded(messages)

    def _decoded(self, messages: list[Any]) -> list[TailRecord]:
        by_schema: dict[int | None, list[int]] = defaultdict(list)
        for at, message in enumerate(messages):
            by_schema[schema_id_of(message.value())].append(at)
        fields: dict[int, dict[str, Any]] = {}
        errors: dict[int, str] = {}
        for schema_id, positions in by_schema.items():
            avro = None if schema_id is None else self._registry.schema(schema_id)
            if avro is None:
                errors |= dict.fromkeys(positions, "the record names no schema that the registry knows")
                continue
            decoded = Codec(avro).decode([messages[at].value() or b"" for at in positions])
            rows = zip(decoded.index.to_numpy().tolist(), decoded.rows.to_pylist(), strict=True)
            fields |= {positions[at]: row for at, row in rows}
            errors |= {positions[at]: detail for at, detail in decoded.failures}
        return [
            TailRecord(
                message.partition(),
                message.offset(),
                datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
                json_value(fields[at]) if at in fields else None,
                errors.get(at),
            )
            for at, message in enumerate(messages)
        ]


def _newest(consumer: Consumer, topic: str, limit: int) -> list[Any]:
    found = consumer.list_topics(topic, timeout=_REPLY_S).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    messages: list[Any] = [
        message for number in found.partitions for message in _newest_of(consumer, topic, number, limit)
    ]
    return sorted(messages, key=lambda message: (message.timestamp()[1], message.partition(), message.offset()))[
        -limit:
    ]


def _newest_of(consumer: Consumer, topic: str, partition: int, limit: int) -> list[Any]:
    """The last records of a partition. Markers and aborted records take offsets, so the reach doubles until it suffices."""
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_REPLY_S)
    reach = 2 * limit
    while True:
        start = max(low, high - reach)
        messages = _until_end(consumer, TopicPartition(topic, partition, start), limit) if start < high else []
        if len(messages) >= limit or start == low:
            return messages
        reach *= 4


def _until_end(consumer: Consumer, start: TopicPartition, limit: int) -> list[Any]:
    consumer.assign([start])
    newest: deque[Any] = deque(maxlen=limit)
    while True:
        message = consumer.poll(_REPLY_S)
        if message is None:
            raise Transient(f"reading the end of {start.topic}: no answer in {_REPLY_S:g} s")
        failure = message.error()
        if failure is None:
            newest.append(message)
        elif failure.code() == failure._PARTITION_EOF:
            return list(newest)
        else:
            raise mapped(failure, f"reading the end of {start.topic}")

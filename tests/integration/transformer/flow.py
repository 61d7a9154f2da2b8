"""A dataset's topics on the real broker, and what tests do with them: apply, publish, read back."""

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from headrace.contract import Contract, waiting_checks
from headrace.stream import columns, topics
from headrace.stream.codec import Codec, avro_schema, schema_id_of
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from tests.stack import Stack, let_commits_arrive

PARTITIONS = 2


class Flow:
    """One domain of datasets that no other test uses."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.domain = f"t_{uuid.uuid4().hex[:8]}"
        self.connection = Connection(stack.bootstrap_servers)
        self.registry = Registry(stack.registry_url)
        kafka_topics.ensure_control(self.connection)

    def dataset(self, name: str, generation: int = 1, version: int = 1, **sections: Any) -> LiveDataset:
        """A version of a dataset, with its topics; not live yet."""
        minimal = {
            "dataset": f"{self.domain}.{name}",
            "description": "A test.",
            "owner": {"team": "t"},
            "source": {"type": "http_push"},
        }
        contract = Contract.model_validate({**minimal, "partitions": PARTITIONS, **sections})
        kafka_topics.ensure_dataset(
            self.connection, contract.dataset, generation, PARTITIONS, waits=bool(waiting_checks(contract.checks))
        )
        return LiveDataset(contract.dataset, version, generation, "active", contract)

    def apply(self, dataset: LiveDataset) -> LiveDataset:
        """Make it live."""
        record = {
            "name": dataset.name,
            "version": dataset.version,
            "generation": dataset.generation,
            "state": dataset.state,
            "document": dataset.contract.canonical_json(),
            "applied_at": datetime.now(UTC),
            "applied_by": "test",
        }
        producer = Producer(self.connection.client())
        producer.produce(topics.DATASETS, Controls(self.registry).encode("dataset", record), dataset.name)
        assert producer.flush(10) == 0
        return dataset

    def publish(
        self, topic: str, rows: pa.RecordBatch, partition: int = 0, *, name: str = "t", commit: bool = True
    ) -> None:
        """Write rows to a topic in one transaction, and wait until readers can see it, or give it up."""
        avro = avro_schema(rows.schema, name)
        schema_id = self.registry.register(topics.subject(topic), avro)
        until(lambda: self.end(topic, partition) >= 0)
        before = self.end(topic, partition)
        writer = TransactionalWriter(self.connection, f"publish-{topic}")
        try:
            with writer.transaction() as transaction:
                transaction.produce(topic, Codec(avro).encode(rows, schema_id), partition=partition)
                if not commit:
                    raise InterruptedError
        except InterruptedError:
            return
        finally:
            writer.close()
        until(lambda: self.end(topic, partition) >= before + len(rows))

    def end(self, topic: str, partition: int) -> int:
        """Where committed records of a partition end; -1 while a new partition has no leader yet."""
        consumer = Consumer(self.connection.client(group_id="end", isolation_level="read_committed"))
        try:
            return int(consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1])
        except KafkaException:
            return -1
        finally:
            consumer.close()

    def messages(self, topic: str, partitions: int = PARTITIONS, key: str | None = None) -> list[tuple[int, bytes]]:
        """(partition, value) of every committed message, or of those with a key."""
        let_commits_arrive(self.connection, topic)
        consumer = Consumer(
            self.connection.client(
                group_id="read", isolation_level="read_committed", enable_partition_eof=True, fetch_wait_max_ms=20
            )
        )
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)])
        found: list[tuple[int, bytes]] = []
        waiting = set(range(partitions))
        while waiting:
            for message in consumer.consume(1000, 0.05):
                failure, value, number = message.error(), message.value(), message.partition()
                assert number is not None
                if failure is not None:
                    assert failure.code() == KafkaError._PARTITION_EOF, failure
                    waiting.discard(number)
                elif value is not None and key in (None, (message.key() or b"").decode(errors="replace")):
                    found.append((number, value))
        consumer.close()
        return found

    def rows(self, topic: str) -> list[dict[str, Any]]:
        """Every committed row, decoded."""
        values = [value for _, value in self.messages(topic)]
        found: list[dict[str, Any]] = []
        for value in values:
            schema_id = schema_id_of(value)
            avro = self.registry.schema(schema_id) if schema_id is not None else None
            assert avro is not None
            decoded = Codec(avro).decode([value])
            assert not decoded.failures
            found += decoded.rows.to_pylist()
        return found

    def control(self, topic: str, dataset: str) -> list[dict[str, Any]]:
        """The records of a control topic that are about `dataset`."""
        return [Controls(self.registry).decode(value) for _, value in self.messages(topic, 1, dataset)]

    def quarantined(self, dataset: str) -> list[dict[str, Any]]:
        """The records that were set aside."""
        return [Controls(self.registry).decode(value) for _, value in self.messages(topics.quarantine(dataset))]


def with_system(
    own: Sequence[dict[str, Any]],
    fields: Sequence[pa.Field],
    first_offset: int = 0,
    constant: dict[str, Any] | None = None,
) -> pa.RecordBatch:
    """Rows with the system columns `fields`, the rows' offsets counting from `first_offset`."""
    rows = pa.RecordBatch.from_pylist(list(own))
    count = len(rows)
    values: dict[str, Any] = {
        columns.PARTITION: 0,
        columns.SEQ: 0,
        columns.INGESTED_AT: datetime(2024, 1, 1, tzinfo=UTC),
        columns.SOURCE_TS: None,
        columns.OP: "insert",
        columns.VERSION: 1,
        columns.FLAGS: [],
        **(constant or {}),
    }
    system: list[pa.Array] = [
        pa.array(np.arange(first_offset, first_offset + count), pa.int64())
        if field.name == columns.OFFSET
        else pa.array([values[field.name]] * count, field.type)
        for field in fields
    ]
    return pa.RecordBatch.from_arrays([*rows.columns, *system], schema=pa.schema([*rows.schema, *fields]))


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition. Fails when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)

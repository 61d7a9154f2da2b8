"""The loader as a service runs it: from a topic into the table, its ledger, its quarantine, and on after a stop."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, TopicPartition

from headrace.contract import Contract
from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.columns import TRANSFORMED_FIELDS
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from services.loader.bootstrap import workers
from services.loader.settings import LoaderSettings
from tests.stack import Stack, eventually

USER_FIELDS: list[pa.Field] = [pa.field("n", pa.int64()), pa.field("day", pa.date32())]
SCHEMA = pa.schema([*USER_FIELDS, *TRANSFORMED_FIELDS])
TOO_LATE = 2_932_897  # the day after 9999-12-31


class Dataset:
    """A dataset with topics of two partitions, and as many loaders as a test wants."""

    def __init__(self, stack: Stack, database: str) -> None:
        self.name = f"{database}.rows"
        self.connection = Connection(stack.bootstrap_servers)
        self.registry = Registry(stack.registry_url)
        self._stack = stack
        kafka_topics.ensure_control(self.connection)
        kafka_topics.ensure_dataset(self.connection, self.name, 1, 2)
        document = {
            "dataset": self.name,
            "description": "Rows.",
            "owner": {"team": "Tests"},
            "source": {"type": "http_push"},
        }
        self.live = LiveDataset(self.name, 1, 1, "active", Contract.model_validate(document))

    def send(self, *batches: tuple[int, pa.RecordBatch | list[bytes]]) -> None:
        """Put rows, or bytes, into partitions of the validated topic."""
        topic = topics.validated(self.name, 1)
        avro = avro_schema(SCHEMA, self.name)
        schema_id = self.registry.register(topics.subject(topic), avro)
        writer = TransactionalWriter(self.connection, f"send-{self.name}-{uuid.uuid4()}")
        with writer.transaction() as transaction:
            for partition, rows in batches:
                values = rows if isinstance(rows, list) else Codec(avro).encode(rows, schema_id)
                transaction.produce(topic, values, partition=partition)
        writer.close()

    @contextmanager
    def loaders(self, *instances: str, max_batch_rows: int = 500) -> Iterator[None]:
        """Loaders at work, each with both its pumps."""
        stopping = threading.Event()
        errors: list[Exception] = []

        def run(build: Callable[[], Any]) -> None:
            try:
                build().run(stopping)
            except Exception as error:
                errors.append(error)

        threads = [
            threading.Thread(target=run, args=(build,))
            for instance in instances
            for build in workers(self._settings(instance, max_batch_rows))(self.live)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopping.set()
            for thread in threads:
                thread.join(60)
        assert not errors, errors

    def ledger(self) -> list[dict[str, Any]]:
        """What the books say of this dataset."""
        controls = Controls(self.registry)
        consumer = Consumer(self.connection.client(group_id=f"read-{uuid.uuid4()}", isolation_level="read_committed"))
        low, high = consumer.get_watermark_offsets(TopicPartition(topics.LEDGER, 0), timeout=10)
        consumer.assign([TopicPartition(topics.LEDGER, 0, low)])
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 30
        while consumer.position([TopicPartition(topics.LEDGER, 0)])[0].offset < high:
            assert time.monotonic() < deadline, "the ledger cannot be read to its end"
            for message in consumer.consume(1000, 0.2):
                if message.key() == self.name.encode():
                    found.append(controls.decode(message.value() or b""))
        consumer.close()
        return found

    def _settings(self, instance: str, max_batch_rows: int) -> LoaderSettings:
        return LoaderSettings(
            bootstrap_servers=self._stack.bootstrap_servers,
            registry_url=self._stack.registry_url,
            instance=instance,
            warehouse_url=self._stack.warehouse_url,
            warehouse_password=self._stack.credentials.warehouse_password,
            session_timeout_ms=6000,
            max_batch_rows=max_batch_rows,
        )


@pytest.fixture
def dataset(stack: Stack, database: str) -> Dataset:
    return Dataset(stack, database)


def rows(start: int, count: int, day: int = 0) -> pa.RecordBatch:
    """Rows with identities from `start` on."""
    now = datetime.now(UTC)
    system = {
        "_partition": 0,
        "_seq": 0,
        "_ingested_at": now,
        "_source_ts": None,
        "_op": "insert",
        "_version": 1,
        "_flags": ["f"],
    }
    values = [{"n": at, "_offset": at, **system} for at in range(start, start + count)]
    batch = pa.RecordBatch.from_pylist(values, schema=SCHEMA)
    days = pa.array([day] * count, pa.int32()).view(pa.date32())
    return batch.set_column(1, SCHEMA.field("day"), days)


def count(client: Client, table: str) -> tuple[int, int]:
    """Rows, and different rows."""
    if not client.command(f"EXISTS {table}"):
        return 0, 0
    total, different = client.query(f"SELECT count(), uniqExact(n) FROM {table}").result_rows[0]
    return total, different


def test_rows_reach_the_view_and_the_books(dataset: Dataset, client: Client) -> None:
    dataset.send(
        (0, rows(0, 800)), (1, rows(800, 700)), (1, rows(1500, 1, day=TOO_LATE)), (0, [b"\x07junk"]), (0, rows(1501, 9))
    )
    with dataset.loaders("a"):
        eventually(lambda: count(client, dataset.name) == (1509, 1509), 60, "all rows in the view")
        quarantine = f"{dataset.name}__quarantine"
        eventually(lambda: bool(client.command(f"EXISTS {quarantine}")), 60, "the quarantine table")
        asked = f"SELECT stage, reason, column, topic FROM {quarantine} ORDER BY reason"
        topic = topics.validated(dataset.name, 1)
        wanted = [("loader", "not_wire_format", None, topic), ("loader", "unloadable", "day", topic)]
        eventually(
            lambda: client.query(asked).result_rows == wanted, 60, "both refused records in the quarantine table"
        )
        (value,) = client.query(
            f"SELECT base64Encode(value) FROM {quarantine} WHERE reason = 'not_wire_format'"
        ).result_rows[0]
        assert value == "B2p1bms="
        eventually(
            lambda: sum(entry["rows_in"] for entry in dataset.ledger()) == 1511 + 2, 60, "the books of both pumps"
        )
    entries = [entry for entry in dataset.ledger() if entry["stage"] == "loader"]
    assert sum(entry["rows_in"] for entry in entries) == 1511
    assert sum(entry["rows_out"] for entry in entries) == 1509
    assert sum(sum(entry["quarantined"].values()) for entry in entries) == 2


def test_instances_come_and_go_and_every_row_is_loaded_once(dataset: Dataset, client: Client) -> None:
    """The third comes back under a name that was there before."""
    sent = 0
    for instances in (("a",), ("a", "b"), ("b", "c", "d"), ("a",)):
        dataset.send((0, rows(sent, 1500)), (1, rows(sent + 1500, 1500)))
        with dataset.loaders(*instances, max_batch_rows=200):
            more_than = partial(lambda rows: count(client, dataset.name)[0] > rows, sent)
            eventually(more_than, 60, "the first rows of this round")
        sent += 3000
    with dataset.loaders("e"):
        eventually(lambda: count(client, dataset.name)[1] == sent, 60, "all rows in the view")
    assert count(client, dataset.name) == (sent, sent)
    books = [entry for entry in dataset.ledger() if entry["stage"] == "loader"]
    assert sum(entry["rows_out"] for entry in books) == sent

"""A generation made by a replay has every row once, also what retention has deleted from the topics: it comes from the lake."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from headrace.stream import columns, topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.kafka import TransactionalWriter
from headrace.stream.ledger import LedgerEntry
from headrace.stream.notices import Notices
from headrace.stream.service import LiveDataset
from services.gateway.core.folding import Sums, added
from services.stager.bootstrap import lander_for, pump_for
from services.stager.settings import StagerSettings
from services.transformer import bootstrap
from services.transformer.bootstrap import hash_keys, known_overrides, worker_for
from services.transformer.settings import TransformerSettings
from tests.integration.transformer.flow import PARTITIONS, Flow, until

RULE = {"transform": {"sql": "SELECT id, amount * 2 AS amount, big, small FROM input WHERE id % 10 <> 3"}}
BATCH = 64
EACH = 200  # rows of a batch, in each partition


@dataclass
class Orders:
    """A dataset whose raw records are staged and landed by the real stager, and what generations make of them."""

    flow: Flow
    folder: Path
    live: LiveDataset
    sent: int = 0

    def send(self, batches: int = 1, **more: Any) -> None:
        """Rows of both partitions, some in a transaction that is given up: it takes offsets, too."""
        writer = TransactionalWriter(self.flow.connection, f"send-{self.live.name}")
        with closing(writer):
            for _ in range(batches):
                for number in range(PARTITIONS):
                    self._write(writer, rows(self.sent, **more), number)
                    self.sent += EACH
                self._write(writer, rows(self.sent, **more), 1, commit=False)

    def _write(
        self, writer: TransactionalWriter, batch: pa.RecordBatch, partition: int, *, commit: bool = True
    ) -> None:
        avro = avro_schema(batch.schema, self.live.name)
        topic = topics.raw(self.live.name)
        schema_id = self.flow.registry.register(topics.subject(topic), avro)
        with suppress(InterruptedError), writer.transaction() as transaction:
            transaction.produce(topic, Codec(avro).encode(batch, schema_id), partition=partition)
            if not commit:
                raise InterruptedError

    def generation(self, number: int) -> LiveDataset:
        """A candidate by the changed rule, with its topics."""
        made = self.flow.dataset("orders", generation=number, version=number, key=["id"], **RULE)
        return replace(made, role="candidate")

    def sums(self, number: int, stage: str = "transformer") -> dict[int, Sums]:
        found: dict[int, Sums] = {}
        for record in self.flow.control(topics.LEDGER, self.live.name):
            entry = LedgerEntry(**record)
            if entry.stage == stage and (stage == "stager" or entry.generation == number):
                found[entry.partition] = added(found.get(entry.partition, Sums()), entry)
        return found

    def read(self, number: int) -> int:
        return sum(each.rows_in for each in self.sums(number).values())

    def made(self, number: int) -> list[dict[str, Any]]:
        """What a generation published, but for what tells generations apart."""
        found = self.flow.rows(topics.transformed(self.live.name, number))
        place = sorted(found, key=lambda row: (row["_partition"], row["_offset"]))
        return [{name: value for name, value in row.items() if name != columns.VERSION} for row in place]

    def balances(self, number: int) -> None:
        """What left the stager is what the generation has read, row by row."""
        left, reached = self.sums(number, "stager"), self.sums(number)
        for at in range(PARTITIONS):
            assert (left[at].rows_out, left[at].out_hash) == (reached[at].rows_in, reached[at].in_hash)

    @contextmanager
    def landing(self) -> Iterator[None]:
        """The stager at work."""
        notices = Notices(self.flow.connection, self.flow.registry, "stager", "0")
        settings = StagerSettings(
            **where(self.flow, self.folder), landing_rows=EACH // 2, landing_interval_s=0.2, max_batch_rows=150
        )
        stopping = threading.Event()
        workers = (
            pump_for(self.live, settings, self.flow.registry),
            lander_for(self.live, settings, self.flow.registry, notices),
        )
        threads = [threading.Thread(target=worker.run, args=(stopping,)) for worker in workers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopping.set()
            for thread in threads:
                thread.join(30)

    def staged(self) -> int:
        return sum(each.rows_out for each in self.sums(1, "stager").values())

    @contextmanager
    def replaying(self, number: int) -> Iterator[list[BaseException]]:
        """The transformer at work on a candidate; gives what stopped it."""
        settings = TransformerSettings(**where(self.flow, self.folder), max_batch_rows=BATCH)
        keys, overrides = hash_keys(settings), known_overrides(settings)
        stopping, failures = threading.Event(), list[BaseException]()
        generation = self.generation(number)

        def work() -> None:
            try:
                worker_for(generation, settings, self.flow.registry, keys, overrides).run(stopping)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield failures
        finally:
            stopping.set()
            thread.join(30)
            keys.close()
            overrides.close()

    def killed(self, number: int, commits: int, when: str) -> None:
        """A transformer at work on a candidate that is killed at one of its commits."""
        settings = {**where(self.flow, self.folder), "data_dir": str(self.folder), "max_batch_rows": BATCH}
        document = self.generation(number).contract.canonical_json()
        command = [
            sys.executable,
            "-m",
            "tests.integration.transformer.dying",
            document,
            str(number),
            json.dumps(settings),
        ]
        ended = subprocess.run([*command, str(commits), when], timeout=120, capture_output=True, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]

    def delete(self, share: int, topic: str) -> None:
        """What retention would: the first records of each partition, this share of them in hundredths."""
        ends = {at: self.flow.end(topic, at) for at in range(PARTITIONS)}
        asked = [TopicPartition(topic, at, end * share // 100) for at, end in ends.items()]
        admin = AdminClient(self.flow.connection.client())  # who lets it go gets no answer
        for future in admin.delete_records(asked).values():
            future.result(10)


def rows(first: int, **more: Any) -> pa.RecordBatch:
    numbers = range(first, first + EACH)
    columns_of: dict[str, Any] = {
        "id": pa.array(numbers, pa.int64()),
        "amount": pa.array([number % 7 for number in numbers], pa.int64()),
        "big": pa.array([2**64 - 1 - number for number in numbers], pa.uint64()),
        "small": pa.array([number % 100 for number in numbers], pa.int16()),
        "_op": pa.array(["insert"] * EACH),
    }
    return pa.RecordBatch.from_pydict(
        {**columns_of, **{name: pa.array([value] * EACH) for name, value in more.items()}}
    )


def where(flow: Flow, folder: Path) -> dict[str, Any]:
    return {
        "bootstrap_servers": flow.stack.bootstrap_servers,
        "registry_url": flow.stack.registry_url,
        "session_timeout_ms": 6000,
        "transaction_timeout_ms": 10000,
        "data_dir": folder,
    }


@pytest.fixture
def orders(flow: Flow, tmp_path: Path) -> Orders:
    made = Orders(flow, tmp_path, flow.apply(flow.dataset("orders", key=["id"])))
    with made.landing():
        made.send(4)
        made.send(2, later="a column more")
        until(lambda: made.staged() == made.sent, 60)
    return made


def test_what_the_topics_no_longer_have_comes_from_the_lake_once_each(orders: Orders) -> None:
    with orders.replaying(2):
        until(lambda: orders.read(2) == orders.sent, 60)
    whole = orders.made(2)
    assert len(whole) == orders.sent * 9 // 10

    orders.delete(60, topics.staged(orders.live.name))
    orders.delete(70, topics.raw(orders.live.name))
    with orders.replaying(3) as failures:
        until(lambda: orders.read(3) >= orders.sent, 60)
    assert not failures
    assert orders.made(3) == whole
    orders.balances(3)

    with orders.replaying(3), orders.landing():  # and it goes on in the topic
        orders.send()
        until(lambda: orders.read(3) >= orders.sent, 60)
    orders.balances(3)
    assert len(orders.made(3)) == orders.sent * 9 // 10


def test_a_transformer_that_is_killed_in_the_lake_and_at_the_seam_loses_and_doubles_nothing(orders: Orders) -> None:
    orders.delete(60, topics.staged(orders.live.name))
    for commits, when in ((2, "before"), (6, "after"), (1, "before")):
        orders.killed(2, commits, when)
    with orders.replaying(2) as failures:
        until(lambda: orders.read(2) >= orders.sent, 60)
    assert not failures
    orders.balances(2)
    places = [(row["_partition"], row["_offset"]) for row in orders.made(2)]
    assert len(places) == len(set(places)) == orders.sent * 9 // 10


def test_the_topic_alone_has_fewer(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the lake, a replay has what is left."""
    orders.delete(60, topics.staged(orders.live.name))
    monkeypatch.setattr(bootstrap, "FIRST", 2)
    with orders.replaying(2):
        until(lambda: orders.read(2) > 0 and orders.flow.end(topics.transformed(orders.live.name, 2), 1) > 0, 60)
        until(lambda: orders.read(2) >= orders.sent * 35 // 100, 60)
    assert orders.read(2) < orders.sent * 45 // 100

"""The books of a dataset over real topics: in flight while something is left to read, and a residue only when nothing is."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from fastapi.testclient import TestClient

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.ledger import LedgerEntry
from headrace.stream.notices import Notices
from headrace.stream.registry import Registry
from tests.integration.gateway.conftest import MakeGateway
from tests.integration.gateway.test_apply import put
from tests.stack import eventually
from tests.unit.gateway.books import Row, entry

ROWS: set[Row] = {(offset, 0) for offset in range(10)}
DROPPED: set[Row] = {(0, 0), (1, 0)}
ASIDE: set[Row] = {(2, 0)}
GOOD = ROWS - DROPPED - ASIDE


class Stages:
    """Plays the stages of a dataset, each as one Kafka transaction, so that a test decides what they do wrong."""

    def __init__(self, connection: Connection, controls: Controls, dataset: str) -> None:
        self.dataset = dataset
        self._controls = controls
        self._writer = TransactionalWriter(connection, f"test-{dataset}")
        self._admin = AdminClient(connection.client())

    def close(self) -> None:
        self._writer.close()

    def ingest(self, *, caught_up: bool = True) -> None:
        position = {
            "dataset": self.dataset, "connector": "file", "position": "{}", "rows_read": len(ROWS),
            "caught_up": caught_up, "version": 1, "at": datetime.now(UTC),
        }  # fmt: skip
        with self._writer.transaction() as transaction:
            transaction.produce(topics.raw(self.dataset), [b"row"] * len(ROWS), partition=0)
            value = self._controls.encode("source_position", position)
            transaction.produce(topics.SOURCE_POSITIONS, [value], keys=[self.dataset.encode()])
            self._write_entry(transaction, entry("ingest", ROWS))

    def stager(self) -> None:
        self._stage(entry("stager", ROWS), topics.raw(self.dataset), {topics.staged(self.dataset): 10})

    def transformer(self) -> None:
        did = entry("transformer", ROWS, filtered={"dep_time": DROPPED}, quarantined={"check_in": ASIDE})
        outputs = {topics.transformed(self.dataset, 1): 7, topics.quarantine(self.dataset): 1}
        self._stage(did, topics.staged(self.dataset), outputs)

    def quality(self) -> None:
        outputs = {topics.validated(self.dataset, 1): 7}
        self._stage(entry("quality", GOOD), topics.transformed(self.dataset, 1), outputs)

    def loader(self, rows: set[Row] = GOOD) -> None:
        self._stage(entry("loader", rows), topics.validated(self.dataset, 1), {})

    def quarantine_loader(self) -> None:
        self._stage(entry("quarantine_loader", ASIDE), topics.quarantine(self.dataset), {})

    def abort(self, topic: str, rows: int) -> None:
        """Leave records in a topic that nobody may read."""
        with suppress(KeyError), self._writer.transaction() as transaction:
            transaction.produce(topic, [b"never" * 10] * rows, partition=0)
            raise KeyError

    def _stage(self, did: LedgerEntry, source: str, outputs: Mapping[str, int]) -> None:
        with self._writer.transaction() as transaction:
            for topic, rows in outputs.items():
                transaction.produce(topic, [b"row"] * rows, partition=0)
            self._write_entry(transaction, did)
        group = topics.group(did.stage, self.dataset, 1)
        read = {topics.raw(self.dataset): 10, topics.staged(self.dataset): 10, topics.quarantine(self.dataset): 1}
        offsets = ConsumerGroupTopicPartitions(group, [TopicPartition(source, 0, read.get(source, 7))])
        for future in self._admin.alter_consumer_group_offsets([offsets]).values():
            future.result(10)

    def _write_entry(self, transaction: Any, did: LedgerEntry) -> None:
        did = replace(did, dataset=self.dataset, committed_at=datetime.now(UTC))
        value = self._controls.encode("ledger_entry", asdict(did))
        transaction.produce(topics.LEDGER, [value], keys=[self.dataset.encode()])


def document(dataset: str, path: str = "flights.csv") -> str:
    return f"""
dataset: {dataset}
description: Flights.
owner: {{team: mobility}}
source: {{type: file, path: {path}}}
partitions: 1
"""


@pytest.fixture
def client(make_gateway: MakeGateway, domain: str) -> TestClient:
    client = make_gateway()
    assert put(client, f"{domain}.flights", document(f"{domain}.flights"))[0] == 200
    return client


@pytest.fixture
def stages(connection: Connection, controls: Controls, domain: str) -> Iterator[Stages]:
    stages = Stages(connection, controls, f"{domain}.flights")
    yield stages
    stages.close()


def ledger(client: TestClient, stages: Stages) -> dict[str, Any]:
    body: dict[str, Any] = client.get(f"/api/v1/datasets/{stages.dataset}/ledger").json()
    return body


def settled(client: TestClient, stages: Stages) -> dict[str, Any]:
    """The books once nothing is under way; an answer that Kafka was asked in vain (503) is no answer yet."""
    eventually(lambda: ledger(client, stages).get("settled", False), 30, "the dataset is settled")
    return ledger(client, stages)


def test_a_dataset_that_was_worked_through_is_settled_and_balanced(client: TestClient, stages: Stages) -> None:
    stages.ingest()
    stages.stager()
    stages.transformer()
    stages.quality()
    stages.loader()
    stages.quarantine_loader()
    books = settled(client, stages)
    expected = {
        "read": 10, "loaded": 7, "filtered": {"dep_time": 2}, "quarantined": {"check_in": 1},
        "in_flight": 0, "residue": 0, "hashes_agree": True,
    }  # fmt: skip
    assert {name: books[name] for name in expected} == expected
    (partition,) = books["partitions"]
    assert {name: partition[name] for name in expected} == expected
    (status,) = client.get("/api/v1/status", params={"dataset": stages.dataset}).json()["items"]
    assert status["settled"]
    assert [stage["lag_rows"] for stage in status["stages"]] == [None, 0, 0, 0, 0]
    assert status["stages"][0]["rate_rows_s"] > 0
    assert status["stages"][4]["latency_ms"]["p95"] is not None


def test_what_is_left_to_read_is_in_flight_and_the_answer_says_who_has_not_read_it(
    client: TestClient, stages: Stages
) -> None:
    stages.ingest()
    stages.stager()
    stages.transformer()
    eventually(lambda: ledger(client, stages)["in_flight"] == 7, 30, "seven rows are in flight")
    books = ledger(client, stages)
    assert (books["settled"], books["residue"], books["hashes_agree"]) == (False, 0, None)
    assert any(reason.startswith("quality has not read") for reason in books["waiting_for"])
    assert any(reason.startswith("quarantine_loader has not read") for reason in books["waiting_for"])
    assert not any(reason.startswith("stager") for reason in books["waiting_for"])


@pytest.mark.parametrize(
    ("loaded", "residue"),
    [
        pytest.param(GOOD - {(9, 0)}, 1, id="lost"),
        pytest.param(GOOD | {(11, 0)}, 1, id="doubled"),
        pytest.param((GOOD - {(9, 0)}) | {(11, 0)}, 2, id="one lost and one too many: the counts agree"),
    ],
)
def test_rows_that_nothing_explains_are_a_residue_once_nothing_is_left_to_read(
    client: TestClient, stages: Stages, loaded: set[Row], residue: int
) -> None:
    """The negative control of the balanced books above: the same run with a loader that is at fault."""
    stages.ingest()
    stages.stager()
    stages.transformer()
    stages.quality()
    stages.loader(loaded)
    stages.quarantine_loader()
    books = settled(client, stages)
    assert (books["residue"], books["hashes_agree"]) == (residue, False)
    (faulty,) = [hop for hop in books["hops"] if hop["residue"]]
    assert (faulty["source"], faulty["target"], faulty["partition"]) == ("quality", "loader", 0)


def test_records_of_aborted_transactions_do_not_count_as_left_to_read(client: TestClient, stages: Stages) -> None:
    stages.ingest()
    stages.abort(topics.raw(stages.dataset), 5000)
    stages.stager()
    stages.transformer()
    stages.abort(topics.transformed(stages.dataset, 1), 3000)
    stages.quality()
    stages.loader()
    stages.quarantine_loader()
    assert settled(client, stages)["residue"] == 0


def test_a_source_that_is_not_read_to_its_end_is_waited_for(client: TestClient, stages: Stages) -> None:
    stages.ingest(caught_up=False)
    eventually(lambda: ledger(client, stages)["read"] == 10, 30, "the rows are in the books")
    assert "the source has not been read to its end" in ledger(client, stages)["waiting_for"]


def test_what_an_earlier_version_called_the_end_is_not_the_end_of_another_path(
    client: TestClient, stages: Stages
) -> None:
    work_through(stages)
    settled(client, stages)
    assert put(client, stages.dataset, document(stages.dataset, "more.csv"))[1]["version"] == 2
    assert ledger(client, stages)["waiting_for"] == ["the source has not been read to its end"]


@pytest.mark.parametrize("topic", ["raw", "ledger"])
def test_an_open_transaction_hides_what_was_committed_behind_it_so_nothing_is_called_missing(
    client: TestClient, stages: Stages, connection: Connection, topic: str
) -> None:
    work_through(stages)
    settled(client, stages)
    name = {"raw": topics.raw(stages.dataset), "ledger": topics.LEDGER}[topic]
    killed = TransactionalWriter(connection, f"test-killed-{stages.dataset}")
    with suppress(KeyError), killed.transaction() as transaction:
        transaction.produce(name, [b"never"], partition=0)
        reason = f"a transaction is still open on {name}, partition 0"
        eventually(lambda: ledger(client, stages)["waiting_for"] == [reason], 10, "the open transaction is waited for")
        raise KeyError
    assert settled(client, stages)["residue"] == 0
    killed.close()


def test_a_service_that_stopped_is_a_problem_until_it_works_on_the_dataset_again(
    client: TestClient, stages: Stages, connection: Connection, registry: Registry
) -> None:
    stages.ingest()
    said = f"stager stopped working on {stages.dataset}: the lake is full"
    Notices(connection, registry, "stager", "0").incident("dataset_stopped", stages.dataset, said, {"version": 1})
    eventually(lambda: ledger(client, stages)["problems"] == [said], 30, "the incident is a problem")
    assert said in ledger(client, stages)["waiting_for"]
    stages.stager()
    eventually(lambda: ledger(client, stages)["problems"] == [], 30, "the problem is gone")


def work_through(stages: Stages) -> None:
    stages.ingest()
    stages.stager()
    stages.transformer()
    stages.quality()
    stages.loader()
    stages.quarantine_loader()

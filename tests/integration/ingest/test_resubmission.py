"""A quarantined row is written anew once, however often and by however many it is asked for."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from headrace.contract import Contract
from headrace.stream import topics
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.kafka.writer import write_one
from headrace.stream.service import LiveDataset
from services.ingest.adapters.resubmission import Resubmissions
from services.ingest.core.quarantine import Done
from tests.integration.ingest.running import Platform, until
from tests.stack import Stack

FIELDS = {"fields": [{"name": "id", "logicalType": "integer"}]}


@pytest.fixture
def kafka(stack: Stack) -> Platform:
    return Platform(stack)


@pytest.fixture
def dataset(kafka: Platform) -> LiveDataset:
    """No ingest runs, so that the test's own is the only one."""
    name = f"rt.rows_{uuid4().hex[:8]}"
    document = {
        "dataset": name,
        "description": "a test",
        "owner": {"team": "t"},
        "source": {"type": "http_push"},
        "schema": FIELDS,
    }
    contract = Contract.model_validate(document)
    kafka_topics.ensure_dataset(kafka.connection, name, 1, contract.partitions)
    return LiveDataset(name, 1, 1, "active", contract)


class Forgetful(Resubmissions):
    """One that does not look which rows are done with."""

    def _done(self) -> Done:
        return Done()


@contextmanager
def serving(kafka: Platform, dataset: LiveDataset, kind: type[Resubmissions] = Resubmissions) -> Iterator[None]:
    made = kind(
        kafka.connection, kafka.registry, instance=uuid4().hex, session_timeout_ms=6000, transaction_timeout_ms=10_000
    )
    made.learn({dataset.name: dataset})
    try:
        yield
    finally:
        made.close()


def ask(kafka: Platform, dataset: LiveDataset, row: str = "0-7", act: str = "resubmit") -> None:
    now = datetime.now(UTC)
    record = {
        "request": uuid4().hex, "dataset": dataset.name, "row": row, "act": act, "by": "ada", "because": "a test",
        "asked_at": now, "stage": "ingest", "reason": "wrong_type", "partition": 0,
        "value": base64.b64encode(b'{"id": 1}').decode(), "quarantined_at": now,
        "to": "grace" if act == "assign" else None,
    }  # fmt: skip
    value = kafka.controls.encode("quarantine_request", record)
    write_one(kafka.connection, topics.QUARANTINE_REQUESTS, value, dataset.name.encode())


def acts(kafka: Platform, dataset: LiveDataset) -> list[str]:
    """What the quarantine topic says was done."""
    return [record["act"] for record in kafka.quarantine(dataset.name)]


def written(kafka: Platform, dataset: LiveDataset) -> int:
    return len(kafka.messages(topics.raw(dataset.name)))


def test_a_row_is_written_once_by_whoever_is_asked(kafka: Platform, dataset: LiveDataset) -> None:
    with serving(kafka, dataset):
        ask(kafka, dataset)
        ask(kafka, dataset)  # while the first may still be under way
        until(lambda: len(acts(kafka, dataset)) == 2, "both were answered")
    with serving(kafka, dataset):  # another, which has only the topics to know from
        ask(kafka, dataset)
        ask(kafka, dataset, act="discard")
        until(lambda: len(acts(kafka, dataset)) == 4, "all were answered")
    assert acts(kafka, dataset) == ["resubmitted", "refused", "refused", "refused"]
    assert written(kafka, dataset) == 1


def test_a_row_is_assigned_until_it_is_done_with(kafka: Platform, dataset: LiveDataset) -> None:
    asked = ["assign", "assign", "unassign", "discard", "assign"]
    with serving(kafka, dataset):
        for act in asked:
            ask(kafka, dataset, act=act)
        until(lambda: len(acts(kafka, dataset)) == len(asked), "all were answered")
    assert acts(kafka, dataset) == ["assigned", "assigned", "unassigned", "discarded", "refused"]
    assert [record["assigned_to"] for record in kafka.quarantine(dataset.name)][:3] == ["grace", "grace", None]
    assert written(kafka, dataset) == 0


def test_without_a_memory_it_is_written_twice(kafka: Platform, dataset: LiveDataset) -> None:
    """The control of the test before."""
    for _ in range(2):
        with serving(kafka, dataset, Forgetful):
            before = len(acts(kafka, dataset))
            ask(kafka, dataset)
            until(lambda seen=before: len(acts(kafka, dataset)) == seen + 1, "it was answered")  # type: ignore[misc]
    assert written(kafka, dataset) == 2

"""A client that does not answer is given up: the next transaction begins with a new one."""

import gc
import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from headrace.errors import Fenced, Transient
from headrace.stream.kafka import Connection, TransactionalWriter, writer
from tests.stack import eventually


class Client:
    """Stands in for the producer of confluent-kafka, which cannot be made to lose a request: the first one loses its offsets."""

    made: list["Client"]
    released: threading.Event
    failure: Exception | None

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.made.append(self)
        self.calls: list[str] = []

    def send_offsets_to_transaction(self, *_: object) -> None:
        if len(self.made) > 1:
            return
        if self.failure is not None:
            raise self.failure
        self.released.wait(60)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Client]]:
    Client.made, Client.released, Client.failure = [], threading.Event(), None
    monkeypatch.setattr(writer, "Producer", Client)
    monkeypatch.setattr(writer, "_OFFSETS_S", 0.1)
    monkeypatch.setattr(writer, "_GRACE_S", 0.1)
    yield Client
    Client.released.set()


def commit(transactions: TransactionalWriter) -> None:
    with transactions.transaction() as transaction:
        transaction.send_offsets("t", {0: 1}, object())


def test_offsets_that_are_never_answered_cost_one_transaction(client: type[Client]) -> None:
    transactions = TransactionalWriter(Connection("nowhere:1"), "id")
    with pytest.raises(Transient, match="no answer in"):
        commit(transactions)
    commit(transactions)
    first, second = client.made
    assert "commit_transaction" not in first.calls
    assert "commit_transaction" in second.calls


def test_a_client_that_failed_is_forgotten_with_its_error(client: type[Client]) -> None:
    """Without the cycle collector, which services let run seldom."""
    client.failure = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    gc.disable()
    try:
        with pytest.raises(Transient):
            commit(TransactionalWriter(Connection("nowhere:1"), "id"))
        failed = weakref.ref(client.made.pop())
        client.failure = None
        eventually(lambda: failed() is None, 5, "nothing holds the client")
    finally:
        gc.enable()


def test_what_the_client_says_is_passed_on(client: type[Client]) -> None:
    client.failure = KafkaException(KafkaError(KafkaError._FENCED))
    with pytest.raises(Fenced):
        commit(TransactionalWriter(Connection("nowhere:1"), "id"))

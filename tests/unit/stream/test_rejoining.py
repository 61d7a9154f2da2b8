"""A client that is never told where to start is given up, and the group is joined with a new one."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from headrace.errors import Transient
from headrace.stream.kafka import Connection, KafkaSource, source
from tests.stack import eventually


class Client:
    """Stands in for the consumer of confluent-kafka, which cannot be made to lose its coordinator: the first one has none."""

    made: list["Client"]

    def __init__(self, config: Mapping[str, Any]) -> None:
        del config
        self.made.append(self)
        self.assigned: list[list[TopicPartition]] = []
        self.closed = threading.Event()

    def subscribe(self, topics: list[str], on_assign: Callable[..., None], **_: object) -> None:
        del topics
        self.on_assign = on_assign

    def consume(self, most: int, timeout_s: float) -> list[object]:
        """Each client is given its partition by the first poll."""
        del most, timeout_s
        if not self.assigned:
            self.on_assign(self, [TopicPartition("t", 0)])
        return []

    def committed(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        del timeout
        if self is self.made[0]:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return [TopicPartition(position.topic, position.partition, 7) for position in asked]

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned.append(partitions)

    def assignment(self) -> list[TopicPartition]:
        return self.assigned[-1]

    def memberid(self) -> str:
        return f"member {self.made.index(self)}"

    def consumer_group_metadata(self) -> object:
        return self.memberid()

    def close(self) -> None:
        self.on_assign(self, [TopicPartition("t", 5)])  # what a client still says as it leaves counts no more
        self.closed.set()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    Client.made = []
    monkeypatch.setattr(source, "Consumer", Client)
    return Client.made


def poll(reader: KafkaSource, times: int) -> int:
    """Poll, rewinding after each failure, as a pump does. Returns how many polls failed."""
    failures = 0
    rewind = False
    for _ in range(times):
        try:
            if rewind:
                reader.rewind()
            rewind = False
            reader.poll(10, 0)
        except Transient:
            failures += 1
            rewind = True
    return failures


def test_a_client_that_is_never_answered_is_given_up(clients: list[Client]) -> None:
    reader = KafkaSource(Connection("nowhere:1"), "t", "group")
    poll(reader, 10)
    silent, other = clients
    eventually(silent.closed.is_set, 5, "the first client leaves")
    assert [(at.partition, at.offset) for at in other.assigned[-1]] == [(0, 7)]
    assert reader._membership == "member 1"


def test_with_patience_without_end_it_never_reads(clients: list[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: were no client given up, nothing would ever be assigned."""
    monkeypatch.setattr(source, "_SILENCES", 1_000)
    reader = KafkaSource(Connection("nowhere:1"), "t", "group")
    assert poll(reader, 10) == 10
    [silent] = clients
    assert not any(silent.assigned)

"""Whether records have gone through a chain of stages is told neither too early nor never."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest
from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition

from headrace.errors import Transient
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.kafka.chain import Chain, Hop
from tests.stack import Stack, ends, eventually

PARTITIONS = 3


class Line:
    """Two hops: `first` is read by one group, which writes to `second`, which is read by another."""

    def __init__(self, stack: Stack) -> None:
        self.connection = Connection(stack.bootstrap_servers)
        name = f"chain-{uuid.uuid4().hex[:8]}"
        self.hops = [Hop(f"{name}-one", f"{name}.first"), Hop(f"{name}-two", f"{name}.second")]
        kafka_topics.ensure(self.connection, {hop.topic: PARTITIONS for hop in self.hops})
        eventually(self._is_led, 30, "the new topics have leaders")
        self.writer = TransactionalWriter(self.connection, name)
        self.chain = Chain(self.connection, self.hops)

    def _is_led(self) -> bool:
        try:
            return all(ends(self.connection, hop.topic, IsolationLevel.READ_COMMITTED) for hop in self.hops)
        except KafkaException:
            return False

    def write(self, hop: int, partition: int, rows: int) -> None:
        with self.writer.transaction() as transaction:
            transaction.produce(self.hops[hop].topic, [b"x"] * rows, partition=partition)

    def give_up(self, hop: int, partition: int, rows: int) -> None:
        """A transaction that is aborted after its records have been written."""
        with suppress(ZeroDivisionError), self.writer.transaction() as transaction:
            transaction.produce(self.hops[hop].topic, [b"x"] * rows, partition=partition)
            transaction._producer.flush(10)
            raise ZeroDivisionError

    def commit(self, hop: int, offsets: Mapping[int, int]) -> None:
        """As a stage does: up to behind its last record."""
        consumer = Consumer(self.connection.client(group_id=self.hops[hop].group))
        places = [TopicPartition(self.hops[hop].topic, *place) for place in offsets.items()]
        consumer.commit(offsets=places, asynchronous=False)
        consumer.close()

    def passed(self, ends: tuple[int, ...]) -> bool:
        return self.chain.passed(dict(enumerate(ends)))


@pytest.fixture
def line(stack: Stack) -> Iterator[Line]:
    made = Line(stack)
    yield made
    made.writer.close()


def test_nothing_has_passed_when_there_was_nothing(line: Line) -> None:
    assert line.passed((0, 0, 0))


def test_records_have_passed_when_the_last_group_is_behind_them(line: Line) -> None:
    line.write(0, 0, 5)  # and a marker: the end is 6
    assert not line.passed((6, 0, 0))
    line.write(1, 0, 5)
    line.commit(0, {0: 4})
    assert not line.passed((6, 0, 0))
    line.commit(0, {0: 5})
    assert not line.passed((6, 0, 0)), "the second group has read nothing"
    line.commit(1, {0: 4})
    assert not line.passed((6, 0, 0))
    line.commit(1, {0: 5})
    eventually(lambda: line.passed((6, 0, 0)), 10, "nothing but a marker is left")


def test_markers_and_records_that_were_given_up_are_not_waited_for(line: Line) -> None:
    line.give_up(0, 1, 5)
    line.give_up(0, 2, 5)
    line.write(0, 2, 1)
    line.write(1, 2, 1)
    line.give_up(1, 0, 3)
    line.commit(0, {2: 7})
    line.commit(1, {2: 1})
    eventually(lambda: line.passed((0, 6, 8)), 10, "only what was given up is left")


def test_an_open_transaction_in_front_of_the_end_is_waited_for(line: Line) -> None:
    line.write(0, 0, 1)
    line.commit(0, {0: 1})
    other = TransactionalWriter(line.connection, f"{line.hops[0].topic}-other")
    with other.transaction() as transaction:
        transaction.produce(line.hops[1].topic, [b"x"], partition=0)
        transaction._producer.flush(10)
        assert not line.passed((2, 0, 0)), "what is not decided may become a record"
    other.close()
    assert not line.passed((2, 0, 0))
    line.commit(1, {0: 1})
    eventually(lambda: line.passed((2, 0, 0)), 10, "all is decided and read")


def test_a_broker_that_is_away_is_said_to_be(line: Line) -> None:
    chain = Chain(Connection("127.0.0.1:1", {"socket.connection.setup.timeout.ms": "1000"}), line.hops)
    with pytest.raises(Transient):
        chain.passed({0: 1})

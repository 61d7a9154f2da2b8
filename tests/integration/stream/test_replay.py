"""A topic read to its present end: what counts as the end, and where reading goes on after a failure."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer, IsolationLevel, Producer, TopicPartition

from deploy.local import stack as local
from headrace.errors import Transient
from headrace.stream.kafka import Connection, Replay, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.kafka.replay import partition_count
from tests.stack import Stack, eventually, let_commits_arrive


@pytest.fixture
def connection(stack: Stack) -> Connection:
    return Connection(stack.bootstrap_servers)


@pytest.fixture
def topic(connection: Connection) -> str:
    name = f"replay.t_{uuid.uuid4().hex[:8]}"
    kafka_topics.ensure(connection, {name: 2})
    return name


@pytest.fixture
def replay(connection: Connection, topic: str) -> Iterator[Replay]:
    made = Replay(connection, topic, end=IsolationLevel.READ_UNCOMMITTED)  # a commit is not on the partitions at once
    yield made
    made.close()


def write(connection: Connection, topic: str, *values: bytes, partition: int = 0, commit: bool = True) -> None:
    writer = TransactionalWriter(connection, f"write-{topic}")
    with suppress(KeyError), writer.transaction() as transaction:
        transaction.produce(topic, values, partition=partition)
        if not commit:
            raise KeyError
    writer.close()
    let_commits_arrive(connection, topic)


@contextmanager
def open_transaction(connection: Connection, topic: str, value: bytes) -> Iterator[None]:
    """A transaction with one record that is on the broker, and commits at the end."""
    writer = TransactionalWriter(connection, f"open-{topic}", transaction_timeout_ms=60_000)
    with writer.transaction() as transaction:
        transaction.produce(topic, [value], partition=0)
        asking = Consumer(connection.client(group_id="test-end", isolation_level="read_uncommitted"))
        at = TopicPartition(topic, 0)
        eventually(lambda: asking.get_watermark_offsets(at, timeout=10)[1] > 0, 30, "the transaction is open")
        asking.close()
        yield
    writer.close()


def values(replay: Replay) -> list[bytes | None]:
    return [value for records in replay.advance() for value in records.values]


def test_it_reads_all_partitions_to_their_ends_and_then_what_is_new(
    connection: Connection, topic: str, replay: Replay
) -> None:
    assert values(replay) == []
    write(connection, topic, b"a", b"b")
    write(connection, topic, b"c", partition=1)
    write(connection, topic, b"nobody may see this", commit=False)
    assert sorted(map(bytes, filter(None, values(replay)))) == [b"a", b"b", b"c"]
    assert values(replay) == []
    write(connection, topic, b"d")
    assert values(replay) == [b"d"]


def test_it_reads_only_from_where_it_was_sent(connection: Connection, topic: str, replay: Replay) -> None:
    write(connection, topic, b"a", b"b", b"c")
    write(connection, topic, b"x", partition=1)
    assert replay.watermarks() == {0: (0, 4), 1: (0, 2)}  # with the markers of the transactions
    replay.seek({0: 1})
    assert values(replay) == [b"b", b"c"]
    replay.seek({1: 0, 0: 2})
    assert sorted(map(bytes, filter(None, values(replay)))) == [b"c", b"x"]


def test_it_reads_what_was_written_since_a_moment(connection: Connection, topic: str, replay: Replay) -> None:
    now = datetime.now(UTC)
    producer = Producer(connection.client())
    for partition, days in ((0, 5), (0, 4), (0, 2), (0, 0), (1, 4)):
        at_ms = int((now - timedelta(days=days)).timestamp() * 1000)
        producer.produce(topic, str(days).encode(), partition=partition, timestamp=at_ms)
    assert producer.flush(30) == 0
    starts = replay.since(now - timedelta(days=3))
    assert starts == {0: 2, 1: 1}  # of the other nothing is left: its end
    replay.seek(starts)
    assert values(replay) == [b"2", b"0"]
    assert replay.since(now - timedelta(days=30)) == {0: 0, 1: 0}  # the control


def test_what_the_reader_failed_on_is_read_again(connection: Connection, topic: str, replay: Replay) -> None:
    write(connection, topic, b"a", b"b")
    assert values(replay) == [b"a", b"b"]
    write(connection, topic, b"c", b"d")
    with pytest.raises(ZeroDivisionError):
        [1 // 0 for _ in replay.advance()]
    assert values(replay) == [b"c", b"d"]
    assert values(replay) == []


def test_the_end_is_in_front_of_an_open_transaction_or_behind_it(
    connection: Connection, topic: str, replay: Replay
) -> None:
    quick = Replay(connection, topic)
    waiting = Replay(connection, topic, end=IsolationLevel.READ_UNCOMMITTED, timeout_s=1.0)
    with open_transaction(connection, topic, b"open"):
        write(connection, topic, b"behind")
        assert values(quick) == []
        with pytest.raises(Transient, match="a transaction is open"):
            values(waiting)
    assert values(replay) == [b"open", b"behind"]
    assert values(waiting) == [b"open", b"behind"]
    assert values(quick) == [b"open", b"behind"]
    for each in (quick, waiting):
        each.close()


def test_it_reads_on_when_the_broker_was_away(stack: Stack, connection: Connection, topic: str, replay: Replay) -> None:
    quick = Replay(connection, topic)
    write(connection, topic, b"a")
    assert values(replay) == values(quick) == [b"a"]
    local.kill(stack.settings, "kafka")
    impatient = Replay(connection, topic, timeout_s=1.0)
    with pytest.raises(Transient):
        values(impatient)
    local.restart(stack.settings, "kafka")
    assert values(replay) == values(quick) == []
    write(connection, topic, b"b")
    assert values(replay) == values(quick) == [b"b"]
    assert values(impatient) == [b"a", b"b"]
    for each in (quick, impatient):
        each.close()


def test_a_topic_that_is_not_there_may_come(connection: Connection) -> None:
    missing = f"replay.t_{uuid.uuid4().hex[:8]}"
    replay = Replay(connection, missing, end=IsolationLevel.READ_UNCOMMITTED)
    with pytest.raises(Transient, match=missing):
        values(replay)
    kafka_topics.ensure(connection, {missing: 3})
    write(connection, missing, b"a")
    assert values(replay) == [b"a"]
    replay.close()
    consumer = Consumer(connection.client(group_id="test-count"))
    assert partition_count(consumer, missing) == 3
    consumer.close()

"""What the Kafka clients do when something goes wrong half way, against a real broker."""

import uuid
from collections.abc import Mapping

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from headrace.errors import HeadraceError, Transient
from headrace.stream.kafka import Connection, Followed, KafkaSource, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from tests.stack import Stack, eventually, let_commits_arrive


@pytest.fixture
def connection(stack: Stack) -> Connection:
    return Connection(stack.bootstrap_servers)


@pytest.fixture
def topic(connection: Connection) -> str:
    name = f"clients.t_{uuid.uuid4().hex[:8]}"
    kafka_topics.ensure(connection, {name: 1})
    return name


def committed(connection: Connection, topic: str) -> list[bytes]:
    consumer = Consumer(
        connection.client(group_id=uuid.uuid4().hex, isolation_level="read_committed", enable_partition_eof=True)
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    while (message := consumer.poll(10)) is not None and message.error() is None:
        found.append(message.value() or b"")
    consumer.close()
    return found


def write(connection: Connection, topic: str, *values: bytes, keys: list[bytes | None] | None = None) -> None:
    writer = TransactionalWriter(connection, f"write-{topic}")
    with writer.transaction() as transaction:
        transaction.produce(topic, values, partition=0, keys=keys)
    writer.close()
    let_commits_arrive(connection, topic)


def test_a_message_the_producer_refuses_takes_the_whole_transaction_with_it(connection: Connection, topic: str) -> None:
    """The producer takes what comes before and after it: counting how many were taken would lose one and double another."""
    with pytest.raises(HeadraceError, match="MSG_SIZE_TOO_LARGE"):
        write(connection, topic, b"a", b"x" * (17 << 20), b"b", b"c")
    assert committed(connection, topic) == []
    write(connection, topic, b"a", b"b")
    assert committed(connection, topic) == [b"a", b"b"]


def test_a_source_whose_start_cannot_be_asked_at_first_reads_on_later(connection: Connection, topic: str) -> None:
    write(connection, topic, b"a", b"b", b"c")
    trouble = [Transient("the lake is away"), Transient("the lake is away")]

    def positions(partitions: list[int]) -> Mapping[int, int]:
        if trouble:
            raise trouble.pop()
        return {0: 1}

    source = KafkaSource(connection, topic, f"late-{topic}", positions=positions, session_timeout_ms=6000)
    values: list[bytes | None] = []
    failed = False
    for _ in range(100):
        try:
            if failed:
                source.rewind()
            delivery, failed = source.poll(10, 0.2), False
        except Transient:
            failed = True
            continue
        values += delivery.records.values if delivery is not None else []
        if len(values) >= 2:
            break
    source.close()
    assert values == [b"b", b"c"]


def follow(connection: Connection, topic: str, *trouble: Exception) -> Followed[str]:
    """Follows the topic, and meets `trouble` when it decodes the value `later`."""
    ahead = list(trouble)

    def decode(value: bytes) -> str:
        if value == b"later" and ahead:
            raise ahead.pop()
        return value.decode("ascii")

    return Followed(connection, topic, decode)


def test_a_followed_topic_keeps_the_latest_readable_value_of_each_key(connection: Connection, topic: str) -> None:
    write(connection, topic, b"one", b"two", keys=[b"a", b"b"])
    followed = follow(connection, topic)
    assert followed.refresh() == {"a", "b"}
    write(connection, topic, b"\xff\xfe", b"three", keys=[b"a", b"b"])
    assert followed.refresh() == {"b"}
    assert followed.state == {"a": "one", "b": "three"}
    assert followed.refresh() == set()
    followed.close()


def test_a_followed_record_that_could_not_be_decoded_yet_is_read_again(connection: Connection, topic: str) -> None:
    write(connection, topic, b"now", keys=[b"b"])
    followed = follow(connection, topic, Transient("the registry is away"))
    assert followed.refresh() == {"b"}
    write(connection, topic, b"later", b"then", keys=[b"a", b"b"])
    with pytest.raises(Transient, match="the registry is away"):
        followed.refresh()
    assert followed.refresh() == {"a", "b"}
    assert followed.state == {"a": "later", "b": "then"}
    followed.close()


def test_a_key_whose_last_record_says_nothing_is_known_to_be_so(connection: Connection, topic: str) -> None:
    write(connection, topic, b"\xff\xfe", b"two", keys=[b"a", b"b"])
    followed = follow(connection, topic)
    followed.refresh()
    assert followed.unreadable == {"a"}
    write(connection, topic, b"one", keys=[b"a"])
    followed.refresh()
    assert followed.unreadable == set()
    followed.close()


def test_following_does_not_wait_for_a_transaction_that_is_open(connection: Connection, topic: str) -> None:
    write(connection, topic, b"one", keys=[b"a"])
    followed = follow(connection, topic)
    open_writer = Producer(connection.client(transactional_id=f"open-{topic}"))
    open_writer.init_transactions(30)
    open_writer.begin_transaction()
    open_writer.produce(topic, b"two", b"a", partition=0)
    open_writer.flush(10)
    assert followed.refresh() == {"a"}
    assert followed.refresh() == set()
    open_writer.commit_transaction(30)  # decided; the partition learns of it a moment later
    eventually(lambda: followed.refresh() == {"a"}, 30, "the record is seen")
    assert followed.state == {"a": "two"}
    followed.close()

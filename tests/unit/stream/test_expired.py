"""What becomes of a reader whose next record is no longer there. The broker is the one that the Kafka client brings along."""

import time
from collections.abc import Iterator
from typing import Literal

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from headrace.errors import Fatal
from headrace.stream.kafka import KafkaSource
from headrace.stream.kafka.connection import Connection
from headrace.stream.pump import Delivery

TOPIC = "requests"


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A broker that keeps 5 MB of a partition, where a topic has had 6 since its group read the first record."""
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 2})
    [found] = producer.list_topics(timeout=10).brokers.values()
    for _ in range(12):
        producer.produce(TOPIC, b"x" * 500_000, partition=0)
        producer.flush(10)
    yield f"{found.host}:{found.port}"
    producer.flush(1)


def source(broker: str, lost: Literal["error", "earliest"]) -> KafkaSource:
    group = f"group-{lost}"
    consumer = Consumer({"bootstrap.servers": broker, "group.id": group, "enable.auto.commit": False})
    low, _ = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=10)
    assert low > 1
    consumer.commit(offsets=[TopicPartition(TOPIC, 0, 1)], asynchronous=False)
    consumer.close()
    return KafkaSource(Connection(broker), TOPIC, group, lost=lost)


def first(reader: KafkaSource) -> Delivery:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (delivery := reader.poll(10, 0.2)) is not None:
            return delivery
    raise AssertionError("nothing was read")


def test_a_reader_of_what_may_expire_goes_on(broker: str) -> None:
    reader = source(broker, "earliest")
    try:
        assert first(reader).records.offset[0].as_py() > 1
    finally:
        reader.close()


def test_a_reader_of_what_counts_stops(broker: str) -> None:
    reader = source(broker, "error")
    try:
        with pytest.raises(Fatal, match="deleted by retention"):
            first(reader)
    finally:
        reader.close()

"""The Kafka pair keeps the promises of the seams, against a real broker and a real registry."""

import uuid
from collections.abc import Sequence

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from headrace.stream import topics
from headrace.stream.kafka import Connection, KafkaSink, KafkaSource, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.outputs import Outputs
from headrace.stream.registry import Registry
from tests.contract.stream.seams import SeamBehaviour
from tests.stack import Stack, let_commits_arrive


class KafkaPair:
    def __init__(self, stack: Stack) -> None:
        self.dataset = f"seams.kafka_{uuid.uuid4().hex[:8]}"
        self.connection = Connection(stack.bootstrap_servers)
        self.registry = Registry(stack.registry_url)
        kafka_topics.ensure_control(self.connection)
        kafka_topics.ensure_dataset(self.connection, self.dataset, 1, 2)

    def send(self, values: Sequence[bytes | None], partition: int = 0) -> None:
        producer = Producer(self.connection.client())
        for value in values:
            producer.produce(topics.staged(self.dataset), value, partition=partition)
        assert producer.flush(10) == 0

    def source(self, group: str) -> KafkaSource:
        return KafkaSource(self.connection, topics.staged(self.dataset), f"{group}-{self.dataset}")

    def sink(self, outputs: Outputs) -> KafkaSink:
        return KafkaSink(TransactionalWriter(self.connection, f"tx-{self.dataset}-{uuid.uuid4().hex}"), outputs)

    def values(self, topic: str) -> list[bytes]:
        """Everything committed to a topic, partition by partition."""
        let_commits_arrive(self.connection, topic)
        consumer = Consumer(
            self.connection.client(
                group_id=uuid.uuid4().hex,
                isolation_level="read_committed",
                enable_partition_eof=True,
                fetch_wait_max_ms=20,
            )
        )
        found = []
        for number in sorted(consumer.list_topics(topic).topics[topic].partitions):
            consumer.assign([TopicPartition(topic, number, 0)])
            while True:
                message = consumer.poll(10)
                assert message is not None, f"{topic} does not answer"
                if message.error() is not None:
                    break
                found.append(message.value() or b"")
        consumer.close()
        return found


class TestKafka(SeamBehaviour):
    @pytest.fixture
    def pair(self, stack: Stack) -> KafkaPair:
        return KafkaPair(stack)

"""The only Kafka client code: consumer, transactional producer, topics, a topic read to its end or kept in memory."""

from headrace.stream.kafka.connection import Connection
from headrace.stream.kafka.followed import Followed
from headrace.stream.kafka.replay import Replay
from headrace.stream.kafka.sink import KafkaSink
from headrace.stream.kafka.source import KafkaSource
from headrace.stream.kafka.writer import Transaction, TransactionalWriter

__all__ = ["Connection", "Followed", "KafkaSink", "KafkaSource", "Replay", "Transaction", "TransactionalWriter"]

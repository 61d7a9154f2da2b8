"""The only Kafka client code: consumer, transactional producer, topics, topics read to their ends, in memory, or in a thread."""

from headrace.stream.kafka.connection import Connection
from headrace.stream.kafka.followed import Followed
from headrace.stream.kafka.follower import Follower
from headrace.stream.kafka.questions import Questions
from headrace.stream.kafka.replay import Replay
from headrace.stream.kafka.sink import KafkaSink
from headrace.stream.kafka.sole_writer import SoleWriter
from headrace.stream.kafka.source import KafkaSource
from headrace.stream.kafka.writer import Transaction, TransactionalWriter

__all__ = [
    "Connection",
    "Followed",
    "Follower",
    "KafkaSink",
    "KafkaSource",
    "Questions",
    "Replay",
    "SoleWriter",
    "Transaction",
    "TransactionalWriter",
]

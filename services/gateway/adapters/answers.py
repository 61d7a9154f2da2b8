"""Listens for what is answered over a topic to a question that is asked meanwhile."""

import time
from collections.abc import Iterator
from typing import Final, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.stream.kafka import Connection
from headrace.stream.kafka.connection import mapped

_REPLY_S: Final = 5.0
_POLL_S: Final = 0.2


class Answers:
    """What is written to a topic of one partition from now on. Errors: Transient when Kafka does not answer."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._topic = topic
        self._consumer = Consumer(
            connection.client(
                group_id=f"headrace-gateway{topic}",  # required by the client, never joined
                enable_auto_commit=False,
                auto_offset_reset="latest",
                isolation_level="read_committed",
                fetch_wait_max_ms=50,
            )
        )
        try:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=_REPLY_S)
            self._consumer.assign([TopicPartition(topic, 0, end)])
        except KafkaException as error:
            self._consumer.close()
            raise mapped(error, f"listening to {topic}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def of(self, question: str, patience_s: float, first_s: float | None = None) -> Iterator[bytes]:
        """The records with this key, until nobody wants more or the time is over. Errors: Transient.

        Where a sign of life comes at once, `first_s` is the time for the first.
        """
        began, heard = time.monotonic(), False
        while time.monotonic() < began + (patience_s if heard or first_s is None else min(first_s, patience_s)):
            message = self._consumer.poll(_POLL_S)
            if message is None:
                continue
            if (failure := message.error()) is not None:
                raise mapped(failure, f"reading {self._topic}")
            if message.key() == question.encode():
                heard = True
                yield message.value() or b""

    def close(self) -> None:
        """Listen no more."""
        self._consumer.close()

"""Hands what is asked over a topic to one instance of those that share a group, each question once.

A question that was taken by an instance that then died is not taken again: whoever asks waits for a while and asks anew.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Producer

from headrace.errors import Fatal
from headrace.stream.control import Controls
from headrace.stream.kafka.connection import Connection, mapped
from headrace.stream.kafka.follower import Follower
from headrace.stream.kafka.topics import MOST_MESSAGE_BYTES

log = logging.getLogger(__name__)

_WAIT_S: Final = 0.2
_LINGER_S: Final = 0.05
_PAUSE_S: Final = 1.0
_REPLY_S: Final = 10.0


class Questions:
    """Follows a topic in a thread of its own. `take` gets a producer for the answers, and at most `most` questions at a time.

    What cannot be read is logged and left, as is a question that nobody waits for any more (`until`).
    """

    def __init__(
        self,
        connection: Connection,
        controls: Controls,
        topic: str,
        group: str,
        take: Callable[[Producer, Sequence[dict[str, Any]]], None],
        most: int = 1,
    ) -> None:
        self._connection = connection
        self._controls = controls
        self._topic = topic
        self._group = group
        self._take = take
        self._most = most
        self._follower = Follower(f"questions of {topic}", self._session)

    def start(self) -> None:
        """Begin, if it has not begun."""
        self._follower.start()

    def close(self) -> None:
        """Stop. What is taken in other threads is left: its askers hear nothing more."""
        self._follower.close()

    def _session(self, stopping: threading.Event) -> None:
        """Take questions until told to stop. Errors: whatever stands in the way."""
        producer = Producer(
            self._connection.client(enable_idempotence=True, linger_ms=0, message_max_bytes=MOST_MESSAGE_BYTES)
        )
        consumer = Consumer(
            self._connection.client(
                group_id=self._group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
            )
        )
        try:
            consumer.subscribe([self._topic])
            while not stopping.is_set():
                if values := self._next(consumer, stopping):
                    consumer.commit(asynchronous=False)  # taken once, answered or not
                    self._take(producer, [question for value in values for question in self._asked(value)])
        finally:
            consumer.close()
            producer.flush(_REPLY_S)

    def _asked(self, value: bytes) -> Sequence[dict[str, Any]]:
        """The question in a value, unless there is none. Errors: Transient (the registry)."""
        try:
            question = self._controls.decode(value)
        except Fatal:
            log.exception("a record of %s cannot be read", self._topic)
            return ()
        until = question.get("until")
        return (question,) if until is None or until > datetime.now(UTC) else ()

    def _next(self, consumer: Consumer, stopping: threading.Event) -> list[bytes]:
        messages = consumer.consume(1, _WAIT_S)
        messages += consumer.consume(self._most - 1, _LINGER_S) if messages and self._most > 1 else []
        for message in messages:
            if (failure := message.error()) is None:
                continue
            if failure.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise mapped(failure, f"reading {self._topic}")
            stopping.wait(_PAUSE_S)  # the datasets' follower makes the topics
        return [message.value() or b"" for message in messages if message.error() is None]

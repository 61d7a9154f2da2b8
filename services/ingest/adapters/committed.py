"""Reads a partition of a control topic up to everything that was committed before the call.

A reader of committed records stops where the oldest open transaction of any writer starts, and calls that the end. What
this process must know (how far a source was read, which requests were accepted) may stand behind it, so the end is
asked for without isolation first, and waited for.
"""

import time
from collections.abc import Iterator
from typing import Final, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from headrace.errors import Transient
from headrace.stream.kafka.connection import Connection, mapped

_REPLY_S: Final = 10.0


class CommittedReader:
    """Reads on through one partition from its start. One thread at a time."""

    def __init__(self, connection: Connection, topic: str, partition: int) -> None:
        self._at = TopicPartition(topic, partition, OFFSET_BEGINNING)
        self._position = 0
        self._connection = connection
        self._consumer = Consumer(
            connection.client(
                group_id=f"headrace-read-{topic}",
                enable_auto_commit=False,
                isolation_level="read_committed",
                auto_offset_reset="earliest",
                fetch_wait_max_ms=100,
                enable_partition_eof=True,
            )
        )
        self._consumer.assign([self._at])

    def read_on(self, deadline_s: float = 60.0) -> Iterator[tuple[bytes, bytes | None]]:
        """(key, value) of the records since the last call.

        Errors: Transient when an open transaction is in the way for too long.
        """
        end = self._end()
        deadline = time.monotonic() + deadline_s
        while self._position < end:
            if time.monotonic() > deadline:
                raise Transient(f"{self._at.topic}: a transaction has been open for more than {deadline_s:g} s")
            message = self._consumer.poll(0.5)
            if message is None:
                continue
            failure, offset = message.error(), cast(int, message.offset())
            if failure is None:
                self._position = offset + 1
                yield message.key() or b"", message.value()
            elif failure.code() == failure._PARTITION_EOF:
                self._position = max(self._position, offset)
            else:
                raise mapped(failure, f"reading {self._at.topic}")

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _end(self) -> int:
        """The offset after the last record, committed or not."""
        consumer = Consumer(self._connection.client(group_id="headrace-read-end", isolation_level="read_uncommitted"))
        try:
            end: int = consumer.get_watermark_offsets(
                TopicPartition(self._at.topic, self._at.partition), timeout=_REPLY_S
            )[1]
        except KafkaException as error:
            raise mapped(error, f"asking for the end of {self._at.topic}") from error
        finally:
            consumer.close()
        return end


def partition_count(connection: Connection, topic: str) -> int:
    """How many partitions a topic has. Errors: Transient."""
    consumer = Consumer(connection.client(group_id="headrace-read-end"))
    try:
        found = consumer.list_topics(topic, timeout=_REPLY_S).topics[topic]
    except KafkaException as error:
        raise mapped(error, f"asking for {topic}") from error
    finally:
        consumer.close()
    if found.error is not None:
        raise mapped(found.error, f"asking for {topic}")
    return len(found.partitions)

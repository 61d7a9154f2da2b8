"""Looks single records of raw topics up: what stands at an offset, and where a topic was at some time."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.kafka.connection import Connection, mapped

_REPLY_S: Final = 10.0


class Forgotten(LookupError):
    """What was asked is older than what the topic still holds."""


class RawRecord(NamedTuple):
    """What stands at an offset, and when it was written there."""

    value: bytes | None
    key: bytes | None
    at: datetime


class RawTopics:
    """Used by one thread at a time."""

    def __init__(self, connection: Connection) -> None:
        self._consumer = Consumer(
            connection.client(
                group_id="headrace-ingest-raw",  # required by the client, never joined
                enable_auto_commit=False,
                auto_offset_reset="error",
                isolation_level="read_committed",
                fetch_wait_max_ms=50,
            )
        )

    def record(self, dataset: str, partition: int, offset: int) -> RawRecord | None:
        """The record at an offset; None where it is no longer there. Errors: Transient."""
        return self._record(TopicPartition(topics.raw(dataset), partition, offset))

    def offset_before(self, dataset: str, partition: int, at: datetime) -> int:
        """The last offset of a partition before some time; -1 where there is none.

        Errors: Forgotten when the topic no longer reaches back that far; Transient.
        """
        ms = int(at.timestamp() * 1000)
        place = TopicPartition(topics.raw(dataset), partition, ms)
        try:
            low, high = self._consumer.get_watermark_offsets(place, timeout=_REPLY_S)
            [found] = self._consumer.offsets_for_times([place], timeout=_REPLY_S)
        except KafkaException as error:
            raise mapped(error, f"looking up {at} in {place.topic}") from error
        first = found.offset if found.offset >= 0 else high
        if low > 0 and first <= low:
            raise Forgotten(f"the raw topic reaches back to offset {low} only")
        return first - 1

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _record(self, place: TopicPartition) -> RawRecord | None:
        try:
            low, high = self._consumer.get_watermark_offsets(place, timeout=_REPLY_S)
            if not low <= place.offset < high:
                return None
            self._consumer.assign([place])
            deadline = time.monotonic() + _REPLY_S
            while time.monotonic() < deadline:
                message = self._consumer.poll(0.5)
                if message is None:
                    continue
                if (failure := message.error()) is not None:
                    if failure.code() == KafkaError._AUTO_OFFSET_RESET:
                        return None
                    raise mapped(failure, f"reading {place.topic}")
                if message.offset() != place.offset:
                    return None
                _, ms = message.timestamp()
                return RawRecord(message.value(), message.key(), datetime.fromtimestamp(ms / 1000, UTC))
        except KafkaException as error:
            raise mapped(error, f"reading {place.topic}") from error
        finally:
            self._consumer.unassign()
        raise Transient(f"reading {place.topic}: no answer in {timedelta(seconds=_REPLY_S)}")

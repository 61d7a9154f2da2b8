"""Where topics end, asked again and again over one connection."""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from headrace.errors import HeadraceError, Transient
from headrace.stream.kafka.connection import Connection, mapped
from headrace.stream.kafka.replay import partition_count

_REPLY_S: Final = 10.0


class Ends:
    """The ends of the partitions of topics, behind open transactions too. One thread at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._admin: AdminClient | None = None
        self._partitions: dict[str, int] = {}

    def of(self, topics: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """The end of each partition of each topic, in their order. Errors: Transient, Fatal."""
        try:
            return self._asked(list(topics))
        except (KafkaException, TimeoutError) as error:
            self._admin = None
            if isinstance(error, KafkaException):
                raise mapped(error, "asking where topics end") from error
            raise Transient(f"asking where topics end: no answer in {_REPLY_S:g} s") from error
        except HeadraceError:
            self._admin = None
            raise

    def _asked(self, topics: list[str]) -> dict[str, tuple[int, ...]]:
        if self._admin is None:
            self._admin = AdminClient(self._connection.client())
        for topic in topics:
            if topic not in self._partitions:
                self._partitions[topic] = partition_count(self._admin, topic)
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        places = [TopicPartition(topic, number) for topic in topics for number in range(self._partitions[topic])]
        asked = (
            self._admin.list_offsets(dict.fromkeys(places, latest), isolation_level=IsolationLevel.READ_UNCOMMITTED)
            if places
            else {}
        )
        found = {(at.topic, at.partition): future.result(_REPLY_S).offset for at, future in asked.items()}
        return {topic: tuple(found[topic, number] for number in range(self._partitions[topic])) for topic in topics}

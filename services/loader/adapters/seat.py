"""Who of several does work that needs one: the member to which a group gives the one partition of a topic."""

import logging
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.stream.kafka import Connection

log = logging.getLogger(__name__)

_POLL_S: Final = 0.25


class Seat:
    """A member of a group that fetches nothing. One thread at a time.

    Having the seat is not what keeps work from being done twice (that is the transactional id of who sits on it): it
    keeps two from trying.
    """

    def __init__(self, connection: Connection, topic: str, group: str, session_timeout_ms: int) -> None:
        self._taken = False
        self._consumer = Consumer(
            connection.client(
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="latest",
                partition_assignment_strategy="range",
                session_timeout_ms=session_timeout_ms,
                heartbeat_interval_ms=max(100, session_timeout_ms // 5),
            )
        )
        self._consumer.subscribe([topic], on_assign=self._gained, on_revoke=self._lost, on_lost=self._lost)

    def taken(self) -> bool:
        """Whether the seat is this member's. Called again and again, since it may be given to another meanwhile."""
        try:
            self._consumer.poll(_POLL_S)
        except KafkaException as error:
            log.info("waiting for a seat: %s", error)
        return self._taken

    def close(self) -> None:
        """Leave it to others."""
        self._consumer.close()

    def _gained(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.assign(partitions)
        consumer.pause(partitions)
        self._taken = bool(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        del partitions
        self._taken = False
        consumer.unassign()

"""Takes away what a capture has set up: its connector, slot, publication, topics and password, as far as they are Headrace's.

Each part is tried, whatever became of the others, since what matters most is the slot: the database keeps its log for it until
the disk is full. A slot that is in use cannot be dropped, so one that is dropped while Kafka Connect is away was nobody's then;
should Connect come back with the connector, that is taken away at the next attempt, and what it made with it.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from headrace.connector import Remnant
from headrace.errors import HeadraceError, Transient
from headrace.stream.kafka import Connection
from headrace.stream.kafka.connection import mapped
from services.ingest.connectors.cdc import passwords
from services.ingest.connectors.cdc.connect import Connect
from services.ingest.connectors.cdc.database import Log
from services.ingest.connectors.cdc.names import Names

log = logging.getLogger(__name__)

SLOT: Final = "slot"
PUBLICATION: Final = "publication"
_REPLY_S: Final = 30.0
_LET_GO_S: Final = 30.0  # a task that has just ended may still hold the slot


@dataclass(frozen=True, slots=True)
class Departure:
    """What is to be taken away, and where it is. `where` names the database; `log` asks it: None where it keeps no slot."""

    names: Names
    made: Collection[str]
    connect: Connect
    connection: Connection
    where: str
    log: Callable[[], Log | None]
    secrets: Path

    def take(self) -> list[Remnant]:
        """Take it away; returns what is left. May be called again."""
        left = list(self._left())
        if not left:
            log.info("capture %s is taken away", self.names.connector, extra={"dataset": self.names.dataset})
        return left

    def _left(self) -> Iterator[Remnant]:
        worker, url = f"the connector {self.names.connector} in Kafka Connect", self.connect.url
        ended = _remnant(
            self._end_connector,
            worker,
            f"curl -X DELETE {url}/connectors/{self.names.connector}, with the connector stopped and its offsets deleted first",
        )
        slot = self.names.slot
        dropped = _remnant(
            self._drop_slot,
            f"the replication slot {slot} in {self.where}, for which the database keeps its log",
            f"SELECT pg_drop_replication_slot('{slot}')",
        )
        unpublished = _remnant(
            self._unpublish, f"the publication {slot} in {self.where}", f'DROP PUBLICATION IF EXISTS "{slot}"'
        )
        yield from filter(None, (ended, dropped, unpublished))
        if ended is None:  # a worker that goes on would make them again
            owned = [self.names.heartbeats, self.names.history, self.names.topic]
            by_hand = f"kafka-topics.sh --delete --topic '{'|'.join(owned)}'"
            if (kept := _remnant(lambda: _delete_topics(self.connection, owned), "its topics", by_hand)) is not None:
                yield kept
            passwords.take_back(self.secrets, self.names.secret)

    def _end_connector(self) -> None:
        name = self.names.connector
        self.connect.halt(name)
        self.connect.forget(name)
        self.connect.delete(name)

    def _drop_slot(self) -> None:
        if SLOT not in self.made or (held := self.log()) is None:
            return
        deadline = time.monotonic() + _LET_GO_S
        while (slot := held.slot(self.names.slot)) is not None and slot.active:
            if time.monotonic() > deadline:
                raise Transient("it is in use")
            time.sleep(0.2)
        held.drop(self.names.slot)

    def _unpublish(self) -> None:
        if PUBLICATION in self.made and (held := self.log()) is not None:
            held.unpublish(self.names.slot)


def _remnant(take: Callable[[], None], what: str, by_hand: str) -> Remnant | None:
    """Take something away; what is left when that fails."""
    try:
        take()
    except HeadraceError as error:
        return Remnant(what, str(error), by_hand)
    return None


def _delete_topics(connection: Connection, names: list[str]) -> None:
    admin = AdminClient(connection.client())
    for name, future in admin.delete_topics(names, operation_timeout=_REPLY_S).items():
        try:
            future.result(_REPLY_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise mapped(error, f"deleting topic {name}") from error
        except TimeoutError as error:
            raise Transient(f"deleting topic {name}: no answer in {_REPLY_S:g} s") from error

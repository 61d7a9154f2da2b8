"""Keeps a dataset's capture going: its connector in Kafka Connect, its topic, its slot; begins it and looks after it.

A slot that is gone, or whose log is gone, is never made anew in silence: the changes since then are lost, and only a
snapshot mends that, which a person asks for.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from headrace.errors import Fatal, Transient
from headrace.stream import metrics
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.kafka.connection import mapped
from services.ingest.connectors.cdc import passwords
from services.ingest.connectors.cdc.config import Config
from services.ingest.connectors.cdc.connect import Connect, Status
from services.ingest.connectors.cdc.database import Log, Slot
from services.ingest.connectors.cdc.names import Names

log = logging.getLogger(__name__)

_LOOK_S: Final = 2.0
_SAY_EVERY_S: Final = 60.0
_FIRST_WAIT_S, _MOST_WAIT_S = 2.0, 60.0  # between restarts of a task that fails
_REPLY_S: Final = 30.0
_TOPIC: Final = {"retention.ms": "-1", "max.message.bytes": str(kafka_topics.MOST_MESSAGE_BYTES)}

#: What Debezium says when the log it has to go on from is not there any more.
_LOST: Final = (
    "no longer available on the server",
    "requested WAL segment",
    "can no longer get changes from replication slot",
    "Could not find first log file name",
    "purged required binary logs",
    "required GTIDs have been purged",
    "required binlog files have been purged",
)
#: What a database says that trying again does not change.
_REFUSED: Final = (
    "password authentication failed",
    "permission denied",
    "must be owner of",
    "must be superuser or",
    "Access denied for user",
)
#: What Debezium says of a definition of a table that it cannot read, be it another table's of the same database.
_UNPARSED: Final = "DDL statement couldn't be parsed"
#: Where Debezium's snapshot of MariaDB fails on the year 0000 (it would be 2000 if the driver were told to make a number of it).
_YEAR_ZERO: Final = "java.sql.Date.valueOf("


@dataclass
class Capture:
    """The capture of one snapshot's number. One thread at a time.

    `log` is None where the database keeps no slot; there, `behind` says how many bytes of log are behind an offset.
    """

    names: Names
    config: Config
    connect: Connect
    connection: Connection
    log: Log | None
    secrets: Path
    password: SecretStr | None
    behind: Callable[[Mapping[str, Any]], int | None] = lambda _: None
    _settled: bool = False
    _looked_at: float = 0.0
    _said_at: float = 0.0
    _restart_at: float = 0.0
    _wait_s: float = field(default=_FIRST_WAIT_S)

    @property
    def settled(self) -> bool:
        """Whether the snapshot is behind it and changes follow."""
        return self._settled

    def begin(self, *, anew: bool) -> None:
        """Let it run: as it was, when it did; from the snapshot, when it never has. `anew` says that nothing of it was read.

        Errors: Transient, Fatal.
        """
        begun = not anew or self.connect.offsets(self.names.connector)
        if begun and topic_id(self.connection, self.names.topic) is None:
            raise self._lost(f"the topic {self.names.topic} was deleted")
        changed = self._leave_password()
        kafka_topics.ensure(self.connection, {self.names.topic: 1}, _TOPIC)
        self._guard()
        if self.connect.ensure(self.names.connector, self.config):
            log.info("capture %s is set up", self.names.connector, extra={"dataset": self.names.dataset})
        self.connect.resume(self.names.connector)
        if changed:
            self.connect.restart(self.names.connector)

    def look(self) -> None:
        """See, now and then, whether it runs; start a failed task again. Errors: Fatal when only a person can help; Transient."""
        now = time.monotonic()
        if now < self._looked_at + _LOOK_S:
            return
        self._looked_at = now
        status = self.connect.status(self.names.connector)
        if status is not None and status.failed:
            self._revive(status, now)
            return
        if status is not None and status.running:
            self._wait_s = _FIRST_WAIT_S
            self._settled = self._settled or self._past_snapshot()
        self._tell(self._guard(), now)

    def _leave_password(self) -> bool:
        if self.password is None:
            return False
        return passwords.leave(self.secrets, self.names.secret, self.password)

    def _guard(self) -> Slot | None:
        """The slot. Errors: Fatal when it held changes that were not read, and does so no more."""
        if self.log is None:
            return None
        slot = self.log.slot(self.names.slot)
        begun = bool(self.connect.offsets(self.names.connector))
        if begun and slot is None:
            self.connect.stop(self.names.connector)
            raise self._lost(f"the replication slot {self.names.slot} was dropped")
        if slot is not None and slot.lost:
            self.connect.stop(self.names.connector)
            raise self._lost(
                f"the replication slot {self.names.slot} has lost its log: it was further behind than max_slot_wal_keep_size"
            )
        return slot

    def _lost(self, what: str) -> Fatal:
        return Fatal(
            f"{what}, and changes with it; set `source.snapshot` to {self.names.snapshot + 1} "
            "in the dataset file to have every row read again"
        )

    def _past_snapshot(self) -> bool:
        offsets = self.connect.offsets(self.names.connector)
        return bool(offsets) and not any("snapshot" in offset for offset in offsets)

    def _revive(self, status: Status, now: float) -> None:
        self._guard()
        if any(said in status.trace for said in _LOST):
            self.connect.stop(self.names.connector)
            raise self._lost(f"Debezium cannot go on ({status.cause})")
        if any(said in status.trace for said in _REFUSED):
            raise Fatal(
                f"Debezium is refused by the database: {status.cause}; "
                "docs/sources/changes.md says what its user needs to be allowed"
            )
        if _UNPARSED in status.trace:
            raise Fatal(
                f"Debezium does not understand a definition in the database's log: {status.cause[:500]}; where it is another "
                f"table's, set `source.snapshot` to {self.names.snapshot + 1} in the dataset file to begin behind it"
            )
        if _YEAR_ZERO in status.trace:
            raise Fatal(
                "Debezium cannot read the year 0000 of a column of type year in a snapshot: make another year, or null, of it in "
                "the database; then resume the source"
            )
        if now < self._restart_at:
            return
        log.warning(
            "capture %s failed and is started again: %s",
            self.names.connector,
            status.cause,
            extra={"dataset": self.names.dataset},
        )
        self.connect.restart(self.names.connector)
        self._restart_at = now + self._wait_s
        self._wait_s = min(2 * self._wait_s, _MOST_WAIT_S)

    def _tell(self, slot: Slot | None, now: float) -> None:
        behind_bytes = self._behind_bytes() if slot is None else slot.behind_bytes
        if behind_bytes is None:
            return
        metrics.SOURCE_BEHIND_BYTES.labels(self.names.dataset).set(behind_bytes)
        if now > self._said_at + _SAY_EVERY_S:
            self._said_at = now
            log.info(
                "capture %s is %d bytes of log behind",
                self.names.connector,
                behind_bytes,
                extra={"dataset": self.names.dataset},
            )

    def _behind_bytes(self) -> int | None:
        offsets = self.connect.offsets(self.names.connector)
        return self.behind(offsets[0]) if offsets else None


def topic_id(connection: Connection, name: str) -> str | None:
    """The id the brokers gave a topic; None when there is none of this name. Errors: Transient, Fatal."""
    admin = AdminClient(connection.client())
    (future,) = admin.describe_topics(TopicCollection([name]), request_timeout=_REPLY_S).values()
    try:
        return str(future.result(_REPLY_S).topic_id)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise mapped(error, f"asking for {name}") from error
    except TimeoutError as error:
        raise Transient(f"asking for {name}: no answer in {_REPLY_S:g} s") from error

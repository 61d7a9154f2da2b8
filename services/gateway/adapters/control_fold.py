"""Folds control topics into the database, each record exactly once: offsets are stored in the transaction of the sums."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from headrace.errors import HeadraceError, Transient
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.kafka.connection import mapped
from headrace.stream.kafka.replay import partition_count
from headrace.stream.ledger import LedgerEntry
from headrace.stream.overrides import Override
from headrace.stream.wishes import Wish
from services.gateway.adapters.dataset_store import fold_datasets, fold_source_positions
from services.gateway.adapters.holding_store import fold_holdings
from services.gateway.adapters.incident_store import fold_incidents
from services.gateway.adapters.ledger_store import ACTIVITY_KEPT_S, fold_ledger, forget_activity
from services.gateway.adapters.override_store import fold_overrides
from services.gateway.adapters.profile_store import fold_profiles
from services.gateway.adapters.secret_store import fold_secrets
from services.gateway.adapters.tables import FOLD_OFFSETS
from services.gateway.adapters.wish_store import fold_wishes
from services.gateway.core.column_profiles import BatchProfile
from services.gateway.core.datasets import DatasetVersion, SourcePosition
from services.gateway.core.holdings import HoldingEntry
from services.gateway.core.incidents import Incident
from services.gateway.core.secrets import SecretEntry
from services.gateway.metrics import FOLD_FAILURES, FOLD_SKIPPED, FOLDED

log = logging.getLogger(__name__)

_REPLY_S = 5.0
_STOP_S = 3.0
_POLL_S = 0.2
_LINGER_S = 0.2  # a fold is a database transaction: one for all stages, not one for each
_MOST_RECORDS = 1000
_PAUSE_S = 1.0
_PROBE_EVERY_S = 2.0
_FORGET_EVERY_S = 600.0


class Slot(NamedTuple):
    """A partition of a control topic."""

    topic: str
    partition: int


class Overtaken(Transient):
    """Another gateway on the same database has folded these records: read on from where it is."""


class ControlFold:
    """A thread that keeps the database in step with the control topics.

    Several gateways may share a database: whoever stores the next offset first has folded the records, the
    others read the offset again. While Kafka, the registry or the database is away the thread waits and tries
    again; `fault` says what is wrong meanwhile.
    """

    def __init__(self, connection: Connection, controls: Controls, engine: Engine) -> None:
        self._connection = connection
        self._controls = controls
        self._engine = engine
        self._stopping = threading.Event()
        self._progress = threading.Condition()
        self._reached: dict[Slot, int] = {}
        self._thread = threading.Thread(target=self._run, name="fold", daemon=True)
        self.fault: str | None = "not started"

    def start(self) -> None:
        """Begin to fold."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch at hand. A thread that hangs in Kafka's client is left: what it has not stored, it has not done."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def wait_for(self, ends: Mapping[Slot, int], timeout_s: float) -> bool:
        """Wait until everything before `ends` is in the database. Returns whether it is."""
        with self._progress:
            return self._progress.wait_for(
                lambda: all(self._reached.get(slot, -1) >= end for slot, end in ends.items()), timeout_s
            )

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._session()
            except Exception as error:  # whatever it is, a fold that ended would look like one that has nothing to do
                self._failed(mapped(error, "folding control topics") if isinstance(error, KafkaException) else error)
                self._stopping.wait(0 if isinstance(error, Overtaken) else _PAUSE_S)

    def _failed(self, error: Exception) -> None:
        expected = isinstance(error, HeadraceError | SQLAlchemyError)
        said = str(error) if expected else f"{type(error).__name__}: {error}"
        if said != self.fault:
            log.warning("the books stand still: %s", said, exc_info=None if expected else error)
        self.fault = said
        FOLD_FAILURES.inc()

    def _session(self) -> None:
        """Fold from the stored offsets until told to stop. Errors: whatever stands in the way."""
        kafka_topics.ensure_control(self._connection)
        consumer = Consumer(
            self._connection.client(
                group_id="headrace-gateway-fold",  # never joined: the offsets are ours
                enable_auto_commit=False,
                auto_offset_reset="error",
                isolation_level="read_committed",
                enable_partition_eof=True,
                fetch_wait_max_ms=100,
            )
        )
        try:
            positions = self._positions(consumer)
            consumer.assign([TopicPartition(*slot, offset) for slot, offset in positions.items()])
            self._fold_from(consumer, positions)
        finally:
            consumer.close()

    def _positions(self, consumer: Consumer) -> dict[Slot, int]:
        """Where to read on, by the database; what it has never seen starts at the beginning."""
        slots = [
            Slot(topic, number)
            for topic in FOLDED_TOPICS
            for number in range(partition_count(consumer, topic, _REPLY_S))
        ]
        try:
            with self._engine.begin() as database:
                known = {
                    Slot(topic, number): offset for topic, number, offset in database.execute(select(FOLD_OFFSETS))
                }
                new = [slot._asdict() | {"next_offset": 0} for slot in slots if slot not in known]
                if new:
                    database.execute(insert(FOLD_OFFSETS), new)
        except IntegrityError as error:
            raise Overtaken("another gateway has just begun with this database") from error
        return {slot: known.get(slot, 0) for slot in slots}

    def _fold_from(self, consumer: Consumer, positions: dict[Slot, int]) -> None:
        forget_at = probe_at = time.monotonic()
        while not self._stopping.is_set():
            messages, ends = _polled(consumer)
            if not messages and time.monotonic() >= probe_at:
                consumer.list_topics(
                    topics.LEDGER, timeout=_REPLY_S
                )  # silence from a broker that is down is no silence
                probe_at = time.monotonic() + _PROBE_EVERY_S
            if messages:
                records = self._decoded(messages)
                reached = {Slot(message.topic(), message.partition()): message.offset() + 1 for message in messages}
                self.store(records, {slot: (positions[slot], reached[slot]) for slot in reached})
                positions |= reached
            self.fault = None
            with self._progress:
                for slot, offset in (*positions.items(), *ends.items()):
                    self._reached[slot] = max(offset, self._reached.get(slot, 0))
                self._progress.notify_all()
            if time.monotonic() >= forget_at:
                forget_at = time.monotonic() + _FORGET_EVERY_S
                with self._engine.begin() as database:
                    forget_activity(database, int(time.time()) - ACTIVITY_KEPT_S)

    def store(self, records: Mapping[str, Sequence["Record"]], moves: Mapping[Slot, tuple[int, int]]) -> None:
        """Write records and the moved offsets as one. Errors: Overtaken (nothing is written)."""
        with self._engine.begin() as database:
            move_offsets(database, moves)
            fold_datasets(database, records.get(topics.DATASETS, ()))
            fold_source_positions(database, records.get(topics.SOURCE_POSITIONS, ()))
            fold_incidents(database, records.get(topics.INCIDENTS, ()))
            fold_secrets(database, records.get(topics.SECRETS, ()))
            fold_wishes(database, records.get(topics.SOURCE_WISHES, ()))
            fold_holdings(database, records.get(topics.SOURCE_HOLDINGS, ()))
            fold_overrides(database, records.get(topics.OVERRIDES, ()))
            fold_profiles(database, records.get(topics.PROFILES, ()))
            fold_ledger(database, [entry for _, entry in records.get(topics.LEDGER, ()) if entry is not None])
        for topic, folded in records.items():
            FOLDED.labels(topic).inc(len(folded))

    def _decoded(self, messages: Sequence[Any]) -> dict[str, list["Record"]]:
        """The records by topic. One that nobody can read is skipped, and counted: the books will not balance without it."""
        records: dict[str, list[Record]] = defaultdict(list)
        for message in messages:
            try:
                records[message.topic()].append(self._record(message))
            except Transient:
                raise
            except Exception as error:  # there is no end to what can be wrong with foreign bytes
                FOLD_SKIPPED.labels(message.topic()).inc()
                where = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
                log.error("skipped a control record that cannot be read: %r", error, extra=where)
        return records

    def _record(self, message: Any) -> "Record":
        key, value = (message.key() or b"").decode(), message.value()
        if value is None:
            return key, None
        fields, kind = self._controls.decode(value), _KINDS[message.topic()]
        if kind is DatasetVersion:
            return key, DatasetVersion.of(fields)
        return key, kind(**{name: fields[name] for name in kind.__dataclass_fields__ if name in fields})


#: What a record of each topic is. Fields that a later version may have added are left out; those that an earlier one
#: did not have yet have a default.
_KINDS: Final[Mapping[str, Any]] = {
    topics.LEDGER: LedgerEntry,
    topics.DATASETS: DatasetVersion,
    topics.SOURCE_POSITIONS: SourcePosition,
    topics.INCIDENTS: Incident,
    topics.SECRETS: SecretEntry,
    topics.SOURCE_WISHES: Wish,
    topics.SOURCE_HOLDINGS: HoldingEntry,
    topics.OVERRIDES: Override,
    topics.PROFILES: BatchProfile,
}
FOLDED_TOPICS: Final = tuple(_KINDS)

#: The key, and what it stands for; None when it is gone.
Record = tuple[str, Any]


def move_offsets(database: DatabaseConnection, moves: Mapping[Slot, tuple[int, int]]) -> None:
    """Store where to read on, if it is still where we began. Errors: Overtaken."""
    for slot, (before, after) in moves.items():
        here = (FOLD_OFFSETS.c.topic == slot.topic) & (FOLD_OFFSETS.c.partition == slot.partition)
        moved = database.execute(
            update(FOLD_OFFSETS).where(here, FOLD_OFFSETS.c.next_offset == before).values(next_offset=after)
        )
        if moved.rowcount != 1:
            raise Overtaken(f"another gateway has folded {slot.topic}[{slot.partition}] past {before}")


def _polled(consumer: Consumer) -> tuple[list[Any], dict[Slot, int]]:
    """The next records, and the partitions whose present end was reached. Errors: Transient, Fatal."""
    found: list[Any] = consumer.consume(1, _POLL_S)
    if found:
        found += consumer.consume(_MOST_RECORDS - 1, _LINGER_S)
    messages, ends = [], {}
    for message in found:
        failure = message.error()
        if failure is None:
            messages.append(message)
        elif failure.code() == failure._PARTITION_EOF:
            ends[Slot(message.topic(), message.partition())] = message.offset()
        else:
            raise mapped(failure, "folding control topics")
    return messages, ends

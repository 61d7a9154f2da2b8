"""The connectors `postgres_cdc`, `mysql_cdc` and `mariadb_cdc`: Debezium writes a table's rows and changes to a topic.

It writes them exactly once and in the order of the database's log, into one partition. So a position is an offset, and
rows keep their order, also those whose key changed.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from headrace.connector import Fetched, KafkaConnect, Remnant, SourceRow, Step, Stream, Surroundings
from headrace.errors import Fatal, Transient
from headrace.secrets.reference import resolved
from headrace.stream.columns import OP, SOURCE_TS, TIMESTAMP
from headrace.stream.kafka import Connection, Replay
from headrace.stream.stage import Records
from services.ingest.connectors.cdc import passwords, snapshot
from services.ingest.connectors.cdc.binlog import Binlog
from services.ingest.connectors.cdc.capture import Capture, topic_id
from services.ingest.connectors.cdc.config import config, reference
from services.ingest.connectors.cdc.connect import Connect
from services.ingest.connectors.cdc.database import Database, Table
from services.ingest.connectors.cdc.departure import PUBLICATION, SLOT, Departure
from services.ingest.connectors.cdc.envelope import Changes, Envelopes, Truncated, Unreadable, with_marks
from services.ingest.connectors.cdc.names import Names
from services.ingest.connectors.cdc.position import Place
from services.ingest.connectors.cdc.postgres import Postgres
from services.ingest.connectors.cdc.settings import BinlogCdcSource, MariadbCdcSource, PostgresCdcSource
from services.ingest.core.tables import conformed, described

log = logging.getLogger(__name__)

_MOST_MESSAGES: Final = 5000  # at a time: each has its schema in front of it
_TRIM_EVERY_S: Final = 60.0
_MARKS: Final = (pa.field(SOURCE_TS, TIMESTAMP), pa.field(OP, pa.string(), nullable=False))

#: The setting at fault when Debezium finds fault with one of its own.
_FIELDS: Final = {
    "database.hostname": "source.host",
    "database.port": "source.port",
    "database.user": "source.user",
    "database.password": "source.password",
    "database.dbname": "source.name",
    "table.include.list": "source.table",
    "message.key.columns": "source.row_key",
    "database.sslmode": "source.tls",
    "database.ssl.mode": "source.tls",
}


CdcTable = PostgresCdcSource | BinlogCdcSource
DatabaseAt = Callable[[str, SecretStr | None], Database]
"""A database at an address that may be reached, with the password of its user."""


class CdcConnector:
    """See `headrace.connector.Connector`. A snapshot is read once the whole of it has been written."""

    def __init__(
        self,
        source: CdcTable,
        surroundings: Surroundings,
        database: DatabaseAt,
        *,
        trim_every_s: float = _TRIM_EVERY_S,
    ) -> None:
        self._source = source
        self._surroundings = surroundings
        self._connection, self._worker = _kafka(source, surroundings)
        self._connect = Connect(self._worker.url)
        self._database_at = database
        self.trim_every_s = trim_every_s
        self._schema = surroundings.schema
        self._capture: Capture | None = None
        self._recorded = False
        self._envelopes: Envelopes | None = None
        self._replay: Replay | None = None
        self._topic: str | None = None
        self._at: Place | None = None
        self._trimmed_at = time.monotonic()

    @cached_property
    def _address(self) -> str:
        """Where the database is: looked at once. Errors: Fatal when it may not be reached; Transient."""
        return str(self._surroundings.targets.resolve(self._source.host, self._source.port))

    @cached_property
    def _database(self) -> Database:
        """Errors: those of the address; Fatal when the password is not known."""
        return self._database_at(self._address, self._password())

    @property
    def waiting(self) -> bool:
        """Whether the snapshot is still being taken: what was read is not the whole table then."""
        return self._capture is None or not self._capture.settled

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        trying, at_fault = "resolve", "source.host"
        try:
            yield Step("resolve", True, f"{self._source.host} is {self._address}")
            trying, at_fault = "worker", "source.type"
            capture = self._capture_of(self._source.snapshot)
            step = self._served(capture.config["connector.class"])
            yield step
            if not step.ok:
                return
            trying, at_fault = "table", "source.host"
            step = self._found(self._database.table())
            yield step
            if not step.ok:
                return
            trying = "log"
            if (logging := self._database.logging()) is not None:
                yield logging
                if not logging.ok:
                    return
            trying = "capture"
            yield self._permitted(capture)
        except (Fatal, Transient) as error:
            yield Step(trying, False, str(error), at_fault)

    def discover(self) -> list[Stream]:
        """See `Connector.discover`."""
        table = self._table()
        columns = described(table.columns, self._surroundings.declared)
        return [Stream(self._source.table, pa.schema([*columns, *_MARKS]), tuple(self._source.row_key or table.key))]

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`."""
        place = Place.from_json(position) if position else Place(self._source.snapshot)
        if place.snapshot > self._source.snapshot:
            raise Fatal(
                f"source.snapshot is {self._source.snapshot}, but snapshot {place.snapshot} has been taken: the number only rises"
            )
        if place.snapshot < self._source.snapshot:
            yield from self.resnapshot(place)
            place = Place(self._source.snapshot)
        names = Names(self._surroundings.dataset, self._source.snapshot)
        if self._capture is None:
            self._recorded = self._surroundings.holdings.made(names.connector) is not None
        if place.offset:  # what has been written is there, also while the worker is not
            yield from self._changes(names, place)
        if self._capture is None:
            self._capture = self._begun(anew=not place.offset)
        self._capture.look()
        if not place.offset and self._capture.settled:
            yield from self._changes(names, place)

    def resnapshot(self, place: Place) -> Iterator[tuple[Fetched, str]]:
        """What an older snapshot's capture still has to give; then that is taken away, to make room for the next.

        It happens when `source.snapshot` is raised. Errors: Transient, Fatal.
        """
        holdings, old = self._surroundings.holdings, Names(self._surroundings.dataset, place.snapshot)
        made = holdings.made(old.connector)
        if made is None and self._connect.offsets(old.connector):  # it began before there was such a record
            made = (SLOT,)
            holdings.note(old.connector, made)
        self._connect.halt(old.connector)
        if place.offset:
            yield from self._changes(old, place)
        self._leave_topic()
        if left := self.leave(old.connector, made or ()):
            raise Transient(f"snapshot {place.snapshot} is not taken away yet: {'; '.join(map(str, left))}")
        holdings.forget(old.connector)

    def leave(self, name: str, made: Collection[str]) -> Sequence[Remnant]:
        """See `Leaving.leave`."""
        self._leave_topic()
        where = f"the database at {self._source.host}:{self._source.port}"
        return Departure(
            Names.of(name),
            made,
            self._connect,
            self._connection,
            where,
            lambda: self._database.log,
            self._worker.secrets,
        ).take()

    def _begun(self, *, anew: bool) -> Capture:
        """The capture, running; on record before there is anything of it."""
        capture = self._capture_of(self._source.snapshot)
        if not self._recorded:
            self._surroundings.holdings.note(capture.names.connector, self._to_make(capture))
        capture.begin(anew=anew)
        return capture

    def _to_make(self, capture: Capture) -> list[str]:
        """What Debezium will make, as it is not there yet. A slot that a connector of ours has begun with is ours, too."""
        if capture.log is None:
            return []
        name, begun = capture.names.slot, bool(self._connect.offsets(capture.names.connector))
        slot = [SLOT] if begun or capture.log.slot(name) is None else []
        return slot if capture.log.published(name) else [*slot, PUBLICATION]

    def _capture_of(self, number: int) -> Capture:
        names = Names(self._surroundings.dataset, number)
        brokers = self._connection.bootstrap_servers
        return Capture(
            names,
            config(self._source, names, self._address, self._worker.secrets, brokers),
            self._connect,
            self._connection,
            self._database.log,
            self._worker.secrets,
            self._password(),
            self._database.behind,
        )

    def _password(self) -> SecretStr | None:
        password = self._source.password
        return None if password is None else resolved(password, self._surroundings.secret)

    def _served(self, plugin: str) -> Step:
        version = self._connect.version()
        if plugin not in self._connect.plugins():
            said = f"Kafka Connect {version} has no {plugin}"
            return Step("worker", False, said, "source.type", "put Debezium's plugin on the plugin.path of the worker")
        return Step("worker", True, f"Kafka Connect {version} has {plugin}")

    def _found(self, table: Table | None) -> Step:
        if table is None:
            said = f"there is no table {self._source.table} that the user {self._source.user} may read"
            return Step("table", False, said, "source.table", "correct the name, or grant SELECT on the table")
        if not (self._source.row_key or table.key):
            said = f"{self._source.table} has no primary key: its rows could not be told apart"
            return Step("table", False, said, "source.row_key", "name the columns that identify a row")
        if unknown := [name for name in self._source.row_key if name not in table.columns.names]:
            said = f"{self._source.table} has no column {', '.join(unknown)}"
            return Step("table", False, said, "source.row_key", "name the columns that identify a row")
        if table.unknown:
            said = f"Debezium cannot read {self._source.table}: it does not know the type of {', '.join(table.unknown)}"
            return Step(
                "table", False, said, "source.table", "give these columns another type, or read it by type: sql"
            )
        said = f"{len(table.columns)} columns: {', '.join(table.columns.names)}"
        return Step("table", True, f"{said}. {table.caution}" if table.caution else said)

    def _permitted(self, capture: Capture) -> Step:
        """What Debezium says when it tries: with a password of its own, as one that is in use stays as it is."""
        wanted, name = capture.config, f"{capture.names.secret}.check"
        if capture.password is not None:
            passwords.leave(self._worker.secrets, name, capture.password)
            wanted = {**wanted, "database.password": reference(self._worker.secrets, name)}
        try:
            faults = self._connect.faults(wanted)
        finally:
            passwords.take_back(self._worker.secrets, name)
        if faults:
            said = "; ".join(f"{fault.name}: {fault.said}" for fault in faults)
            return Step("capture", False, said, _FIELDS.get(faults[0].name, "source.host"))
        return Step("capture", True, "Debezium finds no fault with the database and the user's rights")

    def _table(self) -> Table:
        table = self._database.table()
        if table is None:
            raise Fatal(f"there is no table {self._source.table} that the user {self._source.user} may read")
        return table

    def _changes(self, names: Names, place: Place) -> Iterator[tuple[Fetched, str]]:
        topic = topic_id(self._connection, names.topic) if self._replay is None else self._topic
        if topic is None:
            return
        if self._replay is None:
            self._replay = Replay(self._connection, names.topic, most_rows=_MOST_MESSAGES)
            self._topic = topic
        if place != self._at:
            self._require(self._replay, names, place)
            self._replay.seek({0: place.offset or self._first(self._replay)})
        self._trim(names, place)
        if self._envelopes is None:
            zero_dates = isinstance(self._source, MariadbCdcSource) and self._source.zero_dates
            self._envelopes = Envelopes(self._table().whole_deletes, zero_dates=zero_dates)
        reached, self._at = place, None  # where a step is not taken to its end, its batch is read again from its start
        for records in self._replay.advance():
            for fetched, offset in self._read(self._envelopes, records):
                reached = Place(place.snapshot, offset + 1, topic)
                yield fetched, reached.to_json()
        self._at = reached

    def _first(self, replay: Replay) -> int:
        """Where the snapshot starts, of which the whole has been written by now."""
        replay.seek({0: 0})
        read = ((records.offset.to_numpy().tolist(), records.values) for records in replay.advance())
        return snapshot.start(each for offsets, values in read for each in zip(offsets, values, strict=True)) or 0

    def _leave_topic(self) -> None:
        if self._replay is not None:
            self._replay.close()
        self._replay, self._at, self._topic, self._envelopes = None, None, None, None

    def _require(self, replay: Replay, names: Names, place: Place) -> None:
        """Errors: Fatal when what is behind the place is not there any more."""
        first, _ = replay.watermarks()[0]
        again = f"set `source.snapshot` to {names.snapshot + 1} in the dataset file to have every row read again"
        if first > place.offset:
            raise Fatal(
                f"the changes in {names.topic} from offset {place.offset} to {first} are deleted and were not read; {again}"
            )
        if place.topic and place.topic != self._topic:
            raise Fatal(f"the topic {names.topic} was deleted and made anew since it was read; {again}")

    def _trim(self, names: Names, place: Place) -> None:
        """Now and then, let the topic forget what is durable in the dataset's own."""
        if time.monotonic() < self._trimmed_at + self.trim_every_s:
            return
        self._trimmed_at = time.monotonic()
        admin = AdminClient(self._connection.client())
        for future in admin.delete_records([TopicPartition(names.topic, 0, place.offset)]).values():
            try:
                future.result(_TRIM_EVERY_S)
            except (KafkaException, TimeoutError) as error:
                log.info("%s keeps what was read: %s", names.topic, error)

    def _read(self, envelopes: Envelopes, records: Records) -> Iterator[tuple[Fetched, int]]:
        """Rows in bounded steps, each with the offset of its last message."""
        offsets: list[int] = records.offset.to_numpy().tolist()
        for found in envelopes.read(records.keys, records.values):
            match found:
                case Truncated():
                    self._truncated(found, offsets[found.index])
                case Unreadable():
                    raise Fatal(
                        f"{records.topic} has at offset {offsets[found.index]} what Debezium did not write ({found.why}); "
                        "find the producer that did"
                    )
                case Changes():
                    for start in range(0, len(found.op), self._surroundings.batch_rows):
                        part = found.part(start, self._surroundings.batch_rows)
                        yield self._fetched(part, offsets), offsets[part.index[-1]]

    def _truncated(self, found: Truncated, offset: int) -> None:
        said = f"{self._source.table} was emptied by TRUNCATE ({found.at}), which the log does not say row by row"
        if self._source.on_truncate == "stop":
            raise Fatal(
                f"{said}: the rows it had stay in the published table; delete them there where they are not to stay, then set "
                "`source.on_truncate: ignore` in the dataset file to go on"
            )
        log.warning("%s: its rows stay (offset %d)", said, offset, extra={"dataset": self._surroundings.dataset})

    def _fetched(self, changes: Changes, offsets: Sequence[int]) -> Fetched:
        fitted = conformed(changes.rows, self._schema, self._surroundings.declared, self._surroundings.evolution)
        self._schema = fitted.rows.schema
        faults = {fault.row: fault for fault in (*fitted.faults, *changes.faults)}
        left = np.setdiff1d(np.arange(len(changes.op)), [fault.row for fault in fitted.faults])
        good = np.array([row not in faults for row in left], bool)
        kept = left[good]
        rows = with_marks(
            fitted.rows.filter(pa.array(good)),
            [changes.op[row] for row in kept],
            changes.source_ts.take(pa.array(kept, pa.int64())),
        )
        rejected = tuple(
            SourceRow(
                changes.raw[row],
                fault.reason,
                fault.detail,
                f"{self._source.table} ({changes.op[row]}, offset {offsets[changes.index[row]]} of its changes)",
                fault.column,
            )
            for row, fault in sorted(faults.items())
        )
        return Fetched(rows, rejected)


def _kafka(source: CdcTable, surroundings: Surroundings) -> tuple[Connection, KafkaConnect]:
    """The platform's brokers and their Kafka Connect. Errors: Fatal when ingest was not told of them."""
    options = dict(surroundings.kafka)
    if surroundings.connect is None or "bootstrap.servers" not in options:
        raise Fatal(
            f"sources of type {source.type} need Kafka Connect: tell ingest where it is with HEADRACE_CONNECT_URL"
        )
    return Connection(options.pop("bootstrap.servers"), options), surroundings.connect


def opened_postgres(source: PostgresCdcSource, surroundings: Surroundings) -> CdcConnector:
    """The connector of a table of PostgreSQL. Errors: Fatal when ingest knows no Kafka Connect."""
    return CdcConnector(source, surroundings, lambda address, password: Postgres(source, address, password))


def opened_binlog(source: BinlogCdcSource, surroundings: Surroundings) -> CdcConnector:
    """The connector of a table of MySQL or MariaDB. Errors: Fatal when ingest knows no Kafka Connect."""
    return CdcConnector(source, surroundings, lambda _, password: Binlog(source, password, surroundings.targets))

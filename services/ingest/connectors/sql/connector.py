"""The `sql` connector: a table or query, read in the order of a column that only grows.

A row is read once nobody can put another in front of it: see `completeness`.
"""

import difflib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import pyarrow as pa

from headrace.connector import Fetched, Step, Stream, Stretch, Surroundings
from headrace.errors import Fatal, Transient
from headrace.secrets.reference import resolved
from services.ingest.connectors.folders import Folders
from services.ingest.connectors.sql.candidates import cursors
from services.ingest.connectors.sql.completeness import Seen
from services.ingest.connectors.sql.databases import Database, Indexes, Session
from services.ingest.connectors.sql.places import Place, place_of
from services.ingest.connectors.sql.server import Server
from services.ingest.connectors.sql.settings import SqlDatabase, SqlSource
from services.ingest.connectors.sql.sqlite import Sqlite
from services.ingest.connectors.sql.statements import ALIAS, Column, Reading
from services.ingest.connectors.sql.stretch import bounds
from services.ingest.core.faults import set_aside
from services.ingest.core.names import column_names
from services.ingest.core.tables import conformed, described
from services.ingest.core.typed_texts import row_text

log = logging.getLogger(__name__)

_PORTS: Final = {"postgresql": 5432, "mysql": 3306, "sqlserver": 1433, "oracle": 1521}
_NAMES_SHOWN: Final = 10


class SqlConnector:
    """See `headrace.connector.Connector`. A position is the place of the last row that was read."""

    def __init__(
        self,
        source: SqlSource,
        database: Database,
        surroundings: Surroundings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._database = database
        self._surroundings = surroundings
        self._clock = clock
        self._schema = surroundings.schema
        self._seen = Seen()
        self.waiting = False

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        for step in self._database.reached():
            yield step
            if not step.ok:
                return
        trying, field, remedy = "list", "source.name", ""
        try:
            with self._database.session("looking at") as session:
                tables = [table.name for table in session.tables()]
                yield _listed(tables)
                trying, field = "read", "source.table" if self._source.table else "source.query"
                remedy = self._nearest(tables)
                reading = self._reading(session)
                names = [column.name for column in reading.columns]
                yield Step("read", True, f"{len(names)} columns: {', '.join(names)}")
                ordered = self._ordered(session, reading)
            yield ordered
            if ordered.ok:
                trying, field = "transactions", "source.user"
                yield self._overseen()
        except (Fatal, Transient) as error:
            yield Step(trying, False, str(error), field, remedy)

    def discover(self) -> list[Stream]:
        """See `Connector.discover`."""
        table = self._source.table
        with self._database.session("looking at") as session:
            columns = self._reading(session).columns
            indexes = session.indexes(table) if table else Indexes()
        schema = _exact(_schema(columns), indexes.decimals)
        names = dict(zip(schema.names, column_names(schema.names), strict=True))
        apt = dict.fromkeys([*self._source.order[:1], *cursors(columns, indexes)])
        return [
            Stream(
                table or "query",
                described(schema, self._surroundings.declared),
                tuple(names[name] for name in indexes.key or self._source.key),
                tuple(names[name] for name in apt),
            )
        ]

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`."""
        after: Place | None = json.loads(position) if position else None
        with self._database.session("reading") as session:
            reading = self._reading(session)
            self._look(session, reading)
            until = self._seen.complete
            if until is None or until == after:
                return
            yield from self._steps(session.rows(reading, after, until))

    def read_range(self, stretch: Stretch, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Ranged.read_range`."""
        with self._database.session("reading again") as session:
            reading = self._reading(session)
            last = session.last(reading)
            if last is None:
                return
            name = self._source.order[0]
            [example], type = place_of(last, 0, [name]), last.column(name).type  # SQLite has a type for each value
            within = replace(reading, stretch=bounds(name, type, example, stretch))
            yield from self._steps(session.rows(within, json.loads(position) if position else None, None))

    def _steps(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[Fetched, str]]:
        for batch in batches:
            for start in range(0, batch.num_rows, self._surroundings.batch_rows):
                part = batch.slice(start, self._surroundings.batch_rows)
                yield self._fetched(part), json.dumps(place_of(part, part.num_rows - 1, self._source.order))

    def _what(self) -> str:
        return self._source.table or "query"

    def _from(self) -> str:
        table = self._source.table
        if table is not None:
            return f"{'.'.join(self._database.dialect.quoted(part) for part in table.split('.'))} {ALIAS}"
        return f"({(self._source.query or '').strip().rstrip(';')}) {ALIAS}"

    def _reading(self, session: Session) -> Reading:
        """The columns as the database has them. Errors: Fatal when one that orders the rows is not among them."""
        relation = self._from()
        reading = Reading(self._database.dialect, relation, session.columns(relation), self._source.order)
        names = [column.name for column in reading.columns]
        for name in self._source.order:
            if name not in names:
                raise Fatal(
                    f"{self._what()} in {self._database.address} has no column {name!r}, by which it is to be read; "
                    f"it has {', '.join(names)}"
                )
        return reading

    def _nearest(self, tables: Sequence[str]) -> str:
        table = self._source.table
        if table is None:
            return "correct the query"
        near = difflib.get_close_matches(table, tables, n=1)
        return f"did you mean {near[0]}?" if near and near[0] != table else "name a table that the user may read"

    def _ordered(self, session: Session, reading: Reading) -> Step:
        """Whether every row has a place in the order."""
        order = ", ".join(self._source.order)
        [(count,)] = session.asked(reading.unplaced())
        if count:
            what = f"{count} rows have no {' or '.join(self._source.order)}: they would never be read"
            field = "source.cursor" if self._source.cursor else "source.key"
            return Step("order", False, what, field, "choose columns that every row has")
        return Step("order", True, f"every row has a place in the order of {order}")

    def _overseen(self) -> Step:
        if self._source.lag_s is not None:
            return Step("transactions", True, f"the last rows wait for {self._source.lag_s:g} s, as source.lag_s says")
        return self._database.overseen()

    def _look(self, session: Session, reading: Reading) -> None:
        """Find out up to which place all is there. The order of the two questions is what makes the answer right."""
        row = session.last(reading)
        if row is None:
            return
        last = place_of(row, 0, self._source.order)
        if self._source.lag_s is not None:
            self._seen = self._seen.waited(last, self._clock(), self._source.lag_s)
        else:
            self._seen = self._seen.looked(last, session.open_transactions())
        self.waiting = self._seen.complete != last
        if self.waiting:
            log.info("%s: the last rows wait for transactions that may be open", self._database.address)

    def _fetched(self, batch: pa.RecordBatch) -> Fetched:
        found = conformed(batch, self._schema, self._surroundings.declared, self._surroundings.evolution)
        self._schema = found.rows.schema
        aside = set_aside(
            found.faults,
            lambda fault: row_text(batch, fault.row),
            lambda row: f"{self._what()} {json.dumps(place_of(batch, row, self._source.order))}",
        )
        return Fetched(found.rows, aside)


def _listed(tables: Sequence[str]) -> Step:
    shown = ", ".join(tables[:_NAMES_SHOWN]) + (", ..." if len(tables) > _NAMES_SHOWN else "")
    return Step("list", True, f"{len(tables)} tables and views may be read{': ' if tables else ''}{shown}")


class SqlTables:
    """The tables of a database, before one is chosen. See `headrace.connector.Connector` and `Choosing`."""

    setting = "source.table"
    waiting = False

    def __init__(self, database: Database) -> None:
        self._database = database

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        for step in self._database.reached():
            yield step
            if not step.ok:
                return
        try:
            yield _listed([stream.name for stream in self.discover()])
        except (Fatal, Transient) as error:
            yield Step("list", False, str(error), "source.name")

    def discover(self) -> list[Stream]:
        """See `Connector.discover`."""
        with self._database.session("listing") as session:
            return [
                Stream(table.name, pa.schema([]), kind=table.kind, namespace=table.schema, rows=table.rows)
                for table in session.tables()
            ]

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`: there is nothing."""
        del position
        yield from ()


def opened(source: SqlSource, surroundings: Surroundings) -> SqlConnector | SqlTables:
    """The connector of a table or query. Errors: Fatal when its password is not known, or a file may not be read."""
    found = database(source, surroundings)
    return SqlConnector(source, found, surroundings) if source.chosen else SqlTables(found)


def database(source: SqlDatabase, surroundings: Surroundings) -> Database:
    """The database of a source, not connected to yet. Errors: as `opened`."""
    folders = Folders(surroundings.folder, surroundings.further_folders)
    if source.database == "sqlite":
        path = surroundings.folder / source.name
        folders.check(path)
        return Sqlite(path)
    ca = surroundings.folder / source.ca if source.ca is not None else None
    if ca is not None:
        folders.check(ca)
    server = Server(
        source.host,
        source.port or _PORTS[source.database],
        source.name,
        source.user,
        resolved(source.password, surroundings.secret) if source.password is not None else None,
        source.sslmode,
        ca,
        surroundings.targets,
    )
    return _KINDS[source.database](server)


def _postgresql(server: Server) -> Database:
    from services.ingest.connectors.sql.postgresql import PostgreSql

    return PostgreSql(server)


def _mysql(server: Server) -> Database:
    from services.ingest.connectors.sql.mysql import MySql

    return MySql(server)


def _sqlserver(server: Server) -> Database:
    from services.ingest.connectors.sql.sqlserver import SqlServer

    return SqlServer(server)


def _oracle(server: Server) -> Database:
    from services.ingest.connectors.sql.oracle import Oracle

    return Oracle(server)


# Each is loaded when it is used: what one needs may be missing where the others are used.
_KINDS: Final = {"postgresql": _postgresql, "mysql": _mysql, "sqlserver": _sqlserver, "oracle": _oracle}


def _schema(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([pa.field(column.name, column.type) for column in columns])


def _exact(schema: pa.Schema, decimals: Mapping[str, tuple[int, int]]) -> pa.Schema:
    """The columns as they may be declared: numbers that are read as text, to be exact, with their digits."""
    exact = {name: pa.decimal128(*digits) for name, digits in decimals.items()}
    return pa.schema([field.with_type(exact.get(field.name, field.type)) for field in schema])

"""The `sql` connector: a table or query, read in the order of a column that only grows.

A row is read once nobody can put another in front of it. Values such as `now()` or those of a sequence are taken when a
transaction begins or inserts, but are seen when it commits: whoever reads up to the largest value seen misses what
commits later with a smaller one. So the largest value is noted first, then the transactions that are open; when those
have ended, all up to that value is there, and is read.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from adbc_driver_manager.dbapi import Connection

from headrace.connector import Fetched, SourceRow, Step, Stream, Surroundings
from headrace.errors import Fatal, Transient
from headrace.secrets.reference import resolved
from services.ingest.connectors.folders import Folders
from services.ingest.connectors.sql.databases import Database, PostgreSql, Sqlite, asked, failures, quoted
from services.ingest.connectors.sql.settings import SqlSource
from services.ingest.core.tables import conformed, described

log = logging.getLogger(__name__)

_POSTGRESQL_PORT: Final = 5432

Place = Sequence[Any]
"""The values of the order's columns in one row, as JSON has them."""


@dataclass(frozen=True, slots=True)
class _Noted:
    """The last row in order at some moment, and who may have been about to write one in front of it."""

    last: Place
    writers: frozenset[str]


class SqlConnector:
    """See `headrace.connector.Connector`. A position is the place of the last row that was read."""

    def __init__(self, source: SqlSource, database: Database, surroundings: Surroundings) -> None:
        self._source = source
        self._database = database
        self._surroundings = surroundings
        self._schema = surroundings.schema
        self._noted: _Noted | None = None
        self._complete: Place | None = None
        self.waiting = False

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        trying, field = "connect", "source.host"
        try:
            with failures(self._database, "connecting to"), self._database.connect() as connection:
                yield Step("connect", True, f"connected to {self._database.address}")
                trying, field = "read", "source.table" if self._source.table else "source.query"
                columns = self._columns(connection)
                yield Step("read", True, f"{len(columns)} columns: {', '.join(columns.names)}")
                yield self._ordered(connection, columns)
        except (Fatal, Transient) as error:
            yield Step(trying, False, str(error), field)

    def discover(self) -> list[Stream]:
        """See `Connector.discover`."""
        with failures(self._database, "looking at"), self._database.connect() as connection:
            columns = described(self._columns(connection), self._surroundings.declared)
        return [Stream(self._what(), columns, tuple(self._source.key), tuple(self._source.order[:1]))]

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`."""
        after: Place | None = json.loads(position) if position else None
        with failures(self._database, "reading"), self._database.connect() as connection:
            columns = self._columns(connection)
            self._look(connection, columns)
            if self._complete is None:
                return
            for batch in self._batches(connection, columns, after, self._complete):
                for start in range(0, batch.num_rows, self._surroundings.batch_rows):
                    part = batch.slice(start, self._surroundings.batch_rows)
                    yield self._fetched(part), json.dumps(self._place(part, part.num_rows - 1))

    def _what(self) -> str:
        return self._source.table or "query"

    def _from(self) -> str:
        table = self._source.table
        if table is not None:
            return ".".join(quoted(part) for part in table.split("."))
        return f"({(self._source.query or '').strip().rstrip(';')}) AS asked"

    def _columns(self, connection: Connection) -> pa.Schema:
        """The columns as the database has them. Errors: Fatal when one that orders the rows is not among them."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self._from()} WHERE 1 = 0")  # noqa: S608
            columns = cursor.fetch_record_batch().schema
        for name in self._source.order:
            if name not in columns.names:
                has = ", ".join(columns.names)
                raise Fatal(
                    f"{self._what()} in {self._database.address} has no column {name!r}, by which it is to be read; it has {has}"
                )
        return columns

    def _ordered(self, connection: Connection, columns: pa.Schema) -> Step:
        """Whether every row has a place in the order."""
        del columns
        missing = " OR ".join(f"{quoted(name)} IS NULL" for name in self._source.order)
        [(count,)] = asked(connection, f"SELECT count(*) FROM {self._from()} WHERE {missing}")  # noqa: S608
        if count:
            what = f"{count} rows have no {' or '.join(self._source.order)}: they would never be read"
            field = "source.cursor" if self._source.cursor else "source.key"
            return Step("order", False, what, field, "choose columns that every row has")
        return Step("order", True, f"every row has a place in the order of {', '.join(self._source.order)}")

    def _look(self, connection: Connection, columns: pa.Schema) -> None:
        """Find out up to which place all is there. The order of the two questions is what makes the answer right."""
        last = self._last(connection, columns)
        if last is None:
            return
        writers = self._database.open_transactions(connection)
        if not writers:
            self._complete, self._noted = last, None
        elif self._noted is None or not self._noted.writers & writers:
            self._complete = self._noted.last if self._noted is not None else self._complete
            self._noted = _Noted(last, writers)
        self.waiting = self._complete != last
        if self.waiting:
            log.info("%s: the last rows wait for %d open transactions", self._database.address, len(writers))

    def _last(self, connection: Connection, columns: pa.Schema) -> Place | None:
        order = self._source.order
        descending = ", ".join(f"{quoted(name)} DESC" for name in order)
        there = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in order)
        sql = f"SELECT {self._listed(columns, order)} FROM {self._from()} WHERE {there} ORDER BY {descending} LIMIT 1"  # noqa: S608
        with connection.cursor() as cursor:
            cursor.execute(sql)
            table = cursor.fetch_arrow_table()
        return self._place(table.to_batches()[0], 0) if table.num_rows else None

    def _batches(
        self, connection: Connection, columns: pa.Schema, after: Place | None, until: Place
    ) -> Iterator[pa.RecordBatch]:
        """The rows behind one place, up to another, in order."""
        order = self._source.order
        fields = [columns.field(name) for name in order]
        row = f"({', '.join(map(quoted, order))})"

        def place(first: int) -> str:
            return f"({', '.join(self._database.placeholder(first + at, field) for at, field in enumerate(fields))})"

        conditions, values = [f"{row} <= {place(1)}"], [*until]
        if after is not None:
            conditions.append(f"{row} > {place(1 + len(order))}")
            values += after
        sql = (
            f"SELECT {self._listed(columns, columns.names)} FROM {self._from()} "  # noqa: S608
            f"WHERE {' AND '.join(conditions)} ORDER BY {', '.join(map(quoted, order))}"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            yield from cursor.fetch_record_batch()

    def _listed(self, columns: pa.Schema, names: Sequence[str]) -> str:
        return ", ".join(self._database.readable(columns.field(name)) for name in names)

    def _place(self, batch: pa.RecordBatch, row: int) -> Place:
        return [_as_json(batch.column(name)[row].as_py()) for name in self._source.order]

    def _fetched(self, batch: pa.RecordBatch) -> Fetched:
        found = conformed(batch, self._schema, self._surroundings.declared, self._surroundings.evolution)
        self._schema = found.rows.schema
        rejected = tuple(
            SourceRow(
                json.dumps(batch.slice(fault.row, 1).to_pylist()[0], default=str, ensure_ascii=False).encode(
                    errors="replace"
                ),
                fault.reason,
                fault.detail,
                f"{self._what()} {json.dumps(self._place(batch, fault.row))}",
                fault.column,
            )
            for fault in found.faults
        )
        return Fetched(found.rows, rejected)


def _as_json(value: Any) -> Any:
    """A value of the order as JSON has it, and as the database takes it back."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else str(value)


def opened(source: SqlSource, surroundings: Surroundings) -> SqlConnector:
    """The connector of a table or query. Errors: Fatal when its password is not known, or its file may not be read."""
    return SqlConnector(source, _database(source, surroundings), surroundings)


def _database(source: SqlSource, surroundings: Surroundings) -> Database:
    if source.database == "sqlite":
        path = surroundings.folder / source.name
        Folders(surroundings.folder, surroundings.further_folders).check(path)
        return Sqlite(path)
    password = resolved(source.password, surroundings.secret) if source.password is not None else None
    return PostgreSql(source.host, source.port or _POSTGRESQL_PORT, source.name, source.user, password)

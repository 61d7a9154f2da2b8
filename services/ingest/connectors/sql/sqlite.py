"""SQLite, by ADBC: a file with one writer at a time, and readers who see what is committed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import adbc_driver_sqlite.dbapi

from headrace.connector import Step
from headrace.errors import Fatal, Transient
from services.ingest.connectors.sql.adbc import AdbcSession, failures
from services.ingest.connectors.sql.databases import Indexes, Session, Table, standard_quoted
from services.ingest.connectors.sql.statements import Column, Dialect


class SqliteDialect:
    """See `statements.Dialect`."""

    compares_rows = True

    def quoted(self, name: str) -> str:
        """See `Dialect.quoted`."""
        return standard_quoted(name)

    def value(self, number: int, column: Column, value: Any) -> str:
        """See `Dialect.value`."""
        del column, value
        return f"?{number}"

    def limited(self, select: str, rows: int) -> str:
        """See `Dialect.limited`."""
        return f"{select} LIMIT {rows}"


@dataclass(frozen=True, slots=True)
class Sqlite:
    """A file of SQLite. See `databases.Database`."""

    path: Path

    @property
    def address(self) -> str:
        """See `Database.address`."""
        return f"sqlite:{self.path}"

    @property
    def dialect(self) -> Dialect:
        """See `Database.dialect`."""
        return SqliteDialect()

    def reached(self) -> Iterator[Step]:
        """See `Database.reached`."""
        try:
            with self.session("opening") as session:
                session.asked("SELECT count(*) FROM sqlite_master")
        except (Fatal, Transient) as error:
            yield Step("connect", False, str(error), "source.name", "name a file of SQLite that ingest may read")
            return
        yield Step("connect", True, f"{self.path} is a database")

    @contextmanager
    def session(self, doing: str) -> Iterator[Session]:
        """See `Database.session`."""
        if not self.path.is_file():
            raise Transient(f"there is no file {self.path}")
        with (
            failures(f"{doing} {self.address}"),
            adbc_driver_sqlite.dbapi.connect(f"file:{quote(str(self.path))}?mode=ro", autocommit=True) as connection,
        ):
            yield _Session(connection)

    def overseen(self) -> Step:
        """See `Database.overseen`."""
        return Step("transactions", True, "SQLite has one writer at a time")


class _Session(AdbcSession):
    def columns(self, relation: str) -> list[Column]:
        return [Column(field.name, field.type) for field in self.schema(relation)]

    def open_transactions(self) -> frozenset[str]:
        return frozenset()

    def tables(self) -> list[Table]:
        sql = (
            "SELECT name, (SELECT count(*) FROM pragma_table_info(m.name)), type FROM sqlite_master AS m "
            "WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        )
        return [Table(name, columns, None, kind, "main") for name, columns, kind in self.asked(sql)]

    def indexes(self, table: str) -> Indexes:
        info = self.asked("SELECT name, pk, type FROM pragma_table_info(?1) ORDER BY pk", [table])
        key = [name for name, pk, _ in info if pk]
        numbered = key if [kind.upper() for _, pk, kind in info if pk] == ["INTEGER"] else []
        firsts = "SELECT i.name FROM pragma_index_list(?1) AS l, pragma_index_info(l.name) AS i WHERE i.seqno = 0"
        return Indexes(key, numbered, [name for (name,) in self.asked(firsts, [table])])

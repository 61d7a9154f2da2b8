"""How the kinds of databases differ: how they are reached, how values are written in SQL, who is writing now."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import pyarrow as pa
from adbc_driver_manager import Error
from adbc_driver_manager.dbapi import Connection
from pydantic import SecretStr

from headrace.errors import Fatal, HeadraceError, Transient

_WRONG: Final = ("22", "28", "3D", "3F", "42")  # classes of SQLSTATE: what was asked for is wrong, and stays so
_PASSES: Final = ("starting up", "shutting down", "recovery", "too many", "reserved for", "terminating")


class Database(Protocol):
    """One database, as its kind has it."""

    @property
    def address(self) -> str:
        """What it is called in messages, without a credential."""
        ...

    def connect(self) -> Connection:
        """A connection on which each statement sees what is committed. Errors: those of ADBC."""
        ...

    def placeholder(self, number: int, field: pa.Field) -> str:
        """The parameter with this number, from 1, as a value to compare with a column."""
        ...

    def readable(self, field: pa.Field) -> str:
        """The column as an expression whose values Arrow can hold."""
        ...

    def open_transactions(self, connection: Connection) -> frozenset[str]:
        """The transactions of others that may still write rows. Errors: those of ADBC."""
        ...


@dataclass(frozen=True, slots=True)
class PostgreSql:
    """A PostgreSQL database."""

    host: str
    port: int
    name: str
    user: str | None
    password: SecretStr | None

    @property
    def address(self) -> str:
        """See `Database.address`."""
        return f"postgresql://{self.host}:{self.port}/{self.name}"

    def connect(self) -> Connection:
        """See `Database.connect`."""
        password = self.password.get_secret_value() if self.password is not None else None
        credentials = ":".join(quote(part, safe="") for part in (self.user, password) if part is not None)
        where = f"{quote(self.host, safe='')}:{self.port}/{quote(self.name, safe='')}"
        uri = f"postgresql://{credentials}{'@' if credentials else ''}{where}?application_name=headrace&connect_timeout=10"
        connection: Connection = adbc_driver_postgresql.dbapi.connect(uri, autocommit=True)
        return connection

    def placeholder(self, number: int, field: pa.Field) -> str:
        """See `Database.placeholder`."""
        return f"CAST(${number} AS {_type_name(field)})"

    def readable(self, field: pa.Field) -> str:
        """See `Database.readable`: what Arrow has no type for is read as text."""
        foreign = isinstance(field.type, pa.OpaqueType) and _type_name(field) not in ("numeric", "json", "jsonb")
        odd = _type_name(field) in ("money", "interval")
        return f"{quoted(field.name)}::text AS {quoted(field.name)}" if foreign or odd else quoted(field.name)

    def open_transactions(self, connection: Connection) -> frozenset[str]:
        """See `Database.open_transactions`. Every transaction holds a lock on its own virtual id, for all to see."""
        return frozenset(
            str(id)
            for (id,) in asked(
                connection,
                "SELECT virtualxid FROM pg_locks WHERE locktype = 'virtualxid' AND pid <> pg_backend_pid() "
                "UNION ALL SELECT transaction::text FROM pg_prepared_xacts",
            )
        )


@dataclass(frozen=True, slots=True)
class Sqlite:
    """A file of SQLite."""

    path: Path

    @property
    def address(self) -> str:
        """See `Database.address`."""
        return f"sqlite:{self.path}"

    def connect(self) -> Connection:
        """See `Database.connect`."""
        if not self.path.is_file():
            raise Transient(f"there is no file {self.path}")
        return adbc_driver_sqlite.dbapi.connect(f"file:{quote(str(self.path))}?mode=ro", autocommit=True)

    def placeholder(self, number: int, field: pa.Field) -> str:
        """See `Database.placeholder`."""
        del field
        return f"?{number}"

    def readable(self, field: pa.Field) -> str:
        """See `Database.readable`."""
        return quoted(field.name)

    def open_transactions(self, connection: Connection) -> frozenset[str]:
        """See `Database.open_transactions`. It has one writer at a time, and readers who see what is committed."""
        del connection
        return frozenset()


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def asked(connection: Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values) or None)
        return [tuple(row) for row in cursor.fetchall()]


@contextmanager
def failures(database: Database, doing: str) -> Iterator[None]:
    """The project's errors for those of ADBC: Fatal when asking again cannot help, else Transient."""
    try:
        yield
    except Error as error:
        raise _meant(error, f"{doing} {database.address}") from error


def _meant(error: Error, doing: str) -> HeadraceError:
    said = " ".join(str(error).split())
    state = error.sqlstate or ""
    refused = "FATAL:" in said and not any(text in said for text in _PASSES)
    lacking = "no such" in said or "syntax error" in said
    if state[:2] in _WRONG or refused or lacking:
        return Fatal(f"{doing}: {said}; correct the source of the dataset, or what the database allows its user")
    return Transient(f"{doing}: {said}")


def _type_name(field: pa.Field) -> str:
    metadata = field.metadata or {}
    return (metadata.get(b"ADBC:postgresql:typname") or metadata.get(b"POSTGRESQL:type") or b"text").decode()

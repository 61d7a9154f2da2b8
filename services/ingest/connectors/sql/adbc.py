"""What the databases that ADBC reads have in common: cursors, and the project's errors for those of ADBC."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
from adbc_driver_manager import Error
from adbc_driver_manager.dbapi import Connection

from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.sql.databases import bounded
from services.ingest.connectors.sql.places import Place
from services.ingest.connectors.sql.statements import Reading

_WRONG: Final = ("22", "28", "3D", "3F", "42")  # classes of SQLSTATE: what was asked for is wrong, and stays so
_PASSES: Final = ("starting up", "shutting down", "recovery", "too many", "reserved for", "terminating")
_STAYS: Final = ("no such", "syntax error", "certificate", "does not support SSL")


class AdbcSession:
    """The methods of `databases.Session` that are the same wherever ADBC is."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def asked(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `Session.asked`."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, list(values) or None)
            return [tuple(row) for row in cursor.fetchall()]

    def last(self, reading: Reading) -> pa.RecordBatch | None:
        """See `Session.last`."""
        with self.connection.cursor() as cursor:
            cursor.execute(reading.last())
            table = cursor.fetch_arrow_table()
        return table.to_batches()[0] if table.num_rows else None

    def rows(self, reading: Reading, after: Place | None, until: Place | None) -> Iterator[pa.RecordBatch]:
        """See `Session.rows`."""
        sql, values = reading.between(after, until)
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            yield from cursor.fetch_record_batch()
        self.asked("SELECT 1")  # rows that end because the server has gone are not all: a dead connection says so here

    def schema(self, relation: str) -> pa.Schema:
        """The columns of a table or query, as the driver has them."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {relation} WHERE 1 = 0")  # noqa: S608
            return cursor.fetch_record_batch().schema


@contextmanager
def failures(doing: str, hidden: Callable[[str], str] = str) -> Iterator[None]:
    """The project's errors for those of ADBC, without what is `hidden`: Fatal when asking again cannot help, else Transient."""
    try:
        yield
    except Error as error:
        raise meant(bounded(hidden(str(error))), error.sqlstate or "", doing) from None


def meant(said: str, state: str, doing: str) -> HeadraceError:
    """What an error means for whoever waits; `state` is its SQLSTATE."""
    refused = "FATAL:" in said and not any(text in said for text in _PASSES)
    if state[:2] in _WRONG or refused or any(text in said for text in _STAYS):
        return Fatal(f"{doing}: {said}; correct the source of the dataset, or what the database allows its user")
    return Transient(f"{doing}: {said}")

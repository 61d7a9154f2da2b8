"""Reading by connectorx, page by page.

Its `arrow_stream` is not used: it buffers without bound when the reader is slower, and ends without an error when the server
dies. A page is a statement of its own, on a connection of its own, and is there as a whole or not at all.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import connectorx
import pyarrow as pa

from headrace.connector import Step
from headrace.errors import Fatal, Transient
from services.ingest.connectors.sql.databases import Session, bounded
from services.ingest.connectors.sql.places import Place, place_of
from services.ingest.connectors.sql.server import Server
from services.ingest.connectors.sql.statements import Column, Reading

UNREADABLE: Final = "connectorx cannot read this"

_FIRST_ROWS: Final = 20_000
_LEAST_ROWS: Final = 1_000
_MOST_ROWS: Final = 200_000
_PAGE_BYTES: Final = 32_000_000


class Refused(Exception):
    """What a database or connectorx said instead of an answer. `code` is the database's number of the error, if it is its."""

    def __init__(self, said: str) -> None:
        found = re.search(r"ERROR (\d+) \(|Token error: .*\(code: (\d+)|\bORA-(\d+)", said)
        self.code = int(next(group for group in found.groups() if group)) if found else None
        super().__init__(said)


def asked(url: str, sql: str, before: str | None = None) -> pa.Table:
    """The rows of a statement, after another one on the same connection. Errors: Refused."""
    try:
        table: Any = connectorx.read_sql(url, sql, return_type="arrow", pre_execution_query=before)
    except (RuntimeError, ValueError) as error:
        raise Refused(str(error)) from None
    except BaseException as panic:
        if type(panic).__name__ != "PanicException":  # what a value that it cannot hold does to connectorx
            raise
        raise Refused(f"{UNREADABLE}: {panic}") from None
    return cast(pa.Table, table)  # its types are wrong where a statement goes before


def paged(
    reading: Reading, after: Place | None, until: Place | None, ask: Callable[[str], pa.Table]
) -> Iterator[pa.RecordBatch]:
    """The rows behind one place, up to another, in pages of about as many bytes as are good to hold."""
    rows = _FIRST_ROWS
    while True:
        sql, _ = reading.between(after, until, rows)
        page = typed(ask(sql), reading.columns)
        if page.num_rows:
            yield page
            after = place_of(page, page.num_rows - 1, reading.order)
        if page.num_rows < rows:
            return
        rows = max(_LEAST_ROWS, min(_MOST_ROWS, _PAGE_BYTES * page.num_rows // max(page.nbytes, 1)))


def typed(table: pa.Table, columns: Sequence[Column]) -> pa.RecordBatch:
    """The rows with the types that their columns have."""
    kinds = {column.name: column.type for column in columns}
    names = table.column_names
    arrays = [as_type(table.column(at).combine_chunks(), kinds[name]) for at, name in enumerate(names)]
    return pa.RecordBatch.from_arrays(arrays, names)


def as_type(values: pa.Array, to: pa.DataType) -> pa.Array:
    """Values as connectorx has them, as the type of their column."""
    if values.type == to:
        return values
    if pa.types.is_timestamp(to) and to.tz and pa.types.is_timestamp(values.type) and values.type.tz is None:
        return values.cast(pa.timestamp("us")).cast(to)  # without a zone it is in UTC
    if pa.types.is_decimal(to) and pa.types.is_large_string(values.type):
        values = values.cast(pa.string())
    return values.cast(to)


@dataclass(frozen=True, slots=True)
class ForeignSession:
    """The methods of `databases.Session` for a database of which connectorx is all we have. Errors: Refused."""

    url: str = field(repr=False)

    def asked(self, sql: str) -> list[tuple[Any, ...]]:
        """See `Session.asked`."""
        return [tuple(row.values()) for row in asked(self.url, sql).to_pylist()]

    def last(self, reading: Reading) -> pa.RecordBatch | None:
        """See `Session.last`."""
        found = typed(asked(self.url, reading.last()), [reading.column(name) for name in reading.order])
        return found if found.num_rows else None

    def rows(self, reading: Reading, after: Place | None, until: Place | None) -> Iterator[pa.RecordBatch]:
        """See `Session.rows`."""
        return paged(reading, after, until, lambda sql: asked(self.url, sql))

    def open_transactions(self) -> frozenset[str]:
        """See `Session.open_transactions`: such a database is read with a lag instead."""
        raise Fatal("which transactions are open is not asked of this database: set source.lag_s")


@dataclass(frozen=True, slots=True)
class ForeignDatabase(ABC):
    """What is the same of `databases.Database` for them."""

    server: Server

    @property
    @abstractmethod
    def address(self) -> str:
        """See `Database.address`."""

    @abstractmethod
    def session(self, doing: str) -> AbstractContextManager[Session]:
        """See `Database.session`."""

    def reached(self) -> Iterator[Step]:
        """See `Database.reached`. connectorx tries a login that was refused for half a minute."""
        for step in self.server.found():
            yield step
            if not step.ok:
                return
        try:
            with self.session("connecting to") as session:
                session.tables()
        except (Fatal, Transient) as error:
            remedy = "see what it says of user, password, name and sslmode"
            yield Step("authenticate", False, str(error), "source.user", remedy)
            return
        yield Step("authenticate", True, f"{self.address} lets the user in")

    def overseen(self) -> Step:
        """See `Database.overseen`."""
        remedy = "set it to more seconds than a transaction stays open"
        return Step("transactions", False, "open transactions are not asked for", "source.lag_s", remedy)

    @contextmanager
    def meaning(self, doing: str, stays: frozenset[int]) -> Iterator[None]:
        """The project's errors for what the database said: Fatal for the numbers that waiting does not mend."""
        try:
            yield
        except Refused as error:
            said = f"{doing} {self.address}: {bounded(self.server.hidden(str(error)))}"
            raise (Fatal if error.code in stays else Transient)(said) from None

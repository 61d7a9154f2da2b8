"""What the kinds of databases have in common: how they are reached, described, read, and asked who is writing now."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from headrace.connector import Step
from services.ingest.connectors.sql.places import Place
from services.ingest.connectors.sql.statements import Column, Dialect, Reading


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view that may be read. `rows` is the database's estimate; None when it has none.

    `name` is what `source.table` has to be, with the schema where it is needed; `schema` is given in any case.
    """

    name: str
    columns: int
    rows: int | None = None
    kind: str = "table"
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Indexes:
    """What the catalog knows of a table's order: its key, columns that number its rows, those an index begins with.

    `decimals` are the digits, and those behind the point, of exact numbers that are read as text.
    """

    key: Sequence[str] = ()
    numbered: Sequence[str] = ()
    indexed: Sequence[str] = field(default=())
    decimals: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class Session(Protocol):
    """A connection on which each statement sees what is committed. Errors of all methods: Transient, Fatal."""

    def columns(self, relation: str) -> list[Column]:
        """The columns of a table or query."""
        ...

    def asked(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a small query."""
        ...

    def last(self, reading: Reading) -> pa.RecordBatch | None:
        """The order columns of the last row; None when there is none."""
        ...

    def rows(self, reading: Reading, after: Place | None, until: Place | None) -> Iterator[pa.RecordBatch]:
        """The rows behind one place, up to another, in order; where one is None, from the first or to the last."""
        ...

    def open_transactions(self) -> frozenset[str]:
        """The transactions of others that may still write rows."""
        ...

    def tables(self) -> list[Table]:
        """The tables and views that may be read."""
        ...

    def indexes(self, table: str) -> Indexes:
        """What the catalog knows of a table's order."""
        ...


class Database(Protocol):
    """One database, as its kind has it."""

    @property
    def address(self) -> str:
        """What it is called in messages, without a credential."""
        ...

    @property
    def dialect(self) -> Dialect:
        """How it writes SQL."""
        ...

    def reached(self) -> Iterator[Step]:
        """Try to reach it, up to a user who is let in; each step as it ends, the first that fails is the last."""
        ...

    def session(self, doing: str) -> AbstractContextManager[Session]:
        """A session; errors name what was being done. Errors: Transient, Fatal."""
        ...

    def overseen(self) -> Step:
        """Whether the open transactions of others are to be seen."""
        ...


def standard_quoted(name: str) -> str:
    """A name as an identifier of standard SQL."""
    return '"' + name.replace('"', '""') + '"'


def bounded(text: str, most: int = 500) -> str:
    """A database's words on one line, cut where they are long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"

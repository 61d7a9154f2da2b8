"""DuckDB, locked down to computing over the rows and tables it is given: no files, no network, no settings to change."""

import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import duckdb
import pyarrow as pa

from headrace.errors import Fatal
from headrace.transform.isolate import RowError, TooCostly
from headrace.transform.looking import LOOK, Looking
from headrace.transform.reference import CHANGES
from headrace.transform.store import Store

#: What the dataset's SQL calls its rows.
INPUT: Final = "input"

#: The most memory that a dataset's SQL, and what of its reference data is at hand, may take, if nothing else is said.
MEMORY: Final = "256MB"

#: The longest a dataset's SQL may take over a batch, if nothing else is said.
QUERY_LIMIT_S: Final = 10.0
#: The most that may be said: with more, the row at fault is not found in the time that a batch may be held up.
MOST_LIMIT_S: Final = 30.0

_STARTED_WITH: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,  # a pump is one thread; more would reorder rows and take the other pumps' core
    "temp_directory": "",  # without a store nothing is written anywhere: a batch that does not fit in memory fails
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",  # SQL must not reach this process's variables
}
_LOCKED_WITH: Final = (
    "SET TimeZone = 'UTC'",
    "SET enable_progress_bar = false",  # it would be drawn into the log of the service
    "SET preserve_insertion_order = true",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)

#: The statement does not fit the tables: no row is at fault.
_UNFIT: Final = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.SyntaxException)
#: The engine is broken: trying other rows would only hide it.
_BROKEN: Final = (
    duckdb.InternalException,
    duckdb.FatalException,
    duckdb.IOException,
)


#: Statements that keep tables, and the `changes` that they read.
Step = tuple[str, pa.RecordBatch]

_TOO_LONG: Final = "it takes longer than it may"


class Engine:
    """One connection to a database, in memory or in a store. Used by one thread at a time."""

    def __init__(
        self,
        memory_limit: str = MEMORY,
        time_limit_s: float | None = None,
        query_limit_s: float = math.inf,
        store: Store | None = None,
    ) -> None:
        """`time_limit_s` is for all that it will ever be asked; then it fails (Fatal). `query_limit_s` is for each query.

        Errors: Unreadable, Occupied and Fatal, where the store cannot be used.
        """
        self.query_limit_s = query_limit_s
        self._deadline = None if time_limit_s is None else time.monotonic() + time_limit_s
        config = {**_STARTED_WITH, "memory_limit": memory_limit}
        self._connection = duckdb.connect(":memory:", config=config) if store is None else store.opened(config)
        for statement in _LOCKED_WITH:
            self._connection.execute(statement)
        self._looking = Looking(self._connection)

    def define(self, statements: Iterable[str]) -> None:
        """Execute statements that define functions, in place of what they were. Errors: Fatal, which does not show them."""
        try:
            for statement in statements:
                self._connection.execute(statement)
        except duckdb.Error as error:
            raise Fatal(f"DuckDB cannot define the functions of Headrace: {type(error).__name__}") from None

    def load(self, *steps: Step) -> None:
        """Execute statements that keep tables, each with its `changes` to read, all of them or none. Errors: Fatal."""
        try:
            with self._in_time():
                self._connection.execute("BEGIN TRANSACTION")
                for statements, changes in steps:
                    self._connection.register(CHANGES, changes)
                    self._connection.execute(statements)
                self._connection.execute("COMMIT")
        except duckdb.Error as error:
            raise Fatal(f"DuckDB cannot keep reference data: {error}") from error
        finally:
            self._roll_back()
            self._connection.unregister(CHANGES)

    def query(self, sql: str, rows: pa.RecordBatch, most_s: float = math.inf) -> pa.RecordBatch:
        """The result of `sql` with `rows` as `input`. It may take `most_s`, and never more than the limit of each query.

        Errors: RowError when a value of the rows makes it fail, TooCostly when they take too much time or memory; Fatal when
        the statement fits no row of this shape, or the engine itself fails.
        """
        began = time.monotonic()
        most_s = min(most_s, self.query_limit_s)
        try:
            self._connection.register(INPUT, rows)
            with self._in_time(most_s), self._looked(sql):
                return _one_batch(self._connection.sql(sql).to_arrow_table())
        except (duckdb.OutOfMemoryException, MemoryError, pa.ArrowMemoryError) as error:
            raise TooCostly(
                f"the SQL takes more memory than it may: {_said(error)}", time.monotonic() - began
            ) from error
        except duckdb.InterruptException as error:
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise Fatal(_TOO_LONG) from error
            raise TooCostly(f"the SQL takes longer than {most_s:g} s", time.monotonic() - began) from error
        except duckdb.Error as error:
            raise _mapped(error) from error

    def produced(self, sql: str, rows: pa.Schema) -> Sequence[tuple[str, str]]:
        """The (name, DuckDB type) of each column of `sql` over input of this shape. Errors: Fatal."""
        try:
            self._connection.register(INPUT, _empty(rows))
            with self._looked(sql):
                relation = self._connection.sql(sql)
                return [(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)]
        except duckdb.Error as error:
            raise _mapped(error) from error

    def close(self) -> None:
        """Drop the database, or leave it to its store."""
        self._connection.close()

    @contextmanager
    def _looked(self, sql: str) -> Iterator[None]:
        """Where `sql` can change nothing, neither alone nor as a part of more. Errors: Fatal, duckdb.Error."""
        try:
            self._connection.execute(LOOK)
            self._looking.examine(sql)
            yield
        finally:
            self._roll_back()

    def _roll_back(self) -> None:
        with suppress(duckdb.Error):  # none is open
            try:
                self._connection.rollback()
            except duckdb.InterruptException:  # the time was up just now
                self._connection.rollback()

    @contextmanager
    def _in_time(self, most_s: float = math.inf) -> Iterator[None]:
        """Interrupt what is computed within when the time is up."""
        left_s = math.inf if self._deadline is None else self._deadline - time.monotonic()
        if left_s <= 0:
            raise Fatal(_TOO_LONG)
        left_s = min(left_s, most_s)
        if left_s == math.inf:
            yield
            return
        watch = threading.Timer(left_s, self._connection.interrupt)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else _empty(table.schema)


def _said(error: BaseException) -> str:
    return str(error).partition("\n\nLINE ")[0].partition("\nPossible solutions")[0].strip()


def _mapped(error: duckdb.Error) -> Exception:
    message = _said(error)
    if isinstance(error, _UNFIT):
        return Fatal(f"the SQL of the dataset file does not fit its rows: {message}")
    if isinstance(error, duckdb.InterruptException):
        return Fatal(_TOO_LONG)
    if isinstance(error, _BROKEN):
        return Fatal(f"DuckDB failed: {message}")
    return RowError(message)

"""Computes SQL expressions over rows in DuckDB, which can reach nothing but those rows, and for so long only."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from headrace.errors import Fatal
from headrace.transform.engine import INPUT, Engine
from headrace.transform.isolate import RowError, isolate

_MEMORY: Final = "128MB"
_MOST_S: Final = 10.0  # far below the time after which the brokers give up a member that does not ask for more
#: The database is of no more use.
_BROKEN: Final = (duckdb.InternalException, duckdb.FatalException)
#: An expression fits no row at all.
_UNFIT: Final = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
_MOST_TOLD: Final = 32  # rows that fail are asked one by one, which costs milliseconds each

#: A database by the most memory and the most seconds it may take.
Opening = Callable[[str, float], Engine]


def values_of(
    expressions: Sequence[str], rows: pa.RecordBatch, most_s: float = _MOST_S, opening: Opening = Engine
) -> tuple[list[pa.Array], Mapping[int, str]]:
    """The value of each expression for each row, and by row why it cannot be computed (its values are then null).

    The expressions were examined by `headrace.contract`: one value each, of one row. Units: `most_s` is for all rows
    together; those that are not computed by then fail.
    """
    if not len(rows):
        return [pa.nulls(0) for _ in expressions], {}
    with closing(_Computing(expressions, most_s, opening)) as computing:
        try:
            return computing.values(rows), {}
        except RowError as error:
            why = computing.failures(rows, error)
        good = [at for at in range(len(rows)) if at not in why]
        left = rows.take(pa.array(good, pa.int64()))
        parts, failed = isolate(lambda start, stop: computing.values(left.slice(start, stop - start)), len(left))
    why |= {good[at]: str(said) for at, said in failed}
    numbers = iter(range(len(rows) - len(why)))
    places = pa.array([None if at in why else next(numbers) for at in range(len(rows))], pa.int64())
    return [_together([part[n] for part in parts]).take(places) for n in range(len(expressions))], why


class _Computing:
    """Expressions, and the database that computes them."""

    def __init__(self, expressions: Sequence[str], most_s: float, opening: Opening) -> None:
        listed = ", ".join(f"({expression}) AS c{n}" for n, expression in enumerate(expressions))
        # A struct is NULL only where computing what is in it failed.
        tried = " OR ".join(f"TRY({{'v': ({expression})}}) IS NULL" for expression in expressions)
        self._tried = f"SELECT {tried} AS failed FROM {INPUT}"  # noqa: S608
        self._sql = f"SELECT {listed} FROM {INPUT}"  # noqa: S608
        self._count = len(expressions)
        self._deadline = time.monotonic() + most_s
        self._opening = opening
        self._engine = opening(_MEMORY, most_s)

    def failures(self, rows: pa.RecordBatch, error: RowError) -> dict[int, str]:
        """Why rows fail, where many do, after all together failed: some are asked for the reason, which others share.

        Nothing where few fail, or that cannot be told at once: they are found in ever smaller parts.
        """
        if isinstance(error.__cause__, Fatal) and isinstance(error.__cause__.__cause__, _UNFIT):
            return dict.fromkeys(range(len(rows)), str(error))
        if len(rows) <= _MOST_TOLD:
            return {}
        try:
            found = self._engine.query(self._tried, rows)
        except (Fatal, RowError):
            return {}
        failed = np.flatnonzero(found.column(0).to_numpy(zero_copy_only=False)).tolist()
        if len(failed) <= _MOST_TOLD:
            return {}
        told = {at: self._failure(rows.slice(at, 1)) for at in failed[:_MOST_TOLD]}
        return {at: told.get(at) or f"such as: {told[failed[0]]}" for at in failed}

    def _failure(self, row: pa.RecordBatch) -> str:
        try:
            self.values(row)
        except RowError as error:
            return str(error)
        return "an expression cannot be computed"

    def values(self, rows: pa.RecordBatch) -> list[pa.Array]:
        """Of each expression, for each row. Errors: RowError."""
        try:
            result = self._engine.query(self._sql, rows)
        except Fatal as error:
            if isinstance(error.__cause__, _BROKEN):
                self._engine.close()
                self._engine = self._opening(_MEMORY, self._deadline - time.monotonic())
            raise RowError(_told(error)) from error
        if result.num_rows != len(rows) or result.num_columns != self._count:
            raise RowError("an expression has to give one value of each row")
        return list(result.columns)

    def close(self) -> None:
        """Drop the database."""
        self._engine.close()


def _told(error: Fatal) -> str:
    """As DuckDB says it: what the engine adds speaks of dataset files."""
    cause = error.__cause__
    said = cause if isinstance(cause, duckdb.Error) and not isinstance(cause, duckdb.InterruptException) else error
    return str(said).partition("\n")[0]


def _together(parts: Sequence[pa.Array]) -> pa.Array:
    """One array; a value that is only NULL may be of another type in some part."""
    kind = next((part.type for part in parts if part.null_count < len(part)), parts[0].type if parts else pa.null())
    return pa.concat_arrays([part.cast(kind) for part in parts]) if parts else pa.nulls(0, kind)

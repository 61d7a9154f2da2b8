"""Computes SQL expressions over rows in DuckDB, which can reach nothing but those rows."""

from collections.abc import Mapping, Sequence
from typing import Final

import duckdb
import pyarrow as pa

from headrace.errors import Transient

_STARTED_WITH: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 1,
    "memory_limit": "128MB",
    "temp_directory": "",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}
_LOCKED_WITH: Final = (
    "SET TimeZone = 'UTC'",
    "SET preserve_insertion_order = true",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_BROKEN: Final = (duckdb.InternalException, duckdb.FatalException, duckdb.IOException)


class Expressions:
    """One locked database in memory. Used by one thread at a time."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(":memory:", config=_STARTED_WITH)
        for statement in _LOCKED_WITH:
            self._connection.execute(statement)

    def values(self, expressions: Sequence[str], rows: pa.RecordBatch) -> tuple[list[pa.Array], Mapping[int, str]]:
        """The value of each expression for each row, and by row why it cannot be computed (its values are then null).

        The expressions were examined by `headrace.contract`: one value each, of one row. Errors: Transient.
        """
        try:
            return self._computed(expressions, rows), {}
        except duckdb.Error as error:
            if isinstance(error, _BROKEN):
                raise Transient(f"DuckDB cannot compute an expression: {error}") from error
        found: list[list[pa.Array]] = []
        failed: dict[int, str] = {}
        for at in range(len(rows)):
            try:
                found.append(self._computed(expressions, rows.slice(at, 1)))
            except duckdb.Error as error:
                failed[at] = str(error).partition("\n")[0]
        good = iter(found)
        every = [next(good) if at not in failed else None for at in range(len(rows))]
        return [_together([each[n] if each else None for each in every]) for n in range(len(expressions))], failed

    def close(self) -> None:
        """Drop the database."""
        self._connection.close()

    def _computed(self, expressions: Sequence[str], rows: pa.RecordBatch) -> list[pa.Array]:
        self._connection.register("input", rows)
        try:
            listed = ", ".join(f"({expression}) AS c{n}" for n, expression in enumerate(expressions))
            table = self._connection.sql(f"SELECT {listed} FROM input").to_arrow_table()  # noqa: S608
        finally:
            self._connection.unregister("input")
        return [
            pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)
            for column in table.columns
        ]


def _together(parts: Sequence[pa.Array | None]) -> pa.Array:
    """One array of the values of single rows, null where there is none."""
    kind = next((part.type for part in parts if part is not None), pa.null())
    return pa.concat_arrays([part.cast(kind) if part is not None else pa.nulls(1, kind) for part in parts])

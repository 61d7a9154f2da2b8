"""Remembers which values rows had in the columns that no two may share: a hash of them beside the place of the row.

A hash has 128 bits: among ten thousand million rows, two that differ have the same one with a chance of one in 10^19.
"""

# ruff: noqa: S608 - names are quoted by `headrace.transform.quoting`

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from headrace.errors import Fatal
from headrace.stream import columns
from headrace.transform.parents import Bools
from headrace.transform.quoting import quoted
from headrace.transform.unique import Contested, Place

_MEMORY: Final = "64MB"
_ROWS: Final = "rows"
_GOING: Final = "going"
_PLACE: Final = (columns.PARTITION, columns.OFFSET)


class Seen:
    """What rows had, for each of several sets of columns. One thread at a time.

    Kept in a file under `folder`, of which 64 MB are held in memory; without a folder, in memory. What is noted is not
    confirmed before `confirm` says the same: `forget_unconfirmed` takes it back. Errors of all it is asked: Fatal.
    """

    def __init__(self, sets: Sequence[Sequence[str]], folder: Path | None = None) -> None:
        self.sets = tuple(tuple(each) for each in sets)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._folder = None if folder is None else Path(tempfile.mkdtemp(dir=folder))
        where = ":memory:" if self._folder is None else str(self._folder / "seen.duckdb")
        # One row group after the other is looked through: an index would have to stay in memory whole.
        self._connection = duckdb.connect(where, config={"threads": 1, "memory_limit": _MEMORY, "temp_directory": ""})
        for at in range(len(self.sets)):
            self._do(f"CREATE TABLE seen_{at} (key UHUGEINT, part INTEGER, raw BIGINT, confirmed BOOLEAN)")

    def contested(self, rows: pa.RecordBatch) -> list[list[Contested]]:
        """For each set of columns the rows that are not alone with their values.

        Shapes: `rows` has these columns and `_partition` and `_offset`. A row of the same place is no other.
        """
        self._given(rows)
        return [self._contested(at) for at in range(len(self.sets))]

    def note(self, went_on: Bools) -> None:
        """Remember those of the rows last looked at that go on."""
        going = pa.RecordBatch.from_arrays([pa.array(np.flatnonzero(went_on), pa.int64())], names=["place"])
        self._connection.register(_GOING, going)
        for at in range(len(self.sets)):
            mine = f"SELECT key, part, raw, false FROM now_{at} SEMI JOIN {_GOING} USING (place) WHERE key IS NOT NULL"
            self._do(f"INSERT INTO seen_{at} {mine}")
        self._connection.unregister(_GOING)

    def confirm(self, rows: pa.RecordBatch) -> None:
        """Remember rows that went on for certain, in their order."""
        self._given(rows)
        for at in range(len(self.sets)):
            self._do(f"INSERT INTO seen_{at} SELECT key, part, raw, true FROM now_{at} WHERE key IS NOT NULL")

    def forget_unconfirmed(self) -> None:
        """Take back what was noted, but not confirmed."""
        for at in range(len(self.sets)):
            self._do(f"DELETE FROM seen_{at} WHERE NOT confirmed")

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _given(self, rows: pa.RecordBatch) -> None:
        self._connection.register(_ROWS, rows)
        for at, names in enumerate(self.sets):
            part, offset = (quoted(name) for name in _PLACE)
            hashed = f"md5_number({_text(names)})"
            place = "row_number() OVER () - 1"
            self._do(
                f"CREATE OR REPLACE TEMP TABLE now_{at} AS "
                f"SELECT {hashed} AS key, {part} AS part, {offset} AS raw, {place} AS place FROM {_ROWS}"
            )
        self._connection.unregister(_ROWS)

    def _contested(self, at: int) -> list[Contested]:
        """The holder of values is the row that was the first to go on with them: not always that with the smallest offset, as one
        that had waited comes later. So a row that is looked at once more, after it was noted, is told the same."""
        held = (
            f"SELECT now.place, min_by(struct_pack(part := seen.part, raw := seen.raw), seen.rowid) AS holder "
            f"FROM now_{at} AS now JOIN seen_{at} AS seen ON seen.key = now.key GROUP BY now.place"
        )
        ranked = (
            f"SELECT place, part, raw, dense_rank() OVER (ORDER BY key) AS number, count(*) OVER (PARTITION BY key) AS times "
            f"FROM now_{at} WHERE key IS NOT NULL"
        )
        found = self._do(
            f"SELECT ranked.place, number, holder.part, holder.raw, holder.part = ranked.part AND holder.raw = ranked.raw "
            f"FROM ({ranked}) AS ranked LEFT JOIN ({held}) AS held USING (place) "
            f"WHERE times > 1 OR holder IS NOT NULL ORDER BY ranked.place"
        ).fetchall()
        return [
            Contested(row, number, None if part is None or own else Place(part, offset))
            for row, number, part, offset, own in found
        ]

    def _do(self, statement: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(statement)
        except duckdb.Error as error:
            raise Fatal(f"DuckDB cannot keep the values that rows may not share: {error}") from error


def _text(names: Sequence[str]) -> str:
    """The values as one text that no other values have; null where one is missing."""
    return " || ".join(f"length({quoted(name)}::VARCHAR) || ':' || {quoted(name)}::VARCHAR" for name in names)

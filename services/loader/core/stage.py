"""The loader's stages: rows of a topic in the shape of their table, and which of them the warehouse cannot hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from headrace.stream import columns
from headrace.stream.stage import Batch, Emitted, Outcome, Rejection
from services.loader.core.ranges import calendar, out_of_range
from services.loader.core.table import LOAD_FIELDS, UPSERT_FIELDS, Table

UNLOADABLE: Final = "unloadable"

#: A row's version is its raw offset (of one that was resubmitted, that of the record it was before), then its place among the
#: rows made from that record. 2^44 records a partition (five hundred years at a thousand a second), a million rows from one.
_SEQ_BITS: Final = 20


@dataclass(frozen=True, slots=True)
class LoaderStage:
    """Adds what the table needs beside a row's own columns; rejects (`unloadable`) what the warehouse would distort."""

    name: str
    table: Table

    def __call__(self, batch: Batch) -> Outcome:
        rejected = {rejection.row: rejection for rejection in self._unloadable(batch.rows)}
        shaped = self._shaped(batch)
        if not rejected:
            row = pa.arange(0, len(batch.raw))  # type: ignore[attr-defined]  # not in its stubs yet
        else:
            row = pa.array([at for at in range(len(batch.raw)) if at not in rejected], pa.int64())
            shaped = shaped.take(row)
        return Outcome((Emitted(row, shaped),), rejected=[rejected[at] for at in sorted(rejected)])

    def _unloadable(self, rows: pa.RecordBatch) -> Iterator[Rejection]:
        """Why rows cannot be loaded; of a row with several causes, each."""
        for column, values in zip(rows.schema, rows.columns, strict=True):
            if column.name in self.table.key and values.null_count:
                for at in _rows(values.is_null()):
                    yield Rejection(at, UNLOADABLE, f"{column.name} is part of the key and missing", column=column.name)
            if (outside := out_of_range(values)) is not None:
                detail = f"{column.name}: {calendar(column.type)}"
                for at in _rows(outside):
                    yield Rejection(at, UNLOADABLE, detail, column=column.name)

    def _shaped(self, batch: Batch) -> pa.RecordBatch:
        rows = batch.rows
        fields = [field.with_nullable(False) if field.name in self.table.key else field for field in rows.schema]
        fields += LOAD_FIELDS
        arrays = [*rows.columns, batch.raw.partition, batch.raw.offset]
        if self.table.key:
            fields += UPSERT_FIELDS
            offset, seq = columns.age_of(rows).cast(pa.uint64()), rows.column(columns.SEQ).cast(pa.uint64())
            version = pc.bit_wise_or(pc.shift_left(offset, pa.scalar(_SEQ_BITS, pa.uint64())), seq)
            arrays += [version, pc.equal(rows.column(columns.OP), pa.scalar("delete")).cast(pa.uint8())]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _rows(marks: pa.BooleanArray) -> list[int]:
    found: list[int] = pc.indices_nonzero(marks).to_numpy().tolist()
    return found

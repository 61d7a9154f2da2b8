"""Gives raw records their identity: the system columns that every later stage relies on."""

import pyarrow as pa

from headrace.stream import columns
from headrace.stream.stage import Batch


def staged(batch: Batch, version: int) -> pa.RecordBatch:
    """The rows of a raw batch with their system columns. Shapes: as many rows; the source's columns, then `STAGED_FIELDS`."""
    raw, rows = batch.raw, batch.rows
    count = len(raw)
    known: dict[str, pa.Array] = {
        columns.PARTITION: raw.partition,
        columns.OFFSET: raw.offset,
        columns.SEQ: pa.repeat(pa.scalar(0, pa.int32()), count),
        columns.INGESTED_AT: raw.timestamp_ms.cast(pa.timestamp("ms", tz="UTC")).cast(columns.TIMESTAMP),
        columns.SOURCE_TS: _given(rows, columns.SOURCE_TS, pa.nulls(count, columns.TIMESTAMP)),
        columns.OP: _given(rows, columns.OP, pa.repeat(pa.scalar("insert"), count)),
        columns.VERSION: pa.repeat(pa.scalar(version, pa.int32()), count),
    }
    own = [field for field in rows.schema if field.name not in known]
    return pa.RecordBatch.from_arrays(
        [rows.column(field.name) for field in own] + [known[field.name] for field in columns.STAGED_FIELDS],
        schema=pa.schema([*own, *columns.STAGED_FIELDS]),
    )


def _given(rows: pa.RecordBatch, name: str, otherwise: pa.Array) -> pa.Array:
    """A column the connector set, or what stands for it in a topic that somebody else writes to."""
    return rows.column(name) if name in rows.schema.names else otherwise

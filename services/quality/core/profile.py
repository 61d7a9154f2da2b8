"""What a batch looked like, column by column, in numbers that can be merged over batches."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.stream import columns
from headrace.stream.pump import Work
from headrace.stream.stage import Batch

_MOST_TEXT: Final = 200  # characters kept of a least or greatest value


def profiles_of(work: Work, checked: Mapping[str, str | None], at: datetime) -> Iterator[dict[str, Any]]:
    """A record of `schemas/profile.avsc` for each partition of each batch of `work`.

    `checked` names the column that each flagging check looks at. Units: `at` is the time of the profile.
    """
    for portion in work.portions:
        batch = portion.batch
        partitions = np.unique(batch.raw.partition.to_numpy()).tolist()
        for partition in partitions:
            part = batch if len(partitions) == 1 else _only(batch, partition)
            offsets = part.raw.offset.to_numpy()
            yield {
                "dataset": work.position.dataset,
                "generation": work.position.generation,
                "version": work.position.version,
                "partition": partition,
                "from_offset": int(offsets[0]),
                "to_offset": int(offsets[-1]),
                "rows": len(part.rows),
                "profiled_at": at,
                "columns": profile(part.rows, checked),
            }


def profile(rows: pa.RecordBatch, checked: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """A profile of each of the dataset's own columns, in order."""
    flagged = _flagged(rows, checked)
    return [
        {"name": name, "flagged": flagged.get(name, 0), **_column(rows.column(name))}
        for name in columns.user_columns(rows.schema)
    ]


def _column(values: pa.Array) -> dict[str, Any]:
    kind = values.type
    about: dict[str, Any] = {"type": str(kind), "nulls": values.null_count}
    about |= dict.fromkeys(("distinct", "min", "max", "mean", "m2"))
    if pa.types.is_nested(kind) or isinstance(kind, pa.JsonType) or values.null_count == len(values):
        return about
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if _counted(kind):
        about["distinct"] = pc.count_distinct(values).as_py()
    if not (pa.types.is_binary(values.type) or pa.types.is_fixed_size_binary(values.type)):
        ends = pc.min_max(values)
        about["min"], about["max"] = _text(ends["min"]), _text(ends["max"])
    if _is_number(kind):
        about["mean"], about["m2"] = _moments(values)
    return about


def _counted(kind: pa.DataType) -> bool:
    """Whether distinct values are counted: not of measurements, where hashing each value costs most and tells least."""
    return not (pa.types.is_floating(kind) or pa.types.is_timestamp(kind) or pa.types.is_time(kind))


def _is_number(kind: pa.DataType) -> bool:
    return (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )


def _moments(values: pa.Array) -> tuple[float | None, float | None]:
    """The mean and the sum of squared deviations from it; None when a value is not finite, as no sum is then."""
    present = values.drop_null() if values.null_count else values
    if pa.types.is_boolean(present.type):
        present = present.cast(pa.uint8())
    numbers = present.cast(pa.float64(), safe=False).to_numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(numbers.mean())
        deviations = numbers - mean
        m2 = float((deviations * deviations).sum())  # a dot product would wake BLAS's threads
    return (mean, m2) if np.isfinite(m2) else (None, None)


def _text(value: pa.Scalar) -> str:
    return str(value)[:_MOST_TEXT]


def _flagged(rows: pa.RecordBatch, checked: Mapping[str, str | None]) -> dict[str, int]:
    """The number of rows that a check of each column flagged."""
    flags = rows.column(columns.FLAGS)
    names = pc.list_flatten(flags).to_numpy(zero_copy_only=False)
    if len(names) == 0:
        return {}
    column = np.array([checked.get(name) or "" for name in names])
    row = pc.list_parent_indices(flags).to_numpy()
    return {name: len(np.unique(row[column == name])) for name in np.unique(column).tolist() if name}


def _only(batch: Batch, partition: int) -> Batch:
    index = pa.array(np.flatnonzero(batch.raw.partition.to_numpy() == partition), pa.int64())
    return Batch(batch.raw.take(index), batch.rows.take(index), batch.schema_id)

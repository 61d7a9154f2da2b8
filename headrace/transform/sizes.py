"""How large rows have become: SQL may make a row larger than a message can be."""

from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.transform.parents import Int64s

MOST_BYTES: Final = 8_000_000
"""Half of what a message can hold: encoded, a row takes a little more or less than its values do in memory."""


def oversized(rows: pa.RecordBatch, most: int = MOST_BYTES) -> Int64s:
    """The indexes of the rows whose values take more than `most` bytes."""
    if rows.nbytes <= most:
        return np.zeros(0, np.int64)
    size = np.zeros(len(rows), np.int64)
    for column in rows.columns:
        size += _sizes(column)
    return np.flatnonzero(size > most)


_BYTES: Final = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
)


def _sizes(column: pa.Array) -> Int64s:
    """The bytes of each value."""
    if isinstance(column, pa.ExtensionArray):
        return _sizes(column.storage)
    if isinstance(column, pa.DictionaryArray):
        return _sizes(column.dictionary_decode())
    if any(is_bytes(column.type) for is_bytes in _BYTES):
        lengths: pa.Int64Array = pc.binary_length(cast(Any, column))
        return lengths.fill_null(0).to_numpy().astype(np.int64)
    if not pa.types.is_nested(column.type):
        return np.full(len(column), -(-column.type.bit_width // 8), np.int64)
    return np.fromiter((column.slice(at, 1).nbytes for at in range(len(column))), np.int64, len(column))

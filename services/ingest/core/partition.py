"""Which partition a row goes to: by the text of its key, so that order per key holds, else in contiguous slices."""

import json
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

LEAST_SHARE: Final = 500


def key_texts(rows: pa.RecordBatch, key: Sequence[str]) -> list[bytes]:
    """The message key of each row: the text of its key column, or a JSON array of texts when there are several.

    A missing key is the empty text. Errors: KeyError when a key column is not among the rows' columns.
    """
    columns = [_texts(rows.column(name)) for name in key]
    if len(columns) == 1:
        return [(text or "").encode() for text in columns[0]]
    return [
        json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode() for parts in zip(*columns, strict=True)
    ]


def _texts(column: pa.Array) -> list[str | None]:
    if pa.types.is_nested(column.type) or isinstance(column.type, pa.BaseExtensionType):
        return [
            None if value is None else json.dumps(value, default=str, sort_keys=True) for value in column.to_pylist()
        ]
    texts: list[str | None] = pc.cast(column, pa.string()).to_pylist()
    return texts


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key. Source: librdkafka's `consistent` partitioner (CRC32 of the key), so any producer can agree."""
    return zlib.crc32(key) % partitions


def by_key(keys: Sequence[bytes], partitions: int) -> dict[int, npt.NDArray[np.int64]]:
    """The rows of each partition that gets any, in their order."""
    chosen = np.fromiter((zlib.crc32(key) for key in keys), np.int64, len(keys)) % partitions
    return {number: index for number in range(partitions) if len(index := np.flatnonzero(chosen == number))}


def in_slices(rows: int, partitions: int, first: int) -> dict[int, tuple[int, int]]:
    """(start, stop) of the contiguous share of each partition that gets any; partition `first` gets the first share.

    A share has at least `LEAST_SHARE` rows: each partition of a transaction costs the broker a commit marker. `first`
    should move on from call to call, so that small batches do not all meet in one partition.
    """
    shares = min(-(-rows // LEAST_SHARE), partitions)
    edges = [rows * share // shares for share in range(shares + 1)] if shares else []
    return {(first + share) % partitions: (edges[share], edges[share + 1]) for share in range(shares)}

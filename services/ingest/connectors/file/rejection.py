"""Rows of typed files that are set aside, as people can read them."""

import json
from collections.abc import Callable, Sequence

import pyarrow as pa

from headrace.connector import SourceRow
from services.ingest.core.csv import Fault


def rejected(batch: pa.RecordBatch, faults: Sequence[Fault], place: Callable[[int], str]) -> tuple[SourceRow, ...]:
    """The rows of a batch that `faults` name; `place` says where in the source a row of it is."""
    texts = batch.take(pa.array([fault.row for fault in faults], pa.int64())).to_pylist() if faults else []
    return tuple(
        SourceRow(
            json.dumps(text, default=str, ensure_ascii=False).encode(errors="replace"),
            fault.reason,
            fault.detail,
            place(fault.row),
            fault.column,
            behind=fault.row - before,
        )
        for before, (fault, text) in enumerate(zip(faults, texts, strict=True))
    )

"""Rows of typed files that are set aside, as people can read them."""

from collections.abc import Callable, Sequence

import pyarrow as pa

from headrace.connector import SourceRow
from services.ingest.core.csv import Fault
from services.ingest.core.typed_texts import row_text


def rejected(batch: pa.RecordBatch, faults: Sequence[Fault], place: Callable[[int], str]) -> tuple[SourceRow, ...]:
    """The rows of a batch that `faults` name; `place` says where in the source a row of it is."""
    return tuple(
        SourceRow(
            row_text(batch, fault.row),
            fault.reason,
            fault.detail,
            place(fault.row),
            fault.column,
            behind=fault.row - before,
        )
        for before, fault in enumerate(faults)
    )

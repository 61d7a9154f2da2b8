"""Leaves out rows that were ingested outside the range of a generation, before anything is made of them: a rule in the ledger."""

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from headrace.stream import columns
from headrace.stream.stage import Batch, Outcome, Stage
from headrace.transform.skipping import leaving_out

#: The rule in the books.
OUTSIDE: Final = "outside_range"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class InRange:
    """A `Stage` around another, which sees only rows that were ingested in a half-open range; None: without end there."""

    def __init__(self, stage: Stage, begin: datetime | None, end: datetime | None) -> None:
        self._stage = stage
        self._begin_us, self._end_us = _micros(begin), _micros(end)

    @property
    def name(self) -> str:
        return self._stage.name

    def __call__(self, batch: Batch) -> Outcome:
        """See `headrace.stream.stage.Stage`."""
        at_us = batch.rows.column(columns.INGESTED_AT).cast(columns.TIMESTAMP).cast(pa.int64()).to_numpy()
        outside = np.zeros(len(at_us), np.bool_)
        if self._begin_us is not None:
            outside |= at_us < self._begin_us
        if self._end_us is not None:
            outside |= at_us >= self._end_us
        return leaving_out(outside, OUTSIDE, batch, self._stage)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND

"""A generation of a range makes nothing of rows that were ingested outside of it, and the books say so."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from headrace.stream import columns
from headrace.stream.stage import Batch, Emitted, Outcome, Records, Rejection
from headrace.transform.in_range import OUTSIDE, InRange

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = (0, 1, 2, 3)


class Stage:
    """Lets even hours pass, and sets odd ones aside."""

    name = "transformer"

    def __call__(self, batch: Batch) -> Outcome:
        hours: list[int] = batch.rows.column("hour").to_numpy().tolist()
        kept = [at for at, hour in enumerate(hours) if hour % 2 == 0]
        index = pa.array(kept, pa.int64())
        rejected = [Rejection(at, "check_between", "odd") for at in range(len(hours)) if at not in kept]
        return Outcome((Emitted(index, batch.rows.take(index)),), rejected=rejected)


def made(begin: int | None, end: int | None) -> Outcome:
    ends = [None if hour is None else MIDNIGHT + timedelta(hours=hour) for hour in (begin, end)]
    rows = pa.RecordBatch.from_pydict(
        {
            "hour": pa.array(HOURS, pa.int64()),
            columns.INGESTED_AT: pa.array([MIDNIGHT + timedelta(hours=hour) for hour in HOURS], columns.TIMESTAMP),
        }
    )
    return InRange(Stage(), *ends)(Batch(Records.numbered("t", [b""] * len(HOURS)), rows, 1))


@pytest.mark.parametrize(
    ("begin", "end", "outside"),
    [
        (None, None, []),
        (1, None, [0]),
        (None, 2, [2, 3]),
        (1, 3, [0, 3]),
        (4, None, [0, 1, 2, 3]),
        (None, 0, [0, 1, 2, 3]),
    ],
)
def test_every_row_has_one_fate(begin: int | None, end: int | None, outside: list[int]) -> None:
    outcome = made(begin, end)
    filtered = {rule: rows.to_pylist() for rule, rows in outcome.filtered.items()}
    assert filtered == ({OUTSIDE: outside} if outside else {})
    inside = [hour for hour in HOURS if hour not in outside]
    assert [at for part in outcome.emitted for at in part.row.to_pylist()] == [hour for hour in inside if hour % 2 == 0]
    assert [each.row for each in outcome.rejected] == [hour for hour in inside if hour % 2]

"""A profile tells the truth about its batch, and profiles of parts add up to that of the whole."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stream import columns
from headrace.stream.ledger import EMIT, Position, fates
from headrace.stream.pump import Delivery, Portion, Work
from headrace.stream.stage import Batch, Records
from services.quality.core.gate import Gate
from services.quality.core.profile import profile, profiles_of

AT = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def rows_of(values: pa.Array, flags: list[list[str]] | None = None) -> pa.RecordBatch:
    kind = columns.TRANSFORMED_FIELDS[-1].type
    noted = pa.array(flags if flags is not None else [[]] * len(values), kind)
    return pa.RecordBatch.from_arrays([values, noted], names=["v", columns.FLAGS])


def profile_of(values: pa.Array, **more: Any) -> dict[str, Any]:
    [found] = profile(rows_of(values, **more), {"small": "v", "other": "w"})
    return found


def test_a_column_of_numbers() -> None:
    assert profile_of(pa.array([1, 2, None, 3])) == {
        "name": "v",
        "type": "int64",
        "flagged": 0,
        "nulls": 1,
        "distinct": 3,
        "min": "1",
        "max": "3",
        "mean": 2.0,
        "m2": 2.0,
    }


def test_a_column_of_text_has_ends_but_no_mean() -> None:
    found = profile_of(pa.array(["b", "a", "b", "x" * 999]))
    assert (found["distinct"], found["min"], found["mean"]) == (3, "a", None)
    assert len(found["max"]) == 200


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_without_a_sum_have_no_mean(bad: float) -> None:
    found = profile_of(pa.array([1.0, bad]))
    assert (found["mean"], found["m2"], found["nulls"]) == (None, None, 0)


UUIDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, None], pa.binary(16)))
JSONS = pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(["{}", None]))
OF_EVERY_TYPE = [
    pa.array([True, None]),
    pa.array([1, None], pa.int32()),
    pa.array([1.5, None], pa.float32()),
    pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
    pa.array([dt.date(2024, 1, 1), None]),
    pa.array([AT, None], columns.TIMESTAMP),
    pa.array([dt.time(1, 2), None], pa.time64("us")),
    pa.array([b"x", None]),
    pa.array([["x"], None]),
    pa.array([{"x": 1}, None]),
    pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    pa.nulls(2, pa.int64()),
    UUIDS,
    JSONS,
]


@pytest.mark.parametrize("values", OF_EVERY_TYPE, ids=lambda values: str(values.type))
def test_every_published_type_has_a_profile(values: pa.Array) -> None:
    found = profile_of(values)
    assert found["nulls"] == values.null_count
    assert found["type"] == str(values.type)


def test_a_row_flagged_twice_on_one_column_counts_once() -> None:
    noted = [["small", "small"], [], ["other"], ["small", "other"], ["unknown"]]
    assert profile_of(pa.array([1, 2, 3, 4, 5]), flags=noted)["flagged"] == 2


@given(
    st.lists(st.none() | st.integers(-(2**40), 2**40), max_size=30),
    st.lists(st.none() | st.integers(-(2**40), 2**40), max_size=30),
)
def test_profiles_of_parts_merge_into_that_of_the_whole(left: list[int | None], right: list[int | None]) -> None:
    parts = [profile_of(pa.array(part, pa.int64())) for part in (left, right)]
    whole = profile_of(pa.array(left + right, pa.int64()))
    counts = [len(part) - one["nulls"] for part, one in zip((left, right), parts, strict=True)]
    assert sum(one["nulls"] for one in parts) == whole["nulls"]
    if all(counts):
        gap, (n, m) = parts[1]["mean"] - parts[0]["mean"], counts
        assert math.isclose(parts[0]["mean"] + gap * m / (n + m), whole["mean"], rel_tol=1e-9, abs_tol=1e-3)
        assert math.isclose(
            parts[0]["m2"] + parts[1]["m2"] + gap**2 * n * m / (n + m), whole["m2"], rel_tol=1e-6, abs_tol=1e-3
        )
        assert min(int(one["min"]) for one in parts) == int(whole["min"])


def work_of(rows: pa.RecordBatch, partition: list[int]) -> Work:
    raw = Records(
        "shop.orders.transformed.v2",
        pa.array(partition, pa.int32()),
        pa.array(range(50, 50 + len(partition)), pa.int64()),
        pa.array([0] * len(partition), pa.int64()),
        [None] * len(partition),
        [b""] * len(partition),
    )
    batch = Batch(raw, rows, 1)
    position = Position("shop.orders", 2, 5, "quality", "0")
    return Work(position, Delivery(raw, {}, None, 1), (Portion(batch, Gate()(batch)),), (), ())


def test_each_partition_has_a_profile_of_its_own() -> None:
    work = work_of(rows_of(pa.array([1, 10, 2, 20, 3])), [0, 1, 0, 1, 0])
    first, second = profiles_of(work, {}, AT)
    assert (first["partition"], first["from_offset"], first["to_offset"], first["rows"]) == (0, 50, 54, 3)
    assert (second["partition"], second["from_offset"], second["to_offset"], second["rows"]) == (1, 51, 53, 2)
    assert [one["columns"][0]["mean"] for one in (first, second)] == [2.0, 15.0]
    assert (first["dataset"], first["generation"], first["version"], first["profiled_at"]) == ("shop.orders", 2, 5, AT)


def test_every_row_goes_on_as_it_came() -> None:
    work = work_of(rows_of(pa.array([1, 2, 3])), [0, 0, 0])
    [portion] = work.portions
    assert (fates(3, portion.outcome) == EMIT).all()
    [emitted] = portion.outcome.emitted
    assert emitted.rows is None
    assert emitted.row.to_pylist() == [0, 1, 2]

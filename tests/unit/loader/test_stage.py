"""What the loader's stage adds to rows, and which it refuses."""

from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stream.columns import TRANSFORMED_FIELDS
from headrace.stream.ledger import Position, entries_of
from headrace.stream.stage import Batch, Outcome, Records
from services.loader.core.ranges import out_of_range
from services.loader.core.stage import LoaderStage
from services.loader.core.table import Table

TS = pa.timestamp("us", tz="UTC")
TOO_EARLY, TOO_LATE = -719_163, 2_932_897  # days: one before year 1, one after year 9999
APPEND = Table("d", "t", order_by=("_load_partition", "_load_offset"))
UPSERT = Table("d", "t", order_by=("k",), key=("k",))

MAP_STARTS: Any = pa.array([0, 2, 2, 3], pa.int32())


def days(*numbers: int | None) -> pa.Array:
    return pa.array(numbers, pa.int32()).view(pa.date32())


def batch(user: dict[str, pa.Array], **system: list[Any]) -> Batch:
    n = len(next(iter(user.values())))
    values: dict[str, list[Any]] = {
        "_partition": [0] * n,
        "_offset": list(range(n)),
        "_seq": [0] * n,
        "_ingested_at": [datetime(2026, 1, 1, tzinfo=UTC)] * n,
        "_source_ts": [None] * n,
        "_op": ["insert"] * n,
        "_version": [1] * n,
        "_flags": [[]] * n,
    }
    values.update(system)
    arrays = [*user.values(), *(pa.array(values[field.name], field.type) for field in TRANSFORMED_FIELDS)]
    fields = [*(pa.field(name, column.type) for name, column in user.items()), *TRANSFORMED_FIELDS]
    offsets = pa.array(range(100, 100 + n), pa.int64())
    raw = Records("t", pa.array([3] * n, pa.int32()), offsets, offsets, [None] * n, [b""] * n)
    return Batch(raw, pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)), 1)


def loaded(outcome: Outcome) -> list[dict[str, Any]]:
    (emitted,) = outcome.emitted
    assert emitted.rows is not None
    rows: list[dict[str, Any]] = emitted.rows.to_pylist()
    return rows


def test_rows_carry_where_they_stood() -> None:
    outcome = LoaderStage("loader", APPEND)(batch({"k": pa.array(["a", "b"])}))
    assert [(row["k"], row["_load_partition"], row["_load_offset"]) for row in loaded(outcome)] == [
        ("a", 3, 100),
        ("b", 3, 101),
    ]
    assert not outcome.rejected


def test_upsert_rows_carry_their_order_and_whether_they_are_deletions() -> None:
    given_rows = batch(
        {"k": pa.array(["a"] * 4)},
        _offset=[7, 7, 8, 2**43],
        _seq=[0, 1, 0, 0],
        _op=["insert", "update", "snapshot", "delete"],
    )
    rows = loaded(LoaderStage("loader", UPSERT)(given_rows))
    versions = [row["_row_version"] for row in rows]
    assert versions == sorted(set(versions))
    assert [row["_is_deleted"] for row in rows] == [0, 0, 0, 1]


def test_a_key_must_be_there() -> None:
    outcome = LoaderStage("loader", UPSERT)(batch({"k": pa.array(["a", None, "b"])}))
    assert [(one.row, one.reason, one.column) for one in outcome.rejected] == [(1, "unloadable", "k")]
    assert [row["k"] for row in loaded(outcome)] == ["a", "b"]
    (emitted,) = outcome.emitted
    assert emitted.rows is not None
    assert not emitted.rows.schema.field("k").nullable
    assert not LoaderStage("loader", APPEND)(batch({"k": pa.array(["a", None])})).rejected


def test_refused_rows_are_accounted_for() -> None:
    """Two causes in one row are still one rejection."""
    given_rows = batch({"d": days(0, TOO_LATE, None), "e": days(TOO_EARLY, TOO_EARLY, 0), "n": pa.array([1, 2, 3])})
    outcome = LoaderStage("loader", APPEND)(given_rows)
    assert [(one.row, one.reason) for one in outcome.rejected] == [(0, "unloadable"), (1, "unloadable")]
    assert "0001-01-01 to 9999-12-31" in outcome.rejected[0].detail
    assert [row["n"] for row in loaded(outcome)] == [3]
    (entry,) = entries_of(Position("d.t", 1, 1, "loader", "0"), given_rows.raw, [(given_rows, outcome)], (), 0)
    assert (entry.rows_in, entry.emitted, entry.quarantined) == (3, 1, {"unloadable": 2})


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        (days(TOO_EARLY, TOO_EARLY + 1, None, TOO_LATE - 1, TOO_LATE), [0, 4]),
        (pa.array([-(2**62), 0, None, 2**62], pa.int64()).view(TS), [0, 3]),
        (pa.array([-(2**62), 0, 2**62], pa.int64()).view(pa.timestamp("ns")), []),
        (pa.array([86_399_999_999, 86_400_000_000, -1, None], pa.int64()).view(pa.time64("us")), [1, 2]),
        (pa.array([86_400_000], pa.int32()).view(pa.time32("ms")), [0]),
        (pa.array([None, None], pa.date32()), []),
        (pa.array([], TS), []),
        (pa.ListArray.from_arrays([0, 1, 1, 3], days(0, 0, TOO_LATE)), [2]),
        (pa.array([[date.min], None, [date.max, None], []], pa.list_(pa.date32())), []),
        (pa.StructArray.from_arrays([days(0, TOO_LATE), pa.array([1, 2])], ["day", "n"]), [1]),
        (pa.StructArray.from_arrays([days(0, TOO_LATE, 0), days(TOO_LATE, 0, 0)], ["a", "b"]), [0, 1]),
        (pa.MapArray.from_arrays(MAP_STARTS, pa.array(["a", "b", "c"]), days(0, TOO_EARLY, 0)), [0]),
        (pa.array([[("a", [time.min])]], pa.map_(pa.string(), pa.list_(pa.time64("us")))), []),
        (pa.array([1e300, float("nan"), None]), []),
    ],
)  # fmt: skip
def test_what_the_calendar_holds(values: pa.Array, refused: list[int]) -> None:
    marks = out_of_range(values)
    found = [] if marks is None else [at for at, mark in enumerate(marks.to_pylist()) if mark]
    assert found == refused


@given(st.lists(st.none() | st.lists(st.none() | st.sampled_from([TOO_EARLY, -1, 0, TOO_LATE]))), st.data())
def test_refusals_at_any_depth_and_of_any_slice(lists: list[list[int | None] | None], data: st.DataObject) -> None:
    """A list of maps of structs of days, against the plain Python reading of the same rows."""
    inner = [None if one is None else [("k", None if day is None else {"day": day}) for day in one] for one in lists]
    numbers, dates = (
        pa.list_(pa.map_(pa.string(), pa.struct([pa.field("day", kind)]))) for kind in (pa.int32(), pa.date32())
    )
    values = pa.array([None if one is None else [one] for one in inner], numbers).cast(dates)
    start = data.draw(st.integers(0, len(lists)))
    wanted = [one is not None and any(day in (TOO_EARLY, TOO_LATE) for day in one) for one in lists[start:]]
    marks = out_of_range(values[start:])
    assert (marks.to_pylist() if marks is not None else [False] * len(wanted)) == wanted


def test_a_resubmitted_row_is_as_old_as_it_was() -> None:
    """The control is the row beside it, which was not resubmitted."""
    given = batch({"k": pa.array(["a", "a"])}, _offset=[900, 901], _seq=[1, 0])
    origin = pa.array([17, None], pa.int64())
    rows = given.rows.append_column(pa.field("_origin_offset", pa.int64()), origin)
    outcome = LoaderStage("loader", UPSERT)(Batch(given.raw, rows, 1))
    assert [row["_row_version"] for row in loaded(outcome)] == [17 << 20 | 1, 901 << 20]

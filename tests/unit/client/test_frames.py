"""A query's answer as a table: types and values, and what a notebook shows of it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from headrace.client import Items, QueryResult, Version
from headrace.client.results import Column
from headrace.errors import HeadraceError


def answer(kind: str, *values: Any) -> QueryResult:
    rows = tuple((value,) for value in values)
    return QueryResult(columns=(Column(name="x", type=kind),), rows=rows, row_count=len(rows))


@pytest.mark.parametrize(
    ("kind", "value", "type_", "read"),
    [
        ("UInt64", 2**64 - 1, pa.uint64(), 2**64 - 1),
        ("Nullable(Int8)", -3, pa.int8(), -3),
        ("LowCardinality(Nullable(String))", "a", pa.string(), "a"),
        ("Float64", "Infinity", pa.float64(), float("inf")),
        ("Bool", True, pa.bool_(), True),
        ("Decimal(9, 2)", "12.30", pa.decimal128(9, 2), Decimal("12.30")),
        ("Decimal(60, 2)", "1" * 50, pa.decimal256(60, 2), Decimal("1" * 50)),
        ("Date", "2026-01-02", pa.date32(), date(2026, 1, 2)),
        ("DateTime", "2026-01-02T03:04:05", pa.timestamp("s"), datetime(2026, 1, 2, 3, 4, 5)),
        ("Nullable(DateTime64(3, 'UTC'))", "2026-01-02T03:04:05.678000+00:00", pa.timestamp("ms", "UTC"),
         datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)),
        ("DateTime64(9)", "2026-01-02T03:04:05.678901", pa.timestamp("us"), datetime(2026, 1, 2, 3, 4, 5, 678901)),
        ("Enum8('a, (b' = 1, 'c' = 2)", "c", pa.string(), "c"),
        ("UUID", "61f0c404-5cb3-11e7-907b-a6006ad3dba0", pa.string(), "61f0c404-5cb3-11e7-907b-a6006ad3dba0"),
        ("Int256", "9" * 70, pa.string(), "9" * 70),
        ("Array(Nullable(Decimal(4, 1)))", ["1.5", None], pa.list_(pa.decimal128(4, 1)), [Decimal("1.5"), None]),
        ("Map(String, Array(UInt8))", {"a": [1]}, pa.map_(pa.string(), pa.list_(pa.uint8())), [("a", [1])]),
        ("Map(UInt8, Date)", {"7": "2026-01-02"}, pa.map_(pa.uint8(), pa.date32()), [(7, date(2026, 1, 2))]),
        ("Tuple(UInt8, String)", [1, "a"], pa.struct([("1", pa.uint8()), ("2", pa.string())]), {"1": 1, "2": "a"}),
        ("Tuple(lat Float64, `a b` Nullable(String))", {"lat": 1.5, "a b": None},
         pa.struct([("lat", pa.float64()), ("a b", pa.string())]), {"lat": 1.5, "a b": None}),
        ("JSON", {"a": [1]}, pa.string(), '{"a": [1]}'),
    ],
)  # fmt: skip
def test_a_column_has_its_type_and_its_values(kind: str, value: Any, type_: pa.DataType, read: Any) -> None:
    table = answer(kind, value, None).to_arrow()
    assert table.schema.field("x").type == type_
    assert table.column("x").to_pylist() == [read, None]


def test_an_answer_without_rows_has_its_columns() -> None:
    table = answer("UInt8").to_arrow()
    assert (table.num_rows, table.schema.names) == (0, ["x"])


def test_frames_of_polars_and_pandas_have_the_same_rows() -> None:
    result = answer("Nullable(Decimal(9, 2))", "12.30", None)
    assert result.to_polars()["x"].to_list() == [Decimal("12.30"), None]
    assert result.to_pandas()["x"].tolist() == [Decimal("12.30"), None]


@pytest.mark.parametrize("package", ["polars", "pandas"])
def test_what_is_not_installed_is_named_with_the_way_to_get_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("headrace.client.frames.import_module", missing)
    with pytest.raises(HeadraceError, match=rf"pip install 'headrace\[{package}\]'"):
        getattr(answer("UInt8", 1), f"to_{package}")()


EVIL = "<img src=x onerror=alert(1)>"


def test_nothing_a_value_holds_becomes_markup_in_a_notebook() -> None:
    result = QueryResult(columns=(Column(name=EVIL, type="String"),), rows=((EVIL,),), row_count=1, truncated=True)
    listed = Items([Version(version=EVIL), Version(version="1" * 999)])
    for shown in (result._repr_html_(), listed._repr_html_(), listed[0]._repr_html_(), Items([EVIL])._repr_html_()):
        assert "<img" not in shown
        assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "There are more" in result._repr_html_()
    assert "1" * 300 not in listed._repr_html_()


def test_a_notebook_shows_some_of_many_rows_and_says_so() -> None:
    shown = answer("UInt8", *range(200))._repr_html_()
    assert "50 of 200 rows" in shown
    assert "<em>nothing</em>" in Items[Version]()._repr_html_()

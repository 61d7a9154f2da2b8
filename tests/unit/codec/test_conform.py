"""Rows as a reader with another schema sees them."""

import decimal
from typing import Any

import pyarrow as pa
import pytest

from headrace.stream.codec import conform


def rows_of(**columns: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def test_columns_are_reordered_added_as_null_and_left_out() -> None:
    rows = rows_of(a=pa.array([1, 2]), extra=pa.array(["x", "y"]), b=pa.array(["p", "q"]))
    schema = pa.schema([("b", pa.string()), ("new", pa.list_(pa.int64())), ("a", pa.int64())])
    assert conform(rows, schema).to_pylist() == [
        {"b": "p", "new": None, "a": 1},
        {"b": "q", "new": None, "a": 2},
    ]
    assert conform(rows, schema).schema == schema


def test_structs_are_conformed_inside() -> None:
    rows = rows_of(place=pa.array([{"lat": 1, "gone": "x"}, None]))
    schema = pa.schema([("place", pa.struct([("zone", pa.string()), ("lat", pa.float64())]))])
    assert conform(rows, schema).to_pylist() == [{"place": {"zone": None, "lat": 1.0}}, {"place": None}]


@pytest.mark.parametrize(
    ("source", "target", "value"),
    [
        (pa.int32(), pa.int64(), 5),
        (pa.int64(), pa.float64(), 5),
        (pa.int64(), pa.decimal128(20, 0), 5),
        (pa.float32(), pa.float64(), 1.5),
        (pa.decimal128(5, 2), pa.decimal128(10, 4), decimal.Decimal("1.25")),
        (pa.null(), pa.string(), None),
        (pa.list_(pa.int32()), pa.list_(pa.int64()), [1, None]),
        (pa.map_(pa.string(), pa.int32()), pa.map_(pa.string(), pa.int64()), [("a", 1)]),
    ],
)
def test_safe_promotions_keep_the_value(source: pa.DataType, target: pa.DataType, value: Any) -> None:
    rows = rows_of(x=pa.array([value, None], type=source))
    assert conform(rows, pa.schema([("x", target)])).to_pylist() == [{"x": value}, {"x": None}]


@pytest.mark.parametrize(
    ("source", "target", "value"),
    [
        (pa.int64(), pa.int32(), 5),
        (pa.float64(), pa.int64(), 5.0),
        (pa.float64(), pa.float32(), 5.0),
        (pa.string(), pa.int64(), "5"),
        (pa.int64(), pa.string(), 5),
        (pa.string(), pa.binary(), "a"),
        (pa.timestamp("us"), pa.timestamp("us", tz="UTC"), 0),
        (pa.int64(), pa.float64(), 2**53 + 1),
        (pa.int64(), pa.decimal128(5, 0), 5),
        (pa.decimal128(10, 4), pa.decimal128(10, 2), decimal.Decimal("1.2345")),
        (pa.timestamp("s"), pa.timestamp("us"), 2**60),
        (pa.list_(pa.int64()), pa.int64(), [1]),
        (pa.uint64(), pa.int64(), 5),
    ],
)
def test_what_could_change_a_value_is_refused_by_name(source: pa.DataType, target: pa.DataType, value: Any) -> None:
    with pytest.raises(ValueError, match="column x"):
        conform(rows_of(x=pa.array([value], type=source)), pa.schema([("x", target)]))


def test_required_columns_must_be_there_and_whole() -> None:
    schema = pa.schema([pa.field("x", pa.int64(), nullable=False)])
    assert conform(rows_of(x=pa.array([1])), schema).schema == schema
    with pytest.raises(ValueError, match="column x is required and has 1 null"):
        conform(rows_of(x=pa.array([1, None])), schema)
    with pytest.raises(ValueError, match="column x is required and missing"):
        conform(rows_of(y=pa.array([1])), schema)


def test_an_empty_batch_conforms() -> None:
    schema = pa.schema([("l", pa.list_(pa.string())), ("m", pa.map_(pa.string(), pa.int64())), ("i", pa.int64())])
    rows = rows_of(
        l=pa.array([], pa.large_list(pa.large_string())),
        m=pa.array([], pa.map_(pa.large_string(), pa.int32())),
        i=pa.array([], pa.int8()),
    )
    assert conform(rows, schema).schema == schema

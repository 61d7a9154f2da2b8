"""Decides which values the warehouse cannot hold: dates, timestamps and times of day outside its calendar.

ClickHouse stores such a number without complaint and then shows another day, so they are found here.
"""

from datetime import date
from functools import reduce
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_EPOCH: Final = date(1970, 1, 1)
_FIRST_DAY: Final = (date.min - _EPOCH).days
_LAST_DAY: Final = (date.max - _EPOCH).days
_DAY_S: Final = 86_400
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_INT64: Final = range(-(2**63), 2**63)


def out_of_range(values: pa.Array) -> pa.BooleanArray | None:
    """Which values hold, at any depth, something the warehouse cannot hold; None when there are none.

    Shapes: n values, n marks.
    """
    kind = values.type
    limits = _limits(kind)
    if limits is not None:
        return _outside(_numbers(values), *limits)
    if pa.types.is_struct(kind):
        marks = [mark for mark in map(out_of_range, values.flatten()) if mark is not None]
        return reduce(pc.or_, marks) if marks else None
    if pa.types.is_map(kind):
        return out_of_range(values.cast(_entries(kind))) if _dated(kind.key_type) or _dated(kind.item_type) else None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _owners(values, out_of_range(values.flatten())) if _dated(kind.value_type) else None
    return None


def calendar(kind: pa.DataType) -> str:
    """What the warehouse holds of a type that `out_of_range` limits, for the person whose row is refused."""
    if pa.types.is_time(kind):
        return "the warehouse holds times from 00:00 to before 24:00"
    return f"the warehouse holds days from {date.min.isoformat()} to {date.max.isoformat()}"


def _limits(kind: pa.DataType) -> tuple[int, int] | None:
    """The least and the greatest number that may stand for a value of this type."""
    if pa.types.is_date32(kind):
        return _FIRST_DAY, _LAST_DAY
    if pa.types.is_date64(kind):
        return _FIRST_DAY * _DAY_S * 1000, _LAST_DAY * _DAY_S * 1000
    if pa.types.is_time(kind):
        return 0, _DAY_S * _PER_SECOND[kind.unit] - 1
    if pa.types.is_timestamp(kind):
        per_day = _DAY_S * _PER_SECOND[kind.unit]
        return _FIRST_DAY * per_day, (_LAST_DAY + 1) * per_day - 1
    return None


def _numbers(values: pa.Array) -> pa.Array:
    return values.view(pa.int32() if values.type.bit_width == 32 else pa.int64())


def _outside(numbers: pa.Array, least: int, most: int) -> pa.BooleanArray | None:
    if least not in _INT64 or most not in _INT64:
        return None  # nanoseconds do not reach that far
    found = pc.min_max(numbers)
    low, high = found["min"].as_py(), found["max"].as_py()
    if low is None or (low >= least and high <= most):
        return None
    return pc.fill_null(pc.or_(pc.less(numbers, least), pc.greater(numbers, most)), False)


def _dated(kind: pa.DataType) -> bool:
    """Whether a value of this type may hold a date or a time, at any depth."""
    if pa.types.is_nested(kind):
        return any(_dated(kind.field(at).type) for at in range(kind.num_fields))
    return _limits(kind) is not None


def _entries(kind: pa.MapType) -> pa.ListType:
    return pa.list_(pa.struct([kind.key_field.with_name("key"), kind.item_field.with_name("value")]))


def _owners(values: pa.Array, marks: pa.BooleanArray | None) -> pa.BooleanArray | None:
    """The lists that hold a marked element."""
    if marks is None:
        return None
    owners = pc.list_parent_indices(values).filter(marks)
    return pc.is_in(pa.array(range(len(values)), owners.type), value_set=owners)

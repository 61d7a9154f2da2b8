"""Decides which values the warehouse cannot hold: dates, timestamps and times of day outside its calendar.

ClickHouse stores such a number without complaint and then shows another day, so they are found here.
"""

from collections.abc import Iterable
from datetime import date
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
    if not _dated(kind):
        return None
    if isinstance(values, pa.StructArray):
        return _either(map(out_of_range, values.flatten()))
    if isinstance(values, pa.MapArray):
        return out_of_range(values.cast(_entries(values.type)))
    if isinstance(values, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return _owners(values, out_of_range(values.flatten()))
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
    lowest, highest = pa.scalar(least, numbers.type), pa.scalar(most, numbers.type)
    outside: pa.BooleanArray = pc.or_(pc.less(numbers, lowest), pc.greater(numbers, highest))
    return pc.and_kleene(outside, numbers.is_valid())


def _dated(kind: pa.DataType) -> bool:
    """Whether a value of this type may hold a date or a time, at any depth."""
    if pa.types.is_nested(kind):
        return any(_dated(kind.field(at).type) for at in range(kind.num_fields))
    return _limits(kind) is not None


def _entries(kind: pa.MapType) -> pa.ListType:
    return pa.list_(pa.struct([kind.key_field.with_name("key"), kind.item_field.with_name("value")]))


def _either(marks: Iterable[pa.BooleanArray | None]) -> pa.BooleanArray | None:
    """What is marked by any."""
    found: pa.BooleanArray | None = None
    for mark in marks:
        if mark is not None:
            found = mark if found is None else pc.or_(found, mark)
    return found


def _owners(values: pa.Array, marks: pa.BooleanArray | None) -> pa.BooleanArray | None:
    """The lists that hold a marked element."""
    if marks is None:
        return None
    owners = pc.list_parent_indices(values).filter(marks)
    return pc.is_in(pa.array(range(len(values)), owners.type), value_set=owners)

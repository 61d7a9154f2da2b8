"""Where a row stands in the order of reading, as JSON has it, and as the database takes it back."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

Place = Sequence[Any]
"""The values of the order's columns in one row, as JSON has them."""

_BYTES: Final = "\\x"


def place_of(batch: pa.RecordBatch, row: int, order: Sequence[str]) -> Place:
    """The place of one row."""
    return [_as_json(batch.column(name)[row].as_py()) for name in order]


def given_back(value: Any, type: pa.DataType) -> Any:
    """A value of a place as its column has it."""
    binary = pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_fixed_size_binary(type)
    if binary and isinstance(value, str):
        return bytes.fromhex(value.removeprefix(_BYTES))
    return value


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return _BYTES + value.hex()
    if isinstance(value, Decimal):
        return f"{value:f}"  # str would write 0.0000000000 as 0E-10
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else str(value)

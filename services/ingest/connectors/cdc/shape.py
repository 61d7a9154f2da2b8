"""What Debezium's types are here, and how its JSON becomes values of them, exactly.

A column is read as a whole. What cannot be a value of its type (infinity as a date, NaN as a decimal) is marked, and costs
its row only.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingest.core.fit import fit_array
from services.ingest.core.types import JSON

Mask = npt.NDArray[np.bool_]
Field = Mapping[str, Any]
"""A field of a Connect schema, as the JSON converter writes it."""

_DECIMAL_DIGITS: Final = 38
_UTC: Final = pa.timestamp("us", "UTC")
_LOCAL: Final = pa.timestamp("us")
_CALLED: Final = "__debezium.source.column.type"
_FIRST_SECOND: Final = "1970-01-01T00:00:00"  # zeros of a fraction may follow
_YEAR_ZERO: Final = 1900
_DAY_US: Final = 86_400_000_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # of the years 1 to 9999
_PLAIN: Final[Mapping[str, pa.DataType]] = {
    "int8": pa.int32(),
    "int16": pa.int32(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float": pa.float32(),
    "float32": pa.float32(),
    "double": pa.float64(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
}
_TEXTS: Final[Mapping[str, pa.DataType]] = {
    "io.debezium.data.Json": JSON,
    "io.debezium.data.Uuid": pa.uuid(),
    "io.debezium.time.ZonedTimestamp": _UTC,
}
#: Type and how many microseconds the unit has; a negative number divides.
_COUNTS: Final[Mapping[str, tuple[pa.DataType, int]]] = {
    "io.debezium.time.Timestamp": (_LOCAL, 1000),
    "io.debezium.time.MicroTimestamp": (_LOCAL, 1),
    "io.debezium.time.NanoTimestamp": (_LOCAL, -1000),
    "org.apache.kafka.connect.data.Timestamp": (_LOCAL, 1000),
    "io.debezium.time.Time": (pa.time64("us"), 1000),
    "io.debezium.time.MicroTime": (pa.time64("us"), 1),
    "io.debezium.time.NanoTime": (pa.time64("us"), -1000),
    "org.apache.kafka.connect.data.Time": (pa.time64("us"), 1000),
    "io.debezium.time.Date": (pa.date32(), 1),
    "org.apache.kafka.connect.data.Date": (pa.date32(), 1),
}
_SPECIAL: Final = {"NAN": "NaN", "POSITIVE_INFINITY": "Infinity", "NEGATIVE_INFINITY": "-Infinity"}

#: What stands for a large value that an update did not touch.
_UNAVAILABLE: Final = "__debezium_unavailable_value"
_UNAVAILABLE_BYTES: Final = base64.b64encode(_UNAVAILABLE.encode()).decode()
_UNAVAILABLE_ITEMS: Final = (
    [_UNAVAILABLE],
    [_UNAVAILABLE_BYTES],
    list(_UNAVAILABLE.encode()),
)

Read = Callable[[Sequence[Any]], tuple[pa.Array, Mask]]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table. `read` gives its values, and which of them are none of its type (null in the result).

    `doubted`: the value, as it is in the log, that Debezium makes of 0000-00-00 where a column takes no null.
    """

    name: str
    type: pa.DataType
    read: Read
    doubted: int | str | None = None


def columns(row: Field, *, zero_dates: bool = True) -> list[Column]:
    """The columns of a table, from the schema of its rows. `zero_dates`: whether there may be dates such as 0000-00-00."""
    return [column(field, zero_dates=zero_dates) for field in row["fields"]]


def column(field: Field, *, zero_dates: bool = True) -> Column:
    """The column of a field."""
    kind, read = _reading(field, field.get("parameters") or {})
    doubted = _doubted(field) if zero_dates else None
    if doubted is None:
        return Column(field["field"], kind, read)
    return Column(field["field"], kind, lambda values: _without(doubted, values, read(values)), doubted)


def unavailable(value: Any) -> bool:
    """Whether a value was left out of the log, as the update did not touch it."""
    if isinstance(value, str):
        return value in (_UNAVAILABLE, _UNAVAILABLE_BYTES)
    return isinstance(value, list) and value in _UNAVAILABLE_ITEMS


def _doubted(field: Field) -> int | str | None:
    """What stands for a zero date in a column of MariaDB that takes no null; None when nothing does, or only a zero date."""
    called, default = (field.get("parameters") or {}).get(_CALLED), field.get("default")
    if field.get("optional"):
        return None
    if called in ("DATE", "DATETIME"):
        return default or 0
    if called == "TIMESTAMP" and isinstance(default, str) and not default.startswith(_FIRST_SECOND):
        return default
    return None


def _reading(field: Field, parameters: Mapping[str, str]) -> tuple[pa.DataType, Read]:
    kind, name = field["type"], field.get("name") or ""
    called = parameters.get(_CALLED, "")
    if called == "TIME":  # as it is in MariaDB: from -838:59:59 to 838:59:59
        decimals = int(parameters.get("__debezium.source.column.length", "0"))
        return pa.string(), lambda values: _each(values, pa.string(), lambda count: _duration(count, decimals))
    if name in _COUNTS:
        to, factor = _COUNTS[name]
        return to, lambda values: _counted(values, to, factor)
    if called == "UUID":  # of which the batch connector makes text, too
        return pa.string(), lambda values: _plain(values, pa.string())
    if called == "YEAR":  # they begin with 1901: what the log calls 1900 is 0000
        return pa.int32(), lambda values: _plain([0 if value == _YEAR_ZERO else value for value in values], pa.int32())
    if called == "TIMESTAMP":  # one begins a second after 1970 did: what the log calls that moment is 0000-00-00
        return _UTC, lambda values: _fitted([_moment(value) for value in values], _UTC)
    if name in _TEXTS:
        to = _TEXTS[name]
        return to, lambda values: fit_array(pa.array(values, pa.string()), to)
    if name == "io.debezium.data.Bits":
        length = int((field.get("parameters") or {}).get("length", "0"))
        if called == "BIT":
            return pa.uint64(), lambda values: _each(values, pa.uint64(), _number)
        fixed = not called.endswith("VARBIT")
        return pa.string(), lambda values: _each(values, pa.string(), lambda text: _bits(text, length if fixed else 0))
    if name == "org.apache.kafka.connect.data.Decimal":
        scale = int((field.get("parameters") or {}).get("scale", "0"))
        digits = int((field.get("parameters") or {}).get("connect.decimal.precision", "20"))
        to = pa.decimal128(digits, scale) if digits <= _DECIMAL_DIGITS else pa.string()
        return to, lambda values: _fitted([_unscaled(value, scale) for value in values], to)
    if kind == "string" and (decimal := _decimal(parameters)) is not None:
        return decimal, lambda values: _fitted([_SPECIAL.get(value, value) for value in values], decimal)
    if kind == "array":
        to, read = _reading(field["items"], parameters)
        return pa.list_(to), lambda values: _lists(values, to, read)
    if kind == "bytes":
        return pa.binary(), lambda values: _each(values, pa.binary(), base64.b64decode)
    if kind in _PLAIN:
        to = _PLAIN[kind]
        return to, lambda values: _plain(values, to)
    return JSON, lambda values: _fitted([None if v is None else json.dumps(v) for v in values], JSON)


def _decimal(parameters: Mapping[str, str]) -> pa.DataType | None:
    """The type of a number that travels as text: a decimal when the database says how many digits it has, else text."""
    if not parameters.get(_CALLED, "").lstrip("_").startswith(("NUMERIC", "DECIMAL")):
        return None
    digits = int(parameters.get("__debezium.source.column.length", "0"))
    scale = int(parameters.get("__debezium.source.column.scale", "0"))
    return pa.decimal128(digits, scale) if 0 < digits <= _DECIMAL_DIGITS and 0 <= scale <= digits else pa.string()


def _fitted(texts: Sequence[str | None], to: pa.DataType) -> tuple[pa.Array, Mask]:
    return fit_array(pa.array(texts, pa.string()), to)


def _plain(values: Sequence[Any], to: pa.DataType) -> tuple[pa.Array, Mask]:
    try:
        return pa.array(values, to), np.zeros(len(values), bool)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # NaN and infinity are texts in JSON
        return _each(values, to, float if pa.types.is_floating(to) else lambda value: pa.scalar(value, to).as_py())


def _each(values: Sequence[Any], to: pa.DataType, convert: Callable[[Any], Any]) -> tuple[pa.Array, Mask]:
    bad = np.zeros(len(values), bool)
    found: list[Any] = []
    for at, value in enumerate(values):
        try:
            found.append(None if value is None else convert(value))
        except (ValueError, TypeError, pa.ArrowException):
            found.append(None)
            bad[at] = True
    return pa.array(found, to), bad


def _counted(values: Sequence[Any], to: pa.DataType, factor: int) -> tuple[pa.Array, Mask]:
    """Days or parts of a second since the epoch or midnight, as dates and times of the years 1 to 9999."""
    missing = np.fromiter((value is None for value in values), bool, len(values))
    counts = np.fromiter((0 if value is None else value for value in values), np.int64, len(values))
    if pa.types.is_date(to):
        least, most = _FIRST_DAY, _LAST_DAY
    elif pa.types.is_time(to):
        least, most = 0, _DAY_US - 1
    else:
        least, most = _FIRST_DAY * _DAY_US, (_LAST_DAY + 1) * _DAY_US - 1
    if factor < 0:
        counts = counts // -factor
    else:
        least, most = -(-least // factor), most // factor
    bad = ~missing & ((counts < least) | (counts > most))
    counts = np.where(bad, 0, counts) * max(factor, 1)
    whole = pa.array(counts, pa.int64(), mask=missing | bad)
    return (whole.cast(pa.int32()) if pa.types.is_date(to) else whole).cast(to), bad


def _without(doubted: int | str, values: Sequence[Any], read: tuple[pa.Array, Mask]) -> tuple[pa.Array, Mask]:
    found, bad = read
    left_out = np.fromiter((value == doubted for value in values), bool, len(values))
    return pc.if_else(pa.array(left_out), pa.scalar(None, found.type), found), bad | left_out


def _lists(values: Sequence[Any], to: pa.DataType, read: Read) -> tuple[pa.Array, Mask]:
    missing = np.fromiter((value is None for value in values), bool, len(values))
    sizes = np.fromiter((0 if value is None else len(value) for value in values), np.int64, len(values))
    ends = np.cumsum(sizes)
    items, wrong = read([item for value in values if value is not None for item in value])
    bad = np.zeros(len(values), bool)
    bad[np.searchsorted(ends, np.flatnonzero(wrong), side="right")] = True
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    storage = items.cast(to) if items.type != to else items
    return pa.ListArray.from_arrays(offsets, storage, mask=pa.array(missing | bad)), bad


def _bits(text: str, length: int) -> str:
    """A bit string; the bytes have its last bit first. How many leading zeros a `bit varying` has is not in the log."""
    number = _number(text)
    return f"{number:0{length}b}" if length or number else ""


def _number(text: str) -> int:
    return int.from_bytes(base64.b64decode(text), "little")


def _moment(text: str | None) -> str | None:
    return None if text is None or text.startswith(_FIRST_SECOND) else text


def _duration(count_us: int, decimals: int) -> str:
    """A time as MariaDB writes it, with so many digits of a second."""
    seconds, parts = divmod(abs(count_us), 1_000_000)
    text = f"{'-' if count_us < 0 else ''}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{parts:06d}"[: len(text) + 1 + decimals] if decimals else text


def _unscaled(text: str | None, scale: int) -> str | None:
    if text is None:
        return None
    number = int.from_bytes(base64.b64decode(text), "big", signed=True)
    return str(number) if not scale else f"{number}e-{scale}"

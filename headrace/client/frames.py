"""How a query's answer becomes a table of Arrow, polars or pandas: what type each of the warehouse's columns has there."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import pyarrow as pa

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Reader = Callable[[Any], Any]

_NAMED: Final = re.compile(r"(?P<name>`[^`]*`|\w+)\s+(?P<type>\w.*)", re.DOTALL)
_SMALL_DECIMAL: Final = 38
_Unit: TypeAlias = Literal["s", "ms", "us"]
_UNITS: Final[tuple[tuple[int, _Unit], ...]] = (
    (0, "s"),
    (3, "ms"),
    (9, "us"),
)  # JSON has times to the microsecond


@dataclass(frozen=True, slots=True)
class _Kind:
    """An Arrow type, and how a value in JSON becomes one of it."""

    type: pa.DataType
    read: Reader


def arrow(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """A table of rows as JSON has them. `columns`: their names and types, as ClickHouse writes them."""
    arrays = []
    for place, (_, written) in enumerate(columns):
        kind = _kind(written)
        arrays.append(pa.array([_read(kind, row[place]) for row in rows], kind.type))
    return pa.Table.from_arrays(arrays, names=[name for name, _ in columns])


def polars(table: pa.Table) -> "pl.DataFrame":
    """Errors: HeadraceError when polars is not installed."""
    _wanted("polars")
    import polars as pl

    return pl.DataFrame(table)


def pandas(table: pa.Table) -> "pd.DataFrame":
    """Errors: HeadraceError when pandas is not installed."""
    _wanted("pandas")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _wanted(package: str) -> None:
    try:
        import_module(package)
    except ImportError as error:
        raise HeadraceError(
            f"to_{package}() needs {package}, which is not installed: pip install 'headrace[{package}]'"
        ) from error


def _read(kind: _Kind, value: Any) -> Any:
    return None if value is None else kind.read(value)


def _kind(written: str) -> _Kind:
    name, arguments = _parsed(written)
    match name:
        case "Nullable" | "LowCardinality":
            return _kind(arguments[0])
        case "SimpleAggregateFunction":
            return _kind(arguments[1])
        case "Bool":
            return _Kind(pa.bool_(), bool)
        case "Int8" | "Int16" | "Int32" | "Int64" | "UInt8" | "UInt16" | "UInt32" | "UInt64":
            return _Kind(getattr(pa, name.lower())(), int)
        case "Float32" | "Float64" | "BFloat16":
            return _Kind(pa.float64() if name == "Float64" else pa.float32(), float)
        case "Date" | "Date32":
            return _Kind(pa.date32(), date.fromisoformat)
        case "DateTime" | "DateTime64":
            return _moment(name, arguments)
        case "Decimal":
            return _decimal(int(arguments[0]), int(arguments[1]))
        case "Array":
            each = _kind(arguments[0])
            return _Kind(pa.list_(each.type), lambda values: [_read(each, value) for value in values])
        case "Map":
            return _map(_kind(arguments[0]), _kind(arguments[1]))
        case "Tuple" | "Nested":
            return _tuple(arguments)
    return _Kind(pa.string(), lambda value: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _moment(name: str, arguments: Sequence[str]) -> _Kind:
    digits = int(arguments[0]) if name == "DateTime64" and arguments else 0
    zones = arguments[1:] if name == "DateTime64" else arguments
    unit: _Unit = next((unit for most, unit in _UNITS if digits <= most), "us")
    zone = zones[0].strip("'") if zones else None
    return _Kind(pa.timestamp(unit, zone), datetime.fromisoformat)


def _decimal(precision: int, scale: int) -> _Kind:
    wide = precision > _SMALL_DECIMAL
    return _Kind(pa.decimal256(precision, scale) if wide else pa.decimal128(precision, scale), Decimal)


def _map(key: _Kind, value: _Kind) -> _Kind:
    def read(found: dict[str, Any]) -> list[tuple[Any, Any]]:
        return [(_read(key, name), _read(value, each)) for name, each in found.items()]

    return _Kind(pa.map_(key.type, value.type), read)


def _tuple(arguments: Sequence[str]) -> _Kind:
    named = [_NAMED.fullmatch(argument) for argument in arguments]
    names = [found["name"].strip("`") if found else str(place) for place, found in enumerate(named, 1)]
    kinds = [_kind(found["type"] if found else argument) for found, argument in zip(named, arguments, strict=True)]

    def read(found: Any) -> dict[str, Any]:
        values = [found.get(name) for name in names] if isinstance(found, dict) else found
        return {name: _read(kind, value) for name, kind, value in zip(names, kinds, values, strict=True)}

    return _Kind(pa.struct(list(zip(names, (kind.type for kind in kinds), strict=True))), read)


def _parsed(written: str) -> tuple[str, list[str]]:
    """`Map(String, Array(UInt8))` as `Map` and [`String`, `Array(UInt8)`]."""
    name, _, rest = written.strip().partition("(")
    arguments, depth, quoted, begun = [], 0, False, 0
    inside = rest[:-1]
    for place, character in enumerate(inside):
        if character == "'":
            quoted = not quoted
        elif not quoted:
            depth += (character == "(") - (character == ")")
            if character == "," and depth == 0:
                arguments.append(inside[begun:place].strip())
                begun = place + 1
    last = inside[begun:].strip()
    return name, [*arguments, *([last] if last else [])]

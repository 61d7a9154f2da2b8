"""How the leaves of an Avro schema become Arrow values and back.

A leaf is decoded as a plain primitive whose bytes are the same (int as long, every logical type as its
primitive), then converted a column at a time. So the decoder needs to know six types only, and what it
would do wrong (an int over 32 bits, a logical type it has not heard of) cannot reach it.
"""

import binascii
import decimal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.stream.codec.arrow import Array, DataType

Convert = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value without parts.

    `restore` goes from `plain` to `arrow`, and raises ValueError on a value outside the type; `lower` goes back.
    """

    avro: Any  # the plain Avro type, with the same bytes
    plain: DataType
    arrow: DataType
    restore: Convert = lambda array: array
    lower: Convert = lambda array: array


def primitive(kind: str, attributes: dict[str, Any]) -> Leaf:
    """The leaf of Avro primitive `kind`; a logical type that is unknown or does not fit is ignored (Avro 1.12)."""
    logical = attributes.get("logicalType")
    if kind == "int":
        return _int(logical)
    if kind == "long":
        return _long(logical)
    if kind == "string":
        return _string(logical, attributes)
    if kind == "bytes":
        return _decimal_bytes(attributes, None, "bytes") or Leaf("bytes", pa.binary(), pa.binary())
    arrow = {"null": pa.null(), "boolean": pa.bool_(), "float": pa.float32(), "double": pa.float64()}[kind]
    return Leaf(kind, arrow, arrow)


def fixed(avro: dict[str, Any], attributes: dict[str, Any]) -> Leaf:
    """The leaf of an Avro fixed; `avro` is its plain definition."""
    size = avro["size"]
    if attributes.get("logicalType") == "uuid" and size == 16:
        return Leaf(avro, pa.binary(16), pa.uuid(), _as_extension(pa.uuid()), _storage)
    return _decimal_bytes(attributes, size, avro) or Leaf(avro, pa.binary(size), pa.binary(size))


def _int(logical: object) -> Leaf:
    def narrow(array: Array) -> Array:
        return array.cast(pa.int32())

    def widen(array: Array) -> Array:
        return array.view(pa.int32()).cast(pa.int64())

    if logical == "date":
        return Leaf("long", pa.int64(), pa.date32(), lambda array: narrow(array).view(pa.date32()), widen)
    if logical == "time-millis":
        arrow = pa.time32("ms")
        return Leaf("long", pa.int64(), arrow, lambda array: _of_day(narrow(array), 86_400_000).view(arrow), widen)
    return Leaf("long", pa.int64(), pa.int32(), narrow, widen)


_LONGS: Final = {
    f"{prefix}timestamp-{name}": pa.timestamp(unit, tz=zone)
    for prefix, zone in (("", "UTC"), ("local-", None))
    for name, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
} | {"time-micros": pa.time64("us"), "duration-micros": pa.duration("us")}


def _long(logical: object) -> Leaf:
    arrow = _LONGS.get(logical, pa.int64()) if isinstance(logical, str) else pa.int64()

    def restore(array: Array) -> Array:
        return (_of_day(array, 86_400_000_000) if pa.types.is_time(arrow) else array).view(arrow)

    return Leaf("long", pa.int64(), arrow, restore, lambda array: array.view(pa.int64()))


def _of_day(array: Array, ticks: int) -> Array:
    bounds: Any = pc.min_max(array).as_py()
    if bounds["min"] is not None and not 0 <= bounds["min"] <= bounds["max"] < ticks:
        raise ValueError("a time of day outside 00:00 to 24:00")
    return array


def _string(logical: object, attributes: dict[str, Any]) -> Leaf:
    text = pa.string()
    if logical == "uuid":
        return Leaf("string", text, pa.uuid(), uuid_of_text, _text_of_uuid)
    if logical == "json":
        return Leaf("string", text, pa.json_(), _as_extension(pa.json_()), _storage)
    if logical == "base64":
        arrow = pa.binary(attributes.get("size", -1))
        return Leaf("string", text, arrow, lambda array: _mapped(array, _from_base64, arrow), _text_of_bytes)
    if logical == "decimal-string" and (number := _decimal_type(attributes)) is not None:
        return Leaf("string", text, number, lambda array: array.cast(number), lambda array: array.cast(text))
    return Leaf("string", text, text)


def _as_extension(arrow: DataType) -> Convert:
    return lambda array: pa.ExtensionArray.from_storage(arrow, array)


def _storage(array: Array) -> Array:
    return array.storage


def _mapped(array: Array, function: Callable[[Any], Any], arrow: DataType) -> Array:
    return pa.array([None if value is None else function(value) for value in array.to_pylist()], type=arrow)


def _from_base64(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def _text_of_bytes(array: Array) -> Array:
    return _mapped(array, lambda value: binascii.b2a_base64(value, newline=False).decode("ascii"), pa.string())


_UUID_TEXT: Final = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"


def uuid_of_text(array: Array) -> Array:
    """The UUIDs of their canonical text. Errors: ValueError."""
    filled = pc.fill_null(array, "00000000-0000-0000-0000-000000000000")
    if not pc.all(pc.match_substring_regex(filled, _UUID_TEXT), min_count=0).as_py():
        raise ValueError("a text that is not a UUID in a uuid field")
    digits = "".join(pc.replace_substring(filled, "-", "").to_pylist())
    octets = pa.Array.from_buffers(pa.binary(16), len(array), [None, pa.py_buffer(bytes.fromhex(digits))])
    return pa.ExtensionArray.from_storage(pa.uuid(), pc.if_else(array.is_valid(), octets, None))


def _text_of_uuid(array: Array) -> Array:
    octets = b"".join(pc.fill_null(array.storage, bytes(16)).to_pylist())
    offsets = np.arange(0, 32 * len(array) + 1, 32, dtype=np.int32)
    digits = pa.StringArray.from_buffers(
        len(array), pa.py_buffer(offsets.tobytes()), pa.py_buffer(octets.hex().encode())
    )
    text = pc.replace_substring_regex(digits, "^(.{8})(.{4})(.{4})(.{4})(.{12})$", r"\1-\2-\3-\4-\5")
    return pc.if_else(array.is_valid(), text, None)


def _decimal_type(attributes: dict[str, Any]) -> DataType | None:
    """The Arrow type of a decimal's attributes, or None when they are not a decimal's."""
    precision, scale = attributes.get("precision"), attributes.get("scale", 0)
    if not isinstance(precision, int) or not isinstance(scale, int) or not 0 <= scale <= precision <= 76:
        return None
    if precision == 0:
        return None
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


_EXACT: Final = decimal.Context(prec=100)  # the default of 28 digits would round


def _decimal_bytes(attributes: dict[str, Any], size: int | None, avro: Any) -> Leaf | None:
    """Avro's own decimal: a big-endian two's complement number in bytes, or in a fixed of `size` bytes."""
    number = _decimal_type(attributes) if attributes.get("logicalType") == "decimal" else None
    if number is None:
        return None
    plain = pa.binary(-1 if size is None else size)

    def value_of(octets: bytes) -> decimal.Decimal:
        return _EXACT.scaleb(decimal.Decimal(int.from_bytes(octets, "big", signed=True)), -number.scale)

    def octets_of(value: decimal.Decimal) -> bytes:
        unscaled = int(_EXACT.scaleb(value, number.scale))
        return unscaled.to_bytes(size or unscaled.bit_length() // 8 + 1, "big", signed=True)

    return Leaf(
        avro,
        plain,
        number,
        lambda array: _mapped(array, value_of, number),
        lambda array: _mapped(array, octets_of, plain),
    )

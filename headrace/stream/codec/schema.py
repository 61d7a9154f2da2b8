"""Which Avro schema Headrace's own topics have: every Arrow type it accepts, and how it is spelt in Avro.

The table is documented in docs/reference/types.md. What Avro has no fast or exact type for travels as a
string with a logical type (decimal-string, base64, json, uuid), so that any Avro reader can read it.
"""

import json
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from headrace.stream.codec.arrow import DataType, Json
from headrace.stream.codec.names import ORIGINAL, avro_full_name, avro_name

_T: Final = pa.types


def avro_schema(schema: pa.Schema, name: str) -> str:
    """The Avro schema of `schema` as canonical JSON; `name` is the dataset's (`nyc.flights`).

    A nullable field becomes a union with null and a null default, so that it can be added later.
    Errors: ValueError naming the column whose type cannot travel.
    """
    record = _record(list(schema), avro_full_name(name), "")
    return json.dumps(record, separators=(",", ":"), ensure_ascii=True)


def _record(fields: list[pa.Field], full_name: str, path: str) -> Json:
    if not fields:
        raise ValueError(f"{f'column {path}: a struct' if path else 'a schema'} without fields cannot travel")
    names = [field.name for field in fields]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{path or 'the schema'}: column name used twice: {', '.join(repeated)}")
    namespace, _, name = full_name.rpartition(".")
    return {
        "type": "record",
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "fields": [_field(field, full_name, f"{path}.{field.name}" if path else field.name) for field in fields],
    }


def _field(field: pa.Field, record: str, path: str) -> Json:
    name = avro_name(field.name)
    optional = field.nullable or _T.is_null(field.type)
    return {
        "name": name,
        "type": _optional(_type(field.type, f"{record}.{name}", path), field.nullable),
        **({"default": None} if optional else {}),
        **({ORIGINAL: field.name} if name != field.name else {}),
    }


def _optional(avro: Json, nullable: bool) -> Json:
    return ["null", avro] if nullable and avro != "null" else avro


def _type(arrow: DataType, name: str, path: str) -> Json:
    """The Avro type of a value; `name` is the full name a record at this place takes: unique, because paths are."""
    if is_wrapped(arrow):
        return _type(unwrapped(arrow), name, path)
    if _T.is_struct(arrow):
        return _record(list(arrow.fields), name, path)
    if _T.is_map(arrow):
        return _map(arrow, name, path)
    if is_list(arrow):
        return {"type": "array", "items": _item(arrow.value_field, name, path)}
    for matches, spell in _SPELLINGS:
        if matches(arrow):
            return spell(arrow)
    raise ValueError(f"column {path}: {arrow} cannot travel in Avro; cast it to another type first")


def _item(field: pa.Field, name: str, path: str) -> Json:
    if _T.is_null(field.type):
        # An item must take at least a byte, or a corrupt length could ask for any number of items.
        return ["null", "string"]
    return _optional(_type(field.type, name, f"{path}[]"), field.nullable)


def _map(arrow: DataType, name: str, path: str) -> Json:
    if _T.is_string(value_type(arrow.key_type)):
        return {"type": "map", "values": _item(arrow.item_field, name, path)}
    fields = [pa.field("key", arrow.key_type, nullable=False), arrow.item_field.with_name("value")]
    return {"type": "array", "items": _record(fields, name, path), "logicalType": "map"}


def is_wrapped(arrow: DataType) -> bool:
    """Whether `arrow` is only another encoding of a type Headrace knows."""
    return (
        _T.is_dictionary(arrow)
        or _T.is_run_end_encoded(arrow)
        or (isinstance(arrow, pa.BaseExtensionType) and not isinstance(arrow, pa.UuidType | pa.JsonType))
    )


def unwrapped(arrow: DataType) -> DataType:
    """The type below one layer of encoding."""
    return arrow.storage_type if isinstance(arrow, pa.BaseExtensionType) else arrow.value_type


def value_type(arrow: DataType) -> DataType:
    """The type of the values whatever their encoding, with the three string types seen as one."""
    while is_wrapped(arrow):
        arrow = unwrapped(arrow)
    return pa.string() if is_string(arrow) else arrow


def is_string(arrow: DataType) -> bool:
    return bool(_T.is_string(arrow) or _T.is_large_string(arrow) or _T.is_string_view(arrow))


def is_binary(arrow: DataType) -> bool:
    return bool(_T.is_binary(arrow) or _T.is_large_binary(arrow) or _T.is_binary_view(arrow))


def is_list(arrow: DataType) -> bool:
    return any(kind(arrow) for kind in _LIST_KINDS)


_LIST_KINDS: Final = (
    _T.is_list,
    _T.is_large_list,
    _T.is_fixed_size_list,
    _T.is_list_view,
    _T.is_large_list_view,
)


def _decimal(arrow: DataType) -> Json:
    precision = arrow.precision - min(arrow.scale, 0)  # a negative scale counts trailing zeros: they become digits
    return {
        "type": "string",
        "logicalType": "decimal-string",
        "precision": precision,
        "scale": max(arrow.scale, 0),
    }


def _logical(avro: str, logical_type: str) -> Json:
    return {"type": avro, "logicalType": logical_type}


_SPELLINGS: Final[tuple[tuple[Callable[[DataType], bool], Callable[[Any], Json]], ...]] = (
    (_T.is_null, lambda _: "null"),
    (_T.is_boolean, lambda _: "boolean"),
    (lambda t: _T.is_uint64(t), lambda _: _decimal(pa.decimal128(20, 0))),
    (lambda t: _T.is_int64(t) or _T.is_uint32(t), lambda _: "long"),
    (_T.is_integer, lambda _: "int"),
    (_T.is_float64, lambda _: "double"),
    (_T.is_floating, lambda _: "float"),
    (_T.is_decimal, _decimal),
    (is_string, lambda _: "string"),
    (is_binary, lambda _: _logical("string", "base64")),
    (_T.is_fixed_size_binary, lambda t: {**_logical("string", "base64"), "size": t.byte_width}),
    (_T.is_date, lambda _: _logical("int", "date")),
    (_T.is_time, lambda _: _logical("long", "time-micros")),
    (_T.is_duration, lambda _: _logical("long", "duration-micros")),
    (_T.is_timestamp, lambda t: _logical("long", "timestamp-micros" if t.tz else "local-timestamp-micros")),
    (lambda t: isinstance(t, pa.UuidType), lambda _: _logical("string", "uuid")),
    (lambda t: isinstance(t, pa.JsonType), lambda _: _logical("string", "json")),
)

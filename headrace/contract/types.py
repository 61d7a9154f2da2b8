"""Which Arrow type a declared column has."""

import re
from typing import Any, Final

import pyarrow as pa

from headrace.contract.checks import TypeIs
from headrace.contract.fields import DataType, LogicalType
from headrace.contract.model import Contract

_PLAIN: Final[dict[LogicalType, pa.DataType]] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "time": pa.time64("us"),
    "object": pa.json_(pa.string()),
}
_PROPERTY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMATTED: Final[dict[str, pa.DataType]] = {
    "i32": pa.int32(),
    "i64": pa.int64(),
    "f32": pa.float32(),
    "f64": pa.float64(),
    "uuid": pa.uuid(),
    "binary": pa.binary(),
}


def arrow_type(declared: DataType | TypeIs) -> pa.DataType:
    """The Arrow type of a declared column, or of a type check."""
    if isinstance(declared, DataType):
        if declared.items is not None:
            return pa.list_(_field("item", declared.items))
        if declared.map is not None:
            return _map(arrow_type(declared.map.key), _field("value", declared.map.value))
        if declared.properties:
            return pa.struct([_field(inner.name, inner) for inner in declared.properties])
    if declared.physicalType is not None and declared.physicalType != "json":
        precision, scale = declared.physicalType.removeprefix("decimal").strip("()").split(",")
        return pa.decimal128(int(precision), int(scale))
    if declared.logicalType == "timestamp" and declared.logicalTypeOptions.timezone is False:
        return pa.timestamp("us")
    return _FORMATTED.get(declared.logicalTypeOptions.format or "") or plain_type(declared.logicalType)


def plain_type(word: LogicalType) -> pa.DataType:
    """The Arrow type of a logical type that nothing narrows, as in `source.columns`."""
    return _PLAIN.get(word, pa.json_(pa.string()))


def arrow_schema(contract: Contract) -> pa.Schema | None:
    """The declared columns of the published table, without system columns; None when none is declared."""
    fields = contract.schema_.fields
    return pa.schema([_field(declared.name, declared) for declared in fields]) if fields else None


def _map(key: pa.DataType, value: "pa.Field[pa.DataType]") -> pa.DataType:
    return pa.map_(key, value)  # type: ignore[call-overload,no-any-return]  # the stubs know no nullability of values


def _field(name: str, declared: DataType) -> "pa.Field[pa.DataType]":
    return pa.field(name, arrow_type(declared), nullable=not declared.required)


def declaration(arrow: pa.DataType) -> dict[str, Any]:
    """How a dataset file declares a column of this type: the inverse of `arrow_type`. What it has no word for is text."""
    kinds = pa.types
    if isinstance(arrow, pa.UuidType):
        return {"logicalType": "string", "logicalTypeOptions": {"format": "uuid"}}
    if isinstance(arrow, pa.JsonType):
        return {"logicalType": "object", "physicalType": "json"}
    if kinds.is_list(arrow):
        return {"logicalType": "array", "items": declaration(arrow.value_type)}
    if kinds.is_map(arrow):
        return {
            "logicalType": "map",
            "map": {"key": declaration(arrow.key_type), "value": declaration(arrow.item_type)},
        }
    if kinds.is_struct(arrow):
        if all(_PROPERTY.fullmatch(field.name) for field in arrow.fields):
            inner = [{"name": field.name, **declaration(field.type)} for field in arrow.fields]
            return {"logicalType": "object", "properties": inner}
        return {"logicalType": "object", "physicalType": "json"}
    if kinds.is_decimal(arrow):
        return {"logicalType": "number", "physicalType": f"decimal({arrow.precision}, {arrow.scale})"}
    if kinds.is_timestamp(arrow):
        return {"logicalType": "timestamp"} | ({} if arrow.tz else {"logicalTypeOptions": {"timezone": False}})
    if kinds.is_binary(arrow):
        return {"logicalType": "string", "logicalTypeOptions": {"format": "binary"}}
    if kinds.is_float32(arrow):
        return {"logicalType": "number", "logicalTypeOptions": {"format": "f32"}}
    if kinds.is_int32(arrow):
        return {"logicalType": "integer", "logicalTypeOptions": {"format": "i32"}}
    return {"logicalType": next((word for word, kind in _PLAIN.items() if kind == arrow), "string")}

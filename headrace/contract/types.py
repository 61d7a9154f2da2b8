"""Which Arrow type a declared column has."""

from typing import Final

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

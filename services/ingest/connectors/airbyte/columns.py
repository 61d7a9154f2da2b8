"""Which columns a stream's JSON Schema describes."""

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from headrace.stream.columns import TIMESTAMP
from services.ingest.core.names import column_name
from services.ingest.core.types import JSON

_PLAIN: Final[Mapping[str, pa.DataType]] = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "string": pa.string(),
}


def columns_of(schema: Mapping[str, Any]) -> pa.Schema:
    """The columns. What is nested, or of several kinds, is JSON: a manifest's schema seldom has all that is in there."""
    properties = schema.get("properties") or {}
    return pa.schema([pa.field(column_name(name), type_of(described)) for name, described in properties.items()])


def type_of(schema: Any) -> pa.DataType:
    """The type of a column or of a list's items."""
    if not isinstance(schema, Mapping):
        return JSON
    choices = [kind for kind in schema.get("oneOf") or schema.get("anyOf") or () if kind.get("type") != "null"]
    if len(choices) == 1:
        return type_of(choices[0])
    named = schema.get("type")
    kinds = [kind for kind in ([named] if isinstance(named, str) else named or ()) if kind != "null"]
    if len(kinds) != 1 or len(choices) > 1:
        return JSON
    (kind,) = kinds
    if kind == "string" and schema.get("format") == "date":
        return pa.date32()
    if kind == "string" and schema.get("format") == "date-time":
        local = schema.get("airbyte_type") == "timestamp_without_timezone"
        return pa.timestamp("us") if local else TIMESTAMP
    if kind == "number" and schema.get("airbyte_type") in ("integer", "big_integer"):
        return pa.int64()
    if kind == "array":
        item = type_of(schema.get("items"))
        return JSON if item == JSON else pa.list_(item)
    return _PLAIN.get(kind, JSON)

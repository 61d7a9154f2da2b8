"""What a sample of rows says of each column: its type, examples, what is missing, and what it may be good for."""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from headrace.contract import declaration
from headrace.contract.likely_personal import personal

_EXAMPLES: Final = 3
_WIDTH: Final = 60
_LOOKED_AT: Final = 500
_CHANGED: Final = ("updated_at", "modified_at", "last_modified", "changed_at", "created_at", "inserted_at")

_Kind = pa.types


def columns(rows: pa.RecordBatch, schema: pa.Schema | None = None) -> list[dict[str, Any]]:
    """Each column as JSON has it, of the type it has in `schema`. Examples of what seems to be personal data are not shown.

    `type` is written as in `schema.fields`; `null_share` is of the rows of the sample.
    """
    return [_column(field, values) for field, values in zip(schema or rows.schema, rows.columns, strict=True)]


def _column(field: pa.Field, values: pa.Array) -> dict[str, Any]:
    known = values.drop_null()
    seen = known.slice(0, _LOOKED_AT).to_pylist()
    found = personal(field.name, seen)
    return {
        "name": field.name,
        "type": declaration(field.type),
        "null_share": round(values.null_count / len(values), 4) if len(values) else None,
        "unique": _unique(values),
        "examples": [] if found else [str(value)[:_WIDTH] for value in dict.fromkeys(map(str, seen))][:_EXAMPLES],
        "personal": {"what": found.what, "why": found.why} if found else None,
    }


def keys(rows: pa.RecordBatch) -> list[str]:
    """Columns that may identify a row: none is missing or repeated in the sample. The likeliest comes first."""
    apt = [
        field.name
        for field, values in zip(rows.schema, rows.columns, strict=True)
        if (_Kind.is_integer(field.type) or _Kind.is_string(field.type) or isinstance(field.type, pa.UuidType))
        and _unique(values)
    ]
    return sorted(apt, key=lambda name: (name.lower() != "id", not name.lower().endswith(("id", "key", "code"))))


def cursors(rows: pa.RecordBatch) -> list[str]:
    """Columns that reading may resume by: times, those of a change first. None of their values is missing."""
    apt = [
        field.name
        for field, values in zip(rows.schema, rows.columns, strict=True)
        if _Kind.is_timestamp(field.type) and not values.null_count and len(values)
    ]
    return sorted(apt, key=lambda name: _rank(name.lower(), _CHANGED))


def _rank(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def _unique(values: pa.Array) -> bool:
    """Whether no value of the sample is missing or repeated."""
    if _Kind.is_nested(values.type) or not len(values) or values.null_count:
        return False
    plain = values.storage if isinstance(values, pa.ExtensionArray) else values
    return len(plain.unique()) == len(plain)

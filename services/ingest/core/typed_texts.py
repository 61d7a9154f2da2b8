"""A row of a typed source (Parquet, SQL, Arrow) as a JSON text that people can read, and that is read as the same values."""

import base64
from typing import Any, Final

import pyarrow as pa

from services.ingest.core.json_text import json_text, strict_json

_T: Final = pa.types


def row_text(rows: pa.RecordBatch, row: int) -> bytes:
    """The text of a row. What JSON has no word for is told in words (`NaN`), and is not read again."""
    values = rows.slice(row, 1).to_pylist()[0]
    told = {field.name: _told(values[field.name], field.type) for field in rows.schema}
    return json_text(told).encode(errors="replace")


def _told(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, pa.JsonType):
        return _parsed(value)
    if _T.is_dictionary(kind):
        return _told(value, kind.value_type)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if _T.is_struct(kind):
        return {field.name: _told(value[field.name], field.type) for field in kind.fields}
    if _T.is_map(kind):
        pairs = {str(_told(key, kind.key_type)): _told(item, kind.item_type) for key, item in value}
        return pairs if len(pairs) == len(value) else str(value)
    if isinstance(value, list):
        return [_told(item, kind.value_type) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)


def _parsed(text: str) -> Any:
    try:
        return strict_json(text)
    except (ValueError, RecursionError):
        return text

"""Brings rows back from the shape in which the lake has them to that in which the staged topic had them."""

import pyarrow as pa

from headrace.stream import columns
from headrace.stream.codec.arrow import Array, DataType
from headrace.stream.codec.walk import relist, remap


def staged_schema(raw: pa.Schema) -> pa.Schema:
    """The columns that raw records of a schema have as staged ones: see `headrace.stream.staging`."""
    system = {field.name for field in columns.STAGED_FIELDS}
    return pa.schema([*(field for field in raw if field.name not in system), *columns.STAGED_FIELDS])


def restored(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Landed rows as `schema` has them. Columns it does not have are left out.

    Errors: ValueError naming the column that the lake has otherwise: missing, or of a type that does not lead back.
    """
    arrays = []
    for field in schema:
        if field.name not in rows.schema.names:
            raise ValueError(f"the lake has no column {field.name}")
        try:
            arrays.append(_as(rows.column(field.name), field.type))
        except (pa.ArrowException, NotImplementedError) as error:
            raise ValueError(f"column {field.name} of the lake: {error}") from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as(array: Array, target: DataType) -> Array:
    """The inverse of what landing made of a type: no value is another than it was."""
    kinds = pa.types
    if isinstance(target, pa.BaseExtensionType):
        plain = array.storage if isinstance(array, pa.ExtensionArray) else array
        return pa.ExtensionArray.from_storage(target, _as(plain, target.storage_type))
    if isinstance(array, pa.ExtensionArray):
        return _as(array.storage, target)
    if kinds.is_struct(target):
        parts = [_as(array.field(field.name), field.type) for field in target]
        parts = [part.slice(array.offset, len(array)) if len(part) != len(array) else part for part in parts]
        return pa.StructArray.from_arrays(parts, fields=list(target), mask=array.is_null())
    if kinds.is_list(target):
        return relist(array, target, lambda items: _as(items, target.value_type))
    if kinds.is_map(target):
        return remap(array, target, lambda keys: _as(keys, target.key_type), lambda items: _as(items, target.item_type))
    return array.cast(target)

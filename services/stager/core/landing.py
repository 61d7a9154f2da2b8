"""What is landed in the lake, in which shape."""

from typing import Final

import pyarrow as pa

from headrace.stream import columns
from headrace.stream.stage import Batch
from headrace.stream.staging import staged

#: Which raw schema a record was written with, so that its bytes can be had again.
_SCHEMA_ID: Final = pa.field(columns.SCHEMA_ID, pa.int32())


def landed(batch: Batch, version: int) -> pa.Table:
    """The rows of a raw batch as they are landed. Shapes: as many rows; the staged columns and the schema id."""
    rows = staged(batch, version)
    table = pa.Table.from_batches([rows]).append_column(
        _SCHEMA_ID, pa.array([batch.schema_id] * len(rows), _SCHEMA_ID.type)
    )
    schema = pa.schema([landed_field(field) for field in table.schema])
    return table.cast(schema)


def landed_field(field: pa.Field) -> pa.Field:
    """A field with a type Iceberg has: every column but the system's may be null, as schemas come and go."""
    optional = field.name not in {known.name for known in columns.STAGED_FIELDS if not known.nullable}
    return pa.field(field.name, landed_type(field.type), nullable=optional)


def landed_type(kind: pa.DataType) -> pa.DataType:
    """The nearest Iceberg type that loses nothing."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, landed_type(part.type)) for part in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field("element", landed_type(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(landed_type(kind.key_type), landed_type(kind.item_type))
    if pa.types.is_uint64(kind):
        return pa.decimal128(20, 0)
    if pa.types.is_integer(kind) and kind.bit_width < 32:
        return pa.int32()
    if pa.types.is_uint32(kind):
        return pa.int64()
    if pa.types.is_decimal256(kind):
        return pa.string()
    return kind

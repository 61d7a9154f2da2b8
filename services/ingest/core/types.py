"""Which Arrow type a declared or found column has in the raw topic."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import pyarrow as pa

from headrace.contract import Contract, arrow_type, plain_type
from services.ingest.core.names import column_name

_T: Final = pa.types

JSON: Final = pa.json_(pa.string())


def declared_columns(contract: Contract) -> dict[str, pa.DataType]:
    """The source columns whose type the dataset file fixes.

    The declared fields are those of the published table; they are the source's too only when nothing transforms the rows.
    """
    fields = contract.schema_.fields if contract.transform.sql is None else []
    kept = (decision.keep_as for decision in contract.source.drift.values())
    return {
        **{name: pa.string() for name in kept if name is not None},
        **{field.name: plain(arrow_type(field)) for field in fields},
        **{name: plain_type(word) for name, word in contract.source.columns.items()},
    }


def declares_all(contract: Contract) -> bool:
    """Whether a source may have no columns but those of `declared_columns`: where they are those of the published table."""
    schema = contract.schema_
    return schema.evolution != "evolve" and bool(schema.fields) and contract.transform.sql is None


def mapped(arrow: pa.DataType, leaf: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """`arrow` with `leaf` applied to every type inside it that has none inside itself; everything in it nullable."""
    if _T.is_struct(arrow):
        return pa.struct([pa.field(field.name, mapped(field.type, leaf)) for field in arrow.fields])
    if _T.is_map(arrow):
        return pa.map_(mapped(arrow.key_type, leaf), mapped(arrow.item_type, leaf))
    if _T.is_list(arrow) or _T.is_large_list(arrow) or _T.is_fixed_size_list(arrow) or _T.is_list_view(arrow):
        return pa.list_(mapped(arrow.value_type, leaf))
    return leaf(arrow)


def plain(arrow: pa.DataType) -> pa.DataType:
    """The type a column of `arrow` has in the raw topic: encodings undone, sizes widened to those a record can have."""
    return mapped(arrow, _plain_leaf)


def _plain_leaf(arrow: pa.DataType) -> pa.DataType:
    if isinstance(arrow, pa.UuidType | pa.JsonType):
        return arrow
    if isinstance(arrow, pa.BaseExtensionType):
        return plain(arrow.storage_type)
    if _T.is_dictionary(arrow) or _T.is_run_end_encoded(arrow):
        return plain(arrow.value_type)
    for matches, wider in _WIDER:
        if matches(arrow):
            return wider
    return pa.timestamp("us", "UTC" if arrow.tz else None) if _T.is_timestamp(arrow) else arrow


_WIDER: Final[tuple[tuple[Callable[[pa.DataType], bool], pa.DataType], ...]] = (
    (_T.is_null, pa.string()),
    (lambda t: _T.is_large_string(t) or _T.is_string_view(t), pa.string()),
    (lambda t: _T.is_large_binary(t) or _T.is_binary_view(t) or _T.is_fixed_size_binary(t), pa.binary()),
    (lambda t: _T.is_int8(t) or _T.is_int16(t) or _T.is_uint8(t) or _T.is_uint16(t), pa.int32()),
    (_T.is_uint32, pa.int64()),
    (_T.is_uint64, pa.decimal128(20, 0)),
    (_T.is_float16, pa.float32()),
    (_T.is_date64, pa.date32()),
    (_T.is_time, pa.time64("us")),
    (_T.is_duration, pa.duration("us")),
)


def widened(schema: pa.Schema, more: Iterable[pa.Field]) -> pa.Schema:
    """`schema` with further columns at its end, each nullable, as records written before do not have them."""
    return pa.schema([*schema, *(pa.field(field.name, field.type) for field in more)])


def with_declared(schema: pa.Schema, declared: Mapping[str, pa.DataType]) -> pa.Schema:
    """The columns published so far, and those declared since. A name that no column can have (`_id` becomes `id_`) is none."""
    fresh = [name for name in declared if name not in schema.names and column_name(name) == name]
    return widened(schema, [pa.field(name, declared[name]) for name in fresh])

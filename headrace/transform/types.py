"""Which types the published columns have: DuckDB's, narrowed to those that every reader of a topic knows."""

from functools import lru_cache
from typing import Final

import pyarrow as pa
import sqlglot.errors
from sqlglot.expressions import DataType, DType

from headrace.transform.quoting import quoted

_NARROWED: Final = {
    **dict.fromkeys((DType.TINYINT, DType.SMALLINT, DType.UTINYINT, DType.USMALLINT, DType.INT), DType.INT),
    **dict.fromkeys((DType.UINT, DType.UBIGINT, DType.INT128, DType.UINT128, DType.BIGINT), DType.BIGINT),
    **dict.fromkeys(
        (DType.TIMESTAMP_S, DType.TIMESTAMP_MS, DType.TIMESTAMP_NS, DType.TIMESTAMPNTZ, DType.TIMESTAMP),
        DType.TIMESTAMPNTZ,
    ),
    **dict.fromkeys((DType.TIME, DType.TIMETZ, DType.TIME_NS), DType.TIME),
}
_ARROW: Final[dict[DType, pa.DataType]] = {
    DType.BOOLEAN: pa.bool_(),
    DType.INT: pa.int32(),
    DType.BIGINT: pa.int64(),
    DType.FLOAT: pa.float32(),
    DType.DOUBLE: pa.float64(),
    DType.TEXT: pa.string(),
    DType.VARBINARY: pa.binary(),
    DType.DATE: pa.date32(),
    DType.TIME: pa.time64("us"),
    DType.TIMESTAMPNTZ: pa.timestamp("us"),
    DType.TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
    DType.UUID: pa.uuid(),
    DType.JSON: pa.json_(pa.string()),
}
_DUCKDB: Final = {arrow: duckdb for duckdb, arrow in _ARROW.items()}
_WHOLE: Final = frozenset({DType.INT, DType.BIGINT})
_INSTANTS: Final = frozenset({DType.TIMESTAMPNTZ, DType.TIMESTAMPTZ})


def published(duckdb_type: str) -> str:
    """The type a column of `duckdb_type` is published with; text when no other fits (intervals, unions, enums)."""
    return _published(_parsed(duckdb_type)).sql("duckdb")


def same(one: str, other: str) -> bool:
    """Whether two spellings name one DuckDB type."""
    return one == other or _parsed(one) == _parsed(other) != DataType(this=DType.UNKNOWN)


def misfit(value: str, source: str, target: str) -> str:
    """The condition that `value`, an expression of type `source`, cannot become a `target` without being changed.

    DuckDB rounds 1.7 to an integer and cuts a timestamp to its day without a word; here both are misfits.
    """
    cast = f"TRY_CAST({value} AS {target})"
    condition = f"{value} IS NOT NULL AND {cast} IS NULL"
    is_, becomes = _published(_parsed(source)).this, _parsed(target).this
    if becomes in _WHOLE and is_ not in _WHOLE and is_ is not DType.BOOLEAN:
        return f"{condition} OR {cast} <> TRY_CAST({value} AS DOUBLE)"
    if becomes is DType.DATE and is_ in _INSTANTS:
        return f"{condition} OR {cast} <> {value}"
    return condition


def arrow_type(duckdb_type: str) -> pa.DataType:
    """The Arrow type of a published column. What is nested may be null."""
    return _arrow(_published(_parsed(duckdb_type)))


def duckdb_type(arrow: pa.DataType) -> str:
    """DuckDB's name of the type of a declared column (see `headrace.contract.arrow_type`)."""
    if pa.types.is_list(arrow):
        return f"{duckdb_type(arrow.value_type)}[]"
    if pa.types.is_map(arrow):
        return f"MAP({duckdb_type(arrow.key_type)}, {duckdb_type(arrow.item_type)})"
    if pa.types.is_struct(arrow):
        return f"STRUCT({', '.join(f'{quoted(part.name)} {duckdb_type(part.type)}' for part in arrow)})"
    if pa.types.is_decimal(arrow):
        return f"DECIMAL({arrow.precision}, {arrow.scale})"
    return DataType(this=_DUCKDB[arrow]).sql("duckdb")


@lru_cache(1024)
def _parsed(duckdb_type: str) -> DataType:
    try:
        return DataType.build(duckdb_type, dialect="duckdb")
    except sqlglot.errors.SqlglotError:
        return DataType(this=DType.UNKNOWN)


def _published(found: DataType) -> DataType:
    if found.this in (DType.ARRAY, DType.LIST):
        return DataType(this=DType.ARRAY, nested=True, expressions=[_published(item) for item in found.expressions])
    if found.this is DType.MAP:
        return DataType(this=DType.MAP, nested=True, expressions=[_published(part) for part in found.expressions])
    if found.this is DType.STRUCT:
        struct = found.copy()
        for part in struct.expressions:
            part.set("kind", _published(part.args["kind"]))
        return struct
    if found.this is DType.DECIMAL:
        return found
    narrowed = _NARROWED.get(found.this, found.this)
    return DataType(this=narrowed if narrowed in _ARROW else DType.TEXT)


def _arrow(found: DataType) -> pa.DataType:
    parts = found.expressions
    if found.this is DType.ARRAY:
        return pa.list_(_arrow(parts[0]))
    if found.this is DType.MAP:
        return pa.map_(_arrow(parts[0]), _arrow(parts[1]))
    if found.this is DType.STRUCT:
        return pa.struct([pa.field(part.this.name, _arrow(part.args["kind"])) for part in parts])
    if found.this is DType.DECIMAL:
        precision, scale = (int(part.name) for part in parts)
        return pa.decimal128(precision, scale)
    return _ARROW[DType(found.this)]

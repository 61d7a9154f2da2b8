"""Which rows fit a schema: reorders columns, fills what is missing, promotes what loses nothing, refuses the rest.

A value never changes its meaning here. The one rounding is of time: digits finer than the schema's unit are dropped.
"""

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from headrace.stream.codec.arrow import Array, DataType
from headrace.stream.codec.leaves import Convert, uuid_of_text
from headrace.stream.codec.schema import is_binary, is_list, is_string, is_wrapped
from headrace.stream.codec.walk import relist, remap

_T: Final = pa.types


def conform(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The rows as a reader with `schema` sees them; columns it does not have are left out.

    Errors: ValueError naming the column: missing and required, null and required, or of a type that does not fit.
    """
    return _fitted(rows, schema, ignore_extra=True)


def complete(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Like `conform`, but refuses a column or struct field that `schema` does not have, so that nothing is lost."""
    return _fitted(rows, schema, ignore_extra=False)


def _fitted(rows: pa.RecordBatch, schema: pa.Schema, ignore_extra: bool) -> pa.RecordBatch:
    columns = dict(zip(rows.schema.names, rows.columns, strict=True))
    if len(columns) < rows.num_columns:
        raise ValueError("a column name is used twice")
    arrays = _members(columns, list(schema), rows.num_rows, "", ignore_extra)
    if not arrays:
        return rows.select([])
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _members(
    given: dict[str, Array], wanted: list[pa.Field], length: int, path: str, ignore_extra: bool
) -> list[Array]:
    names = {field.name for field in wanted}
    extra = [] if ignore_extra else sorted(given.keys() - names)
    if extra:
        raise ValueError(f"the schema has no column {path}{extra[0]}")
    return [_member(given.get(field.name), field, length, f"{path}{field.name}", ignore_extra) for field in wanted]


def _member(array: Array | None, field: pa.Field, length: int, path: str, ignore_extra: bool) -> Array:
    if array is not None:
        return _required(_fit(array, field.type, path, ignore_extra), field, path)
    if not field.nullable:
        raise ValueError(f"column {path} is required and missing")
    return pa.nulls(length, field.type)


def _required(array: Array, field: pa.Field, path: str) -> Array:
    if not field.nullable and array.null_count and not _T.is_null(field.type):
        raise ValueError(f"column {path} is required and has {array.null_count} null values")
    return array


def _fit(array: Array, target: DataType, path: str, ignore_extra: bool) -> Array:
    if array.type == target and not _T.is_nested(target):
        return array
    if _T.is_null(array.type):
        return pa.nulls(len(array), target)
    if is_wrapped(array.type):
        return _fit(_unwrap(array), target, path, ignore_extra)
    if _T.is_struct(target) and _T.is_struct(array.type):
        return _fit_struct(array, target, path, ignore_extra)
    if _T.is_map(target) and _T.is_map(array.type):
        return _fit_map(array, target, path, ignore_extra)
    if _T.is_list(target) and is_list(array.type):
        field = target.value_field
        return relist(
            array,
            target,
            lambda items: _required(_fit(items, field.type, f"{path}[]", ignore_extra), field, f"{path}[]"),
        )
    return _promote(array, target, path)


def _unwrap(array: Array) -> Array:
    if _T.is_dictionary(array.type):
        return array.dictionary_decode()
    return array.storage if isinstance(array, pa.ExtensionArray) else pc.call_function("run_end_decode", [array])


def _fit_struct(array: Array, target: DataType, path: str, ignore_extra: bool) -> Array:
    fields = [array.type.field(at) for at in range(array.type.num_fields)]
    wanted = list(target.fields)
    if array.null_count:
        # Where the struct itself is null its fields may be too; only rows that have one must be complete.
        present = array.filter(array.is_valid())
        _members(_children(present, fields), wanted, len(present), f"{path}.", ignore_extra)
        wanted = [field.with_nullable(True) for field in wanted]
    children = _members(_children(array, fields), wanted, len(array), f"{path}.", ignore_extra)
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(children, fields=list(target.fields), mask=mask)


def _children(array: Array, fields: list[pa.Field]) -> dict[str, Array]:
    return dict(zip((field.name for field in fields), array.flatten(), strict=True))


def _fit_map(array: Array, target: DataType, path: str, ignore_extra: bool) -> Array:
    def part(field: pa.Field, name: str) -> Convert:
        return lambda given: _required(_fit(given, field.type, f"{path}.{name}", ignore_extra), field, f"{path}.{name}")

    return remap(array, target, part(target.key_field, "key"), part(target.item_field, "value"))


def _promote(array: Array, target: DataType, path: str) -> Array:
    for accepts, convert in _PROMOTIONS:
        if accepts(array.type, target):
            try:
                return convert(array, target)
            except ValueError as error:
                raise ValueError(f"column {path}: {error}") from error
    raise ValueError(f"column {path}: {array.type} does not fit {target}")


def _cast(array: Array, target: DataType) -> Array:
    return array.cast(target)


def _cast_time(array: Array, target: DataType) -> Array:
    """To another unit: digits finer than it are dropped, a value out of its range is an error."""
    return array.cast(target, safe=_FINENESS[array.type.unit] <= _FINENESS[target.unit])


_FINENESS: Final = {"s": 0, "ms": 1, "us": 2, "ns": 3}


def _wider_integer(source: DataType, target: DataType) -> bool:
    if not (_T.is_integer(source) and _T.is_integer(target)):
        return False
    spare: int = target.bit_width - source.bit_width
    if _T.is_signed_integer(source) == _T.is_signed_integer(target):
        return spare >= 0
    return bool(_T.is_unsigned_integer(source) and spare > 0)


def _number_to_wider(source: DataType, target: DataType) -> bool:
    if _T.is_floating(target):  # a cast from integer checks that each value is exact
        return bool(_T.is_integer(source) or (_T.is_floating(source) and source.bit_width <= target.bit_width))
    return bool(_T.is_decimal(target) and (_T.is_integer(source) or _T.is_decimal(source)))


def _same_clock(source: DataType, target: DataType) -> bool:
    if _T.is_timestamp(source) and _T.is_timestamp(target):
        return (source.tz is None) == (target.tz is None)  # a local time is not an instant
    return any(kind(source) and kind(target) for kind in (_T.is_time, _T.is_duration))


def _is_uuid(arrow: DataType) -> bool:
    return isinstance(arrow, pa.UuidType)


def _is_json(arrow: DataType) -> bool:
    return isinstance(arrow, pa.JsonType)


_Accepts = Callable[[DataType, DataType], bool]
_PROMOTIONS: Final[tuple[tuple[_Accepts, Callable[[Array, Any], Array]], ...]] = (
    (_wider_integer, _cast),
    (_number_to_wider, _cast),
    (lambda source, target: is_string(source) and _T.is_string(target), _cast),
    (
        lambda source, target: (
            (is_binary(source) or _T.is_fixed_size_binary(source))
            and (_T.is_binary(target) or _T.is_fixed_size_binary(target))
        ),
        _cast,
    ),
    (lambda source, target: _T.is_date(source) and _T.is_date32(target), _cast),
    (_same_clock, _cast_time),
    (lambda source, target: is_string(source) and _is_uuid(target), lambda a, _: uuid_of_text(a.cast(pa.string()))),
    (
        lambda source, target: source == pa.binary(16) and _is_uuid(target),
        lambda array, target: pa.ExtensionArray.from_storage(target, array),
    ),
    (
        lambda source, target: is_string(source) and _is_json(target),
        lambda array, target: pa.ExtensionArray.from_storage(target, array.cast(pa.string())),
    ),
    (
        lambda source, target: _is_json(source) and (_is_json(target) or _T.is_string(target)),
        lambda array, target: _promote(array.storage, target, "json"),
    ),
)

"""How JSON objects, one a line, become rows, and which lines cannot.

Arrow reads whole blocks when every line is an object of known columns and plain types. Any other block is read
line by line with the same outcome for a good line, so that one bad line never costs its neighbours.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.json as pajson

from services.ingest.core.drift import Evolution, policy_for, unknown
from services.ingest.core.faults import Fault
from services.ingest.core.fit import Converter, Misfit, array_of, converter, fit_texts, name_of
from services.ingest.core.json_text import strict_json
from services.ingest.core.lines import Int64s
from services.ingest.core.names import column_name
from services.ingest.core.types import widened

_T: Final = pa.types

Object = dict[str, Any]
#: The columns of parsed objects, for those that have a value somewhere.
Infer = Callable[[Sequence[Object]], pa.Schema]


@dataclass(frozen=True, slots=True)
class JsonRows:
    """What lines became. Shapes: `rows` has m rows, `index` says which line each was; `faults` name the other lines."""

    rows: pa.RecordBatch
    index: Int64s
    faults: list[Fault]


_STRETCH: Final = 1024  # lines read with care around a bad one


def read_lines(lines: Sequence[bytes], schema: pa.Schema, evolution: Evolution, infer: Infer) -> JsonRows:
    """The rows of `lines`, in `schema` with new columns at its end where it evolves. Errors: Frozen."""
    rows = _read_plain(lines, schema)
    if rows is not None:
        return JsonRows(rows, np.arange(len(lines)), [])
    plain: list[tuple[pa.RecordBatch, Int64s]] = []
    objects: dict[int, Object] = {}
    faults: list[Fault] = []
    for first in range(0, len(lines), _STRETCH):
        stretch = lines[first : first + _STRETCH]
        rows = _read_plain(stretch, schema) if len(lines) > _STRETCH else None
        if rows is not None:
            plain.append((rows, np.arange(first, first + len(stretch))))
            continue
        some, bad = parse_lines(stretch)
        objects.update({first + row: found for row, found in some.items()})
        faults.extend(replace(fault, row=first + fault.row) for fault in bad)
    return _joined(plain, rows_of(objects, faults, schema, evolution, infer))


def _joined(plain: Sequence[tuple[pa.RecordBatch, Int64s]], careful: JsonRows) -> JsonRows:
    """All rows in the order of their lines, in the (wider) schema of those that were read with care."""
    if not plain:
        return careful
    schema = careful.rows.schema
    tables = [pa.Table.from_batches([rows]) for rows, _ in plain] + [pa.Table.from_batches([careful.rows])]
    index = np.concatenate([*(index for _, index in plain), careful.index])
    order = np.argsort(index)
    table = pa.concat_tables(tables, promote_options="default").select(schema.names).take(order).combine_chunks()
    rows = table.to_batches()[0] if table.num_rows else careful.rows
    return JsonRows(rows, index[order], careful.faults)


def parse_lines(lines: Sequence[bytes]) -> tuple[dict[int, Object], list[Fault]]:
    """The objects by line, and why the other lines are none. Fields are named as columns."""
    objects: dict[int, Object] = {}
    faults: list[Fault] = []
    for row, line in enumerate(lines):
        try:
            objects[row] = _object(strict_json(line.decode().strip()))
        except UnicodeDecodeError:
            faults.append(Fault(row, "unreadable_row", "the bytes are not UTF-8"))
        except RecursionError:
            faults.append(Fault(row, "unreadable_row", "nested too deeply"))
        except ValueError as error:
            faults.append(Fault(row, "unreadable_row", str(error)))
    return objects, faults


def _object(value: Any) -> Object:
    if not isinstance(value, dict):
        raise ValueError("the line is not a JSON object")
    if not any(field.startswith("_") or not field for field in value):
        return value
    named = {column_name(field): inner for field, inner in value.items()}
    if len(named) != len(value):
        raise ValueError("two fields have the same column name")
    return named


def rows_of(
    objects: dict[int, Object], faults: list[Fault], schema: pa.Schema, evolution: Evolution, infer: Infer
) -> JsonRows:
    """Objects as rows. See `read_lines`."""
    known = set(schema.names)
    fresh = {row: extra for row, found in objects.items() if (extra := _beyond(found, known))}
    if fresh:
        policy = policy_for([name for extra in fresh.values() for name in extra], evolution)
        if policy == "evolve":
            schema = widened(schema, infer(list(fresh.values())))
        if policy != "quarantine":
            fresh = {}
    index: list[int] = []
    columns: list[list[Any]] = [[] for _ in schema]
    converters = [(field.name, converter(pa.string() if is_time(field.type) else field.type)) for field in schema]
    for row, found in objects.items():
        if row in fresh:
            name = next(iter(fresh[row]))
            faults.append(Fault(row, "unknown_field", unknown(name), name))
            continue
        fitted = _fitted(found, converters)
        if isinstance(fitted, list):
            index.append(row)
            for column, value in zip(columns, fitted, strict=True):
                column.append(value)
        else:
            faults.append(Fault(row, "wrong_type", f"column {fitted[0]!r}: {fitted[1]}", fitted[0]))
    arrays, misfits = _arrays(columns, schema)
    for at, fault in misfits.items():
        faults.append(replace(fault, row=index[at]))
    rows = pa.RecordBatch.from_arrays(arrays, schema=schema) if len(schema) else _empty(len(index))
    kept = np.array([at for at in range(len(index)) if at not in misfits], np.int64)
    faults.sort(key=lambda fault: fault.row)
    return JsonRows(rows.take(kept) if misfits else rows, np.array(index, np.int64)[kept], faults)


def _arrays(columns: Sequence[list[Any]], schema: pa.Schema) -> tuple[list[pa.Array], dict[int, Fault]]:
    """The columns, and by row why a time among them cannot be read: times come as texts and are read all at once."""
    arrays: list[pa.Array] = []
    misfits: dict[int, Fault] = {}
    for column, field in zip(columns, schema, strict=True):
        if is_time(field.type):
            fitted, bad = fit_texts(pa.array(column, pa.string()), field.type, ())
            for at in np.flatnonzero(bad):
                detail = f"column {field.name!r}: {column[at]!r} is not {name_of(field.type)}"
                misfits.setdefault(int(at), Fault(0, "wrong_type", detail, field.name))
            arrays.append(fitted)
        else:
            arrays.append(array_of(column, field.type))
    return arrays, misfits


def _empty(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))  # type: ignore[arg-type]


def _beyond(found: Object, known: set[str]) -> Object:
    """The fields that have a value and no column."""
    return {name: value for name, value in found.items() if value is not None and name not in known}


def _fitted(found: Object, converters: Sequence[tuple[str, Converter]]) -> list[Any] | tuple[str, str]:
    """The values of one row, or the column at fault and why."""
    values = []
    for name, convert in converters:
        value = found.get(name)
        try:
            values.append(None if value is None else convert(value))
        except Misfit as misfit:
            return name, str(misfit)
    return values


_AFTER_OBJECT: Final = re.compile(rb"\}[ \t\r]*[^ \t\r\n,}\]]")
#: May have more digits than a double holds, which Arrow would round. It is slow to search for, hence `_MANY_DIGITS` before it.
_LONG_INTEGER: Final = re.compile(rb"[:,\[ \t-]\d{16,}[ \t]*[,}\]]")
_DIGITS_AS_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
_MANY_DIGITS: Final = b"0" * 16


def _read_plain(lines: Sequence[bytes], schema: pa.Schema) -> pa.RecordBatch | None:
    """The rows when Arrow can read every line; None when the lines have to be read with care.

    Arrow's reader crashes on a line that is not an object (`null`), and takes NaN and text that is not UTF-8; these are kept
    from it.
    """
    if not lines or not len(schema) or not all(_is_plain(field.type) for field in schema):
        return None
    if any(line[:1] != b"{" and line.lstrip()[:1] != b"{" for line in lines):
        return None
    block = b"\n".join(lines) + b"\n"
    if block.count(b"\n") != len(lines):
        return None  # a line with a break inside could be half of an object whose other half is the next one
    if b"NaN" in block or b"Inf" in block or _AFTER_OBJECT.search(block) or _has_long_integer(block):
        return None
    try:
        block.decode()
    except UnicodeDecodeError:
        return None
    texts = pa.schema([field.with_type(pa.string()) if is_time(field.type) else field for field in schema])
    try:
        table = pajson.read_json(
            pa.BufferReader(block),  # type: ignore[arg-type]
            read_options=pajson.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=pajson.ParseOptions(explicit_schema=texts, unexpected_field_behavior="error"),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if table.num_rows != len(lines):
        return None
    columns: list[pa.Array] = []
    for column, field in zip(table.columns, schema, strict=True):
        whole = cast(pa.StringArray, column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks))
        fitted, bad = fit_texts(whole, field.type, ()) if is_time(field.type) else (whole, np.zeros(0, bool))
        if bad.any():
            return None
        columns.append(fitted)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _has_long_integer(block: bytes) -> bool:
    return _MANY_DIGITS in block.translate(_DIGITS_AS_ZERO) and _LONG_INTEGER.search(block) is not None


def is_time(arrow: pa.DataType) -> bool:
    """Whether a type is read from text by us: Arrow's JSON reader wants a number, or takes a day for an instant."""
    return bool(_T.is_temporal(arrow))


def _is_plain(arrow: pa.DataType, inside: bool = False) -> bool:
    if _T.is_struct(arrow):
        return all(_is_plain(field.type, True) for field in arrow.fields)
    if _T.is_list(arrow):
        return _is_plain(arrow.value_type, True)
    simple = _T.is_int64(arrow) or _T.is_int32(arrow) or _T.is_float64(arrow) or _T.is_string(arrow)
    return bool(simple or _T.is_boolean(arrow) or (is_time(arrow) and not inside))

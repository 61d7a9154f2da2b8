"""Makes quarantined rows anew: the record each was, or what its source gave, edited, in the columns of its dataset."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, cast

import numpy as np
import pyarrow as pa

from headrace.json_patch import Patch, Unpatchable, patched, touched
from headrace.stream import columns
from headrace.stream.codec import conform
from services.ingest.core.drift import Evolution
from services.ingest.core.faults import Fault
from services.ingest.core.fit import Misfit, array_of, converter, fit_array, fit_texts, name_of
from services.ingest.core.json_rows import Object, parse_lines, read_lines
from services.ingest.core.json_text import json_text, strict_json
from services.ingest.core.quarantine import Age, Asked, Edit, Given, Rebuilt

#: The values of expressions over rows, a column for each; by row why they cannot be computed.
Evaluate = Callable[[Sequence[str], pa.RecordBatch], tuple[Sequence[pa.Array], Mapping[int, str]]]


def of_records(rows: pa.RecordBatch, schema: pa.Schema, edit: Edit, evaluate: Evaluate) -> Rebuilt:
    """Rows that were records: raw or staged ones, decoded. Marks of the source (`RAW_FIELDS`) stay."""
    own = pa.RecordBatch.from_arrays(
        [rows.column(name) for name in columns.user_columns(rows.schema)], names=columns.user_columns(rows.schema)
    )
    try:
        fitted = conform(own, schema)
    except ValueError as error:
        why = f"the columns of its record are no longer those of the dataset: {error}"
        return Rebuilt(_none(schema), [], dict.fromkeys(range(len(rows)), why))
    marks = [field for field in columns.RAW_FIELDS if field.name in rows.schema.names]
    edited, refused = _edited(fitted, edit, evaluate)
    whole = pa.RecordBatch.from_arrays(
        [*edited.columns, *(rows.column(field.name) for field in marks)], schema=pa.schema([*schema, *marks])
    )
    return _without(whole, range(len(rows)), refused)


def ages_of(rows: pa.RecordBatch, asked: Sequence[Asked], known: Sequence[datetime]) -> list[Age]:
    """How old rows are that were raw or staged records; `known` is when each was written, for those that do not say it.

    Shapes: a row for each of those asked for.
    """

    def column(name: str, otherwise: list[Any]) -> list[Any]:
        return rows.column(name).to_pylist() if name in rows.schema.names else otherwise

    since = column(columns.INGESTED_AT, list(known))
    before = column(columns.ORIGIN_OFFSET, [None] * len(asked))
    return [
        Age(at, each.raw_offset if origin is None else origin, origin is not None)
        for each, at, origin in zip(asked, since, before, strict=True)
    ]


def of_source_rows(
    given: Sequence[Given],
    schema: pa.Schema,
    evolution: Evolution,
    nulls: Sequence[str],
    edit: Edit,
    evaluate: Evaluate,
) -> Rebuilt:
    """Rows that never were records: what the source gave is read anew, the edited columns apart.

    An expression sees every value as the source gave it: as text.
    """
    written = [*edit.sets, *edit.kept.values(), *edit.renamed.values()]
    if missing := [name for name in written if name not in schema.names]:
        return Rebuilt(_none(schema), [], dict.fromkeys(range(len(given)), _no_column(missing[0], schema)))
    objects: dict[int, Object] = {}
    refused: dict[int, str] = {}
    faults: dict[int, Fault] = {}
    texts: set[int] = set()
    for at, each in enumerate(given):
        try:
            objects[at], of_texts = read_object(each, schema, edit)
            if of_texts:
                texts.add(at)
        except ValueError as error:
            refused[at] = str(error)
    places = list(objects)
    values: Sequence[pa.Array] = ()
    failed: Mapping[int, str] = {}
    if edit.sets and places:
        values, failed = evaluate(list(edit.sets.values()), _as_texts([objects[at] for at in places], schema))
    refused |= {places[at]: why for at, why in failed.items()}
    for at in places:
        try:
            objects[at] = _moved(objects[at], edit)
        except ValueError as error:
            refused[at] = str(error)
        if at in texts:
            objects[at], unfit = _read_texts(objects[at], schema, nulls)
            if unfit is not None:
                faults[at], refused[at] = unfit, unfit.detail
    kept = [at for at in places if at not in refused]
    lines = [json_text(_jsonable(objects[at])).encode() for at in kept]
    found = read_lines(lines, schema, "discard" if evolution == "discard" else "quarantine", lambda _: pa.schema([]))
    faults |= {kept[fault.row]: fault for fault in found.faults}
    refused |= {kept[fault.row]: fault.detail for fault in found.faults}
    index = [kept[at] for at in found.index.tolist()]
    rows = found.rows
    if values:
        of_place = {at: number for number, at in enumerate(places)}
        chosen = pa.array([of_place[at] for at in index], pa.int64())
        rows, misfits = _replaced(rows, dict(zip(edit.sets, (value.take(chosen) for value in values), strict=True)))
        refused |= {index[at]: why for at, why in misfits.items()}
        fitting = _without(rows, index, misfits, refused)
        return replace(fitting, faults=faults)
    return Rebuilt(rows, index, refused, faults)


def marked(rebuilt: pa.RecordBatch, ids: Sequence[str], origins: Sequence[int | None]) -> pa.RecordBatch:
    """Rows with the marks of those that are written anew. Shapes: an id and an origin for each row."""
    quarantine_id, origin = columns.RESUBMITTED_FIELDS
    return pa.RecordBatch.from_arrays(
        [*rebuilt.columns, pa.array(ids, quarantine_id.type), pa.array(origins, origin.type)],
        schema=pa.schema([*rebuilt.schema, quarantine_id, origin]),
    )


def _no_column(name: str, schema: pa.Schema) -> str:
    return f"its source has no column {name!r}; it has {', '.join(schema.names)}"


def _none(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _without(
    rows: pa.RecordBatch, index: Sequence[int], gone: Mapping[int, str], refused: Mapping[int, str] | None = None
) -> Rebuilt:
    """The rows that are not `gone`; their places in `index`."""
    kept = [at for at in range(len(rows)) if at not in gone]
    chosen = rows if len(kept) == len(rows) else rows.take(pa.array(kept, pa.int64()))
    return Rebuilt(chosen, [index[at] for at in kept], refused if refused is not None else gone)


def _edited(rows: pa.RecordBatch, edit: Edit, evaluate: Evaluate) -> tuple[pa.RecordBatch, dict[int, str]]:
    if edit.sets:
        if missing := [name for name in edit.sets if name not in rows.schema.names]:
            return rows, dict.fromkeys(range(len(rows)), _no_column(missing[0], rows.schema))
        values, failed = evaluate(list(edit.sets.values()), rows)
        edited, misfits = _replaced(rows, dict(zip(edit.sets, values, strict=True)))
        return edited, {**misfits, **failed}
    if edit.patch:
        return _patched_rows(rows, edit.patch)
    return rows, {}


def _replaced(rows: pa.RecordBatch, values: Mapping[str, pa.Array]) -> tuple[pa.RecordBatch, dict[int, str]]:
    """Rows with other values in some columns, and by row which value does not fit its column."""
    arrays = dict(zip(rows.schema.names, rows.columns, strict=True))
    misfits: dict[int, str] = {}
    for name, found in values.items():
        to = rows.schema.field(name).type
        fitted, bad = fit_texts(cast(Any, found), to, ()) if pa.types.is_string(found.type) else fit_array(found, to)
        arrays[name] = fitted
        for at in np.flatnonzero(bad).tolist():
            misfits.setdefault(at, f"column {name!r}: {str(found[at])[:80]!r} is not {name_of(to)}")
    return pa.RecordBatch.from_arrays(list(arrays.values()), schema=rows.schema), misfits


def _patched_rows(rows: pa.RecordBatch, patch: Patch) -> tuple[pa.RecordBatch, dict[int, str]]:
    """Rows after a JSON Patch. Only the columns it names are made anew: the others keep their exact values."""
    refused: dict[int, str] = {}
    names = sorted(touched(patch))
    if unknown := [name for name in names if name not in rows.schema.names]:
        return rows, dict.fromkeys(range(len(rows)), _no_column(unknown[0], rows.schema))
    made: dict[str, list[Any]] = {name: [] for name in names}
    kinds = {name: rows.schema.field(name).type for name in names}
    for at, row in enumerate(rows.to_pylist()):
        try:
            found = patched(_jsonable(row), patch)
            values = {name: _converted(name, found.get(name), kinds[name]) for name in names}
        except ValueError as error:
            refused[at], values = str(error), dict.fromkeys(names)
        for name in names:
            made[name].append(values[name])
    arrays = [
        array_of(made[field.name], field.type) if field.name in made else rows.column(field.name)
        for field in rows.schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=rows.schema), refused


def _converted(name: str, value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if isinstance(value, str) and (pa.types.is_temporal(kind) or pa.types.is_decimal(kind)):
        fitted, bad = fit_texts(pa.array([value]), kind, ())
        if bad[0]:
            raise ValueError(f"column {name!r}: {value!r} is not {name_of(kind)}")
        return fitted[0].as_py()
    try:
        return converter(kind)(value)
    except Misfit as error:
        raise ValueError(f"column {name!r}: {error}") from error


def read_object(given: Given, schema: pa.Schema, edit: Edit) -> tuple[Object, bool]:
    """What the source gave, as an object, patched; whether its values are texts. Errors: ValueError."""
    objects, faults = parse_lines([given.value])
    of_texts = 0 not in objects and given.fields is not None
    found: Object = json.loads(given.fields or "{}") if of_texts else objects.get(0, {})
    why = None
    if not of_texts and 0 not in objects:
        why = f"its bytes are not read as they are ({faults[0].detail})"
    elif found.keys().isdisjoint([*schema.names, *edit.renamed]):
        why = "nothing in its bytes is a column of the dataset"
    try:
        edited = patched(found, edit.patch) if edit.patch else found
    except Unpatchable as error:
        raise ValueError(f"{why}: {error}" if why else str(error)) from error
    written = edit.sets.keys() | (edited.keys() if edit.patch else set())
    if why is not None and (missing := [name for name in schema.names if name not in written]):
        # Columns that nobody gave would be NULL from now on, and the row would count as mended.
        raise ValueError(f"{why}: give every column with --set or --patch; {', '.join(missing)} would be lost")
    return edited, of_texts


def _moved(found: Object, edit: Edit) -> Object:
    """An object with its columns where they are to be. Errors: ValueError: a value would take the place of another one."""
    gone = {*edit.sets, *edit.kept, *edit.renamed, *edit.without}
    left = {name: value for name, value in found.items() if name not in gone}
    moves = [(name, to, _text(found.get(name))) for name, to in edit.kept.items()]
    moves += [(name, to, found.get(name)) for name, to in edit.renamed.items()]
    for name, to, value in moves:
        if value is None:
            continue
        there = left.get(to)
        if to in edit.sets or (there is not None and json_text(there) != json_text(value)):
            raise ValueError(f"the value of {name!r} would take the place of another one in {to!r}")
        left[to] = value
    return left


def _read_texts(found: Object, schema: pa.Schema, nulls: Sequence[str]) -> tuple[Object, Fault | None]:
    """Texts as the values of their columns, and the last that is none."""
    read: Object = {}
    unfit: Fault | None = None
    for name, value in found.items():
        if not isinstance(value, str) or name not in schema.names or pa.types.is_string(schema.field(name).type):
            read[name] = value
            continue
        kind = schema.field(name).type
        fitted, bad = fit_texts(pa.array([value], pa.string()), kind, nulls)
        if bad[0]:
            unfit = Fault(0, "wrong_type", f"column {name!r}: {value[:80]!r} is not {name_of(kind)}", name)
        written_as_json = pa.types.is_nested(kind) or isinstance(kind, pa.JsonType)
        read[name] = strict_json(value) if written_as_json and fitted[0].is_valid else fitted[0].as_py()
    return read, unfit


def _as_texts(objects: Sequence[Object], schema: pa.Schema) -> pa.RecordBatch:
    """Objects as rows of texts, for expressions; a column for each that any has or may have."""
    names = list(dict.fromkeys([*schema.names, *(name for found in objects for name in found)]))
    return pa.RecordBatch.from_arrays(
        [pa.array([_text(found.get(name)) for found in objects], pa.string()) for name in names], names=names
    )


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json_text(value)


def _jsonable(value: Any) -> Any:
    """A value of Arrow as JSON has it, such that it can be read as its type again."""
    if isinstance(value, dict):
        return {name: _jsonable(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(member) for member in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)  # decimals, UUIDs, times

"""How typed rows (Parquet, Arrow) become rows of the source's schema, and which of them cannot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from services.ingest.core.csv import Fault
from services.ingest.core.fit import fit_array, name_of
from services.ingest.core.json_rows import Evolution
from services.ingest.core.names import column_names
from services.ingest.core.types import plain, widened


@dataclass(frozen=True, slots=True)
class Conformed:
    """Rows in the source's schema; `faults` name the input rows that are not among them."""

    rows: pa.RecordBatch
    faults: Sequence[Fault]


def described(schema: pa.Schema, declared: Mapping[str, pa.DataType]) -> pa.Schema:
    """The columns a typed source has in the raw topic."""
    names = column_names(schema.names)
    fields = zip(names, schema.types, strict=True)
    return pa.schema([pa.field(name, declared.get(name, plain(kind))) for name, kind in fields])


def conformed(
    batch: pa.RecordBatch, schema: pa.Schema | None, declared: Mapping[str, pa.DataType], evolution: Evolution
) -> Conformed:
    """`batch` in `schema` (None: its own), widened by columns it does not have where evolution is additive."""
    own = described(batch.schema, declared)
    schema = own if schema is None else schema
    fresh = [field for field in own if field.name not in schema.names]
    if fresh and evolution == "strict":
        name = fresh[0].name
        detail = f"the column {name!r} is not declared, and evolution is strict"
        faults = [Fault(row, "unknown_field", detail, name) for row in range(batch.num_rows)]
        return Conformed(pa.RecordBatch.from_pylist([], schema=schema), faults)
    schema = widened(schema, fresh)
    arrays: list[pa.Array] = []
    misfits: dict[int, Fault] = {}
    for field in schema:
        if field.name not in own.names:
            arrays.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(own.names.index(field.name))
        fitted, bad = fit_array(column, field.type)
        arrays.append(fitted)
        for at in np.flatnonzero(bad):
            detail = f"column {field.name!r}: {str(column[int(at)])[:80]} is not {name_of(field.type)}"
            misfits.setdefault(int(at), Fault(int(at), "wrong_type", detail, field.name))
    rows = pa.RecordBatch.from_arrays(arrays, schema=schema)
    if misfits:
        fitting = np.ones(batch.num_rows, bool)
        fitting[list(misfits)] = False
        rows = rows.filter(pa.array(fitting))
    return Conformed(rows, sorted(misfits.values(), key=lambda fault: fault.row))

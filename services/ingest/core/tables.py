"""How typed rows (Parquet, Arrow) become rows of the source's schema, and which of them cannot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from services.ingest.core.drift import Evolution, policy_for, unknown
from services.ingest.core.faults import Fault
from services.ingest.core.fit import fit_array, name_of
from services.ingest.core.names import column_names
from services.ingest.core.types import plain, widened

#: The types that hold every value of a type exactly, and are read as such from records that were written before.
_HOLD: Final[Mapping[pa.DataType, Sequence[pa.DataType]]] = {
    pa.int32(): (pa.int64(), pa.float64()),
    pa.float32(): (pa.float64(),),
}


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
    """`batch` in `schema` (None: its own), where it evolves widened by new columns and by types that hold the old ones.

    Errors: Frozen.
    """
    own = described(batch.schema, declared)
    schema = own if schema is None else schema
    fresh = [field for field in own if field.name not in schema.names]
    policy = policy_for([field.name for field in fresh], evolution) if fresh else "discard"
    if policy == "quarantine":
        name = fresh[0].name
        faults = [Fault(row, "unknown_field", unknown(name), name) for row in range(batch.num_rows)]
        return Conformed(pa.RecordBatch.from_pylist([], schema=schema), faults)
    schema = widened(schema, fresh) if policy == "evolve" else schema
    if evolution == "evolve":
        schema = pa.schema([_grown(field, own, declared) for field in schema])
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


def _grown(field: pa.Field, own: pa.Schema, declared: Mapping[str, pa.DataType]) -> pa.Field:
    """A column with the wider type that a batch has for it."""
    if field.name in declared or field.name not in own.names:
        return field
    wider = own.field(field.name).type
    return field.with_type(wider) if wider in _HOLD.get(field.type, ()) else field

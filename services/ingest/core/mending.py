"""Reads source rows that do not fit as `source.drift` says, and puts those that then do where they belong among the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.connector import Fetched, SourceRow
from headrace.contract import DRIFT, Decision
from headrace.stream.columns import user_columns
from services.ingest.core.drift import Evolution
from services.ingest.core.faults import Fault
from services.ingest.core.fit import Misfit, converter, fit_texts
from services.ingest.core.json_rows import is_time
from services.ingest.core.marks import Marks, parted, with_marks
from services.ingest.core.quarantine import Edit, Given, Rebuilt
from services.ingest.core.rebuilding import Evaluate, of_source_rows, read_object


@dataclass(frozen=True, slots=True)
class Mending:
    """How a dataset's source rows are read that do not fit. `nulls` are the texts that stand for no value."""

    drift: Mapping[str, Decision]
    evolution: Evolution
    nulls: Sequence[str]
    evaluate: Evaluate
    marked: bool = False  # whether the texts of rows have marks in them

    def parted(self, given: Given) -> tuple[Given, Marks | None]:
        """What the source gave, and the marks that came with it, if it gives any."""
        if not self.marked:
            return given, None
        own, marks = parted(given.value)
        return Given(own, given.fields), marks

    def read(self, given: Sequence[Given], schema: pa.Schema, *, all_rows: bool = True) -> list[Rebuilt]:
        """Rows as they are now read, those that the same decisions concern together; without `all_rows` only those.

        Shapes: `index` and `refused` of each part are places in `given`; each that is read is in one of them. Its `faults`
        are of columns about which nothing was decided.
        """
        groups: dict[tuple[str, ...], list[int]] = {}
        every = _edit(self.drift)
        for at, each in enumerate(given):
            if (columns := self._concerned(each, schema, every)) or all_rows:
                groups.setdefault(columns, []).append(at)
        parts: list[Rebuilt] = []
        for columns, places in groups.items():
            edit = _edit({name: self.drift[name] for name in columns})
            rows = [given[at] for at in places]
            part = of_source_rows(rows, schema, self.evolution, self.nulls, edit, self.evaluate)
            refused = {places[at]: why for at, why in part.refused.items()}
            decided = {*columns, *edit.renamed.values(), *edit.kept.values()}
            faults = {places[at]: fault for at, fault in part.faults.items() if fault.column not in decided}
            parts.append(Rebuilt(part.rows, [places[at] for at in part.index], refused, faults))
        return parts

    def _concerned(self, given: Given, schema: pa.Schema, every: Edit) -> tuple[str, ...]:
        """The columns of a row about which something was decided that concerns it: those unknown, and those that do not fit."""
        try:
            found, of_texts = read_object(given, schema, every)
        except ValueError:
            return ()
        return tuple(name for name in self.drift if name in found and self._odd(name, found[name], schema, of_texts))

    def _odd(self, name: str, value: Any, schema: pa.Schema, of_texts: bool) -> bool:
        if name not in schema.names:
            return True
        return value is not None and not _fits(value, schema.field(name).type, self.nulls if of_texts else None)


def mended(fetched: Fetched, mending: Mending, *, ordered: bool) -> Fetched:
    """What a step brought, with the rows that decisions let in. `ordered`: a row has to stand where its source had it."""
    schema = fetched.rows.schema
    own = pa.schema([schema.field(name) for name in user_columns(schema)])
    chosen = [
        at for at, row in enumerate(fetched.rejected) if row.reason in DRIFT and not (ordered and row.behind is None)
    ]
    pairs = [mending.parted(Given(fetched.rejected[at].raw, fetched.rejected[at].fields)) for at in chosen]
    parts = [beside(part, pairs) for part in mending.read([each for each, _ in pairs], own, all_rows=False)]
    if not parts:
        return fetched
    let_in = {chosen[at] for part in parts for at in part.index}
    why = {chosen[at]: said for part in parts for at, said in part.refused.items()}
    faults = {chosen[at]: fault for part in parts for at, fault in part.faults.items()}
    rejected = tuple(
        _still_aside(row, why[at], faults.get(at)) if at in why else row
        for at, row in enumerate(fetched.rejected)
        if at not in let_in
    )
    if not let_in:
        return Fetched(fetched.rows, rejected)
    places = [chosen[at] for part in parts for at in part.index]
    return Fetched(_together(fetched, [part.rows for part in parts], places), rejected)


def beside(part: Rebuilt, pairs: Sequence[tuple[Given, Marks | None]]) -> Rebuilt:
    """Rows that were read anew, with the marks they came with. Shapes: `index` of the part are places in `pairs`."""
    marks = [found for at in part.index if (found := pairs[at][1]) is not None]
    return replace(part, rows=with_marks(part.rows, marks)) if len(marks) == len(part.index) and marks else part


def _still_aside(row: SourceRow, why: str, fault: Fault | None) -> SourceRow:
    """A row that decisions do not let in: for the column that is still to be decided about, if that is what it lacks."""
    if fault is None:
        return replace(row, detail=f"{row.detail}; as source.drift has it: {why}")
    detail = f"{fault.detail}; nothing in source.drift says what becomes of it"
    return replace(row, reason=fault.reason, detail=detail, column=fault.column)


def _together(fetched: Fetched, parts: Sequence[pa.RecordBatch], places: Sequence[int]) -> pa.RecordBatch:
    """The rows of a step with those of `parts`, which were rejected at `places`. What these lack is null."""
    rows = fetched.rows
    behind = [fetched.rejected[at].behind for at in places]
    in_front = np.array([rows.num_rows if count is None else count for count in behind])
    # One that stands behind n rows comes before row n, and those behind as many in the order they were rejected in.
    order = np.lexsort(
        (
            np.concatenate([np.full(rows.num_rows, -1), places]),
            np.concatenate([np.arange(rows.num_rows), in_front - 0.5]),
        )
    )
    table = pa.Table.from_batches([rows, *(_in(rows.schema, each) for each in parts)])
    [whole] = table.take(order).combine_chunks().to_batches()
    return whole


def _in(schema: pa.Schema, rows: pa.RecordBatch) -> pa.RecordBatch:
    given = dict(zip(rows.schema.names, rows.columns, strict=True))
    arrays = [given.get(field.name, pa.nulls(rows.num_rows, field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _edit(decisions: Mapping[str, Decision]) -> Edit:
    """What decisions do to a row that all of them concern."""
    return Edit(
        {name: each.cast for name, each in decisions.items() if each.cast is not None},
        (),
        {name: each.keep_as for name, each in decisions.items() if each.keep_as is not None},
        {name: each.rename_to for name, each in decisions.items() if each.rename_to is not None},
        frozenset(name for name, each in decisions.items() if each.leave_out),
    )


def _fits(value: Any, kind: pa.DataType, nulls: Sequence[str] | None) -> bool:
    """Whether a value is one of a type. `nulls`: it is text, of which these are no value."""
    try:
        if is_time(kind) or (nulls is not None and isinstance(value, str)):
            text = converter(pa.string())(value)
            return not fit_texts(pa.array([text], pa.string()), kind, nulls or ())[1][0]
        converter(kind)(value)
    except Misfit:
        return False
    return True

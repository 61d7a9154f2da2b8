"""Reads the verdicts beside judged rows, and gives the rows that go on their system columns back."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from headrace.stream import columns
from headrace.stream.codec import conform
from headrace.stream.stage import Parked, Rejection
from headrace.transform import parents
from headrace.transform.checks import Rule
from headrace.transform.judgement import FAILED, FOUND, WANTED, Judgement, flag_column


def verdicts(
    judgement: Judgement, judged: pa.RecordBatch, row: parents.Int64s
) -> tuple[dict[int, Rejection], dict[int, Parked]]:
    """The input rows that a rejecting rule sets aside, and those that wait, each with the first rule it breaks.

    A row that became several waits only if none of them is rejected. Shapes: `judged` and `row` have an entry for each output
    row; `row` is the input row it came from.
    """
    rejected: dict[int, Rejection] = {}
    parked: dict[int, Parked] = {}
    if not judgement.rejecting or (failed := judged.column(FAILED)).null_count == len(judged):
        return rejected, parked
    waits = WANTED in judged.schema.names
    broken = judged.select([FAILED, FOUND, *([WANTED] if waits else [])]).filter(failed.is_valid())
    of = row[failed.is_valid().to_numpy(zero_copy_only=False)].tolist()
    wanted = broken.column(2).to_pylist() if waits else [None] * len(of)
    each = zip(of, broken.column(0).to_numpy().tolist(), broken.column(1).to_pylist(), wanted, strict=True)
    for at, rule_at, found, value in each:
        rule = judgement.rejecting[rule_at]
        if rule.awaited is None and at not in rejected:
            rejected[at] = Rejection(at, rule.reason, rule.detail(found), rule.name, rule.column)
        elif rule.awaited is not None and at not in parked:
            awaited = rule.awaited
            about = rule.column or "", awaited.dataset, awaited.to, value or ""
            parked[at] = Parked(at, rule.name, *about, rule.detail(found), awaited.wait_s)
    return rejected, {at: waiting for at, waiting in parked.items() if at not in rejected}


def published(
    judgement: Judgement,
    schema: pa.Schema,
    staged: pa.RecordBatch,
    judged: pa.RecordBatch,
    row: parents.Int64s,
    version: int,
) -> pa.RecordBatch:
    """The rows that go on, in the published `schema`, with the marks of those that were resubmitted, or had waited.

    Shapes: `judged` and `row` have m entries, one for each row that goes on; `staged` has the n input rows.
    """
    system: dict[str, pa.Array] = {
        columns.SEQ: pa.array(parents.sequence(row)),
        columns.VERSION: pa.array(np.full(len(row), version, np.int32)),
        columns.FLAGS: _flags(judgement.flagging, judged),
    }
    index = None if len(row) == len(staged) and not system[columns.SEQ].sum().as_py() else pa.array(row, pa.int64())
    marks = [field for field in columns.MARKS if field.name in staged.schema.names]
    schema = pa.schema([*schema, *marks]) if marks else schema
    for field in (*columns.STAGED_FIELDS, *marks):
        if field.name not in system:
            column = staged.column(field.name)
            system[field.name] = column if index is None else column.take(index)
    own = pa.schema([field for field in schema if field.name not in system])
    fitted = conform(judged.select(own.names), own)
    return pa.RecordBatch.from_arrays(
        [*fitted.columns, *(system[name] for name in schema.names[len(own) :])], schema=schema
    )


def _flags(rules: Sequence[Rule], judged: pa.RecordBatch) -> pa.ListArray:
    """For each row the names of the flagging rules it breaks."""
    kind = columns.TRANSFORMED_FIELDS[-1].type
    if not rules:
        offsets, names = np.zeros(len(judged) + 1, np.int32), pa.array([], pa.string())
    else:
        broken = np.stack(
            [judged.column(flag_column(at)).to_numpy(zero_copy_only=False) for at in range(len(rules))], axis=1
        )
        offsets = np.concatenate(([0], np.cumsum(broken.sum(axis=1)))).astype(np.int32)
        names = pa.array([rule.name for rule in rules], pa.string()).take(pa.array(np.nonzero(broken)[1], pa.int64()))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names, type=kind)

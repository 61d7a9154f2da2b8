"""Reads the verdicts beside judged rows, and gives the rows that go on their system columns back."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from headrace.stream import columns
from headrace.stream.codec import conform
from headrace.stream.stage import Rejection
from headrace.transform import parents
from headrace.transform.checks import Rule
from headrace.transform.judgement import FAILED, FOUND, Judgement, flag_column


def rejections(judgement: Judgement, judged: pa.RecordBatch, row: parents.Int64s) -> dict[int, Rejection]:
    """The input rows that a rejecting rule sets aside, each with the first rule it breaks.

    Shapes: `judged` and `row` have an entry for each output row; `row` is the input row it came from.
    """
    if not judgement.rejecting:
        return {}
    failed = judged.column(FAILED)
    if failed.null_count == len(failed):
        return {}
    broken = judged.select([FAILED, FOUND]).filter(failed.is_valid())
    of = row[failed.is_valid().to_numpy(zero_copy_only=False)].tolist()
    rejected: dict[int, Rejection] = {}
    for at, rule_at, found in zip(of, broken.column(0).to_numpy().tolist(), broken.column(1).to_pylist(), strict=True):
        if at not in rejected:
            rule = judgement.rejecting[rule_at]
            rejected[at] = Rejection(at, rule.reason, rule.detail(found), rule.name, rule.column)
    return rejected


def published(
    judgement: Judgement,
    schema: pa.Schema,
    staged: pa.RecordBatch,
    judged: pa.RecordBatch,
    row: parents.Int64s,
    version: int,
) -> pa.RecordBatch:
    """The rows that go on, in the published `schema`, with the marks of those that were resubmitted.

    Shapes: `judged` and `row` have m entries, one for each row that goes on; `staged` has the n input rows.
    """
    system: dict[str, pa.Array] = {
        columns.SEQ: pa.array(parents.sequence(row)),
        columns.VERSION: pa.array(np.full(len(row), version, np.int32)),
        columns.FLAGS: _flags(judgement.flagging, judged),
    }
    index = None if len(row) == len(staged) and not system[columns.SEQ].sum().as_py() else pa.array(row, pa.int64())
    marks = [field for field in columns.RESUBMITTED_FIELDS if field.name in staged.schema.names]
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

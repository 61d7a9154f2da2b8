"""Decides what becomes of rows that fail a check of severity hold: what somebody decided about them, or they wait."""

from collections.abc import Callable, Container, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from headrace.stream import columns
from headrace.stream.overrides import Decisions, Override
from headrace.stream.stage import Rejection
from headrace.transform import parents
from headrace.transform.checks import Rule
from headrace.transform.judgement import Judgement, flag_column

#: The text of the value of each of some judged rows that breaks a rule.
Showing = Callable[[Rule, pa.RecordBatch], Sequence[str | None]]


def set_aside(rejection: Rejection, decision: Override) -> Rejection:
    """Why a row is quarantined that somebody decided about."""
    detail = f"{rejection.detail}; set aside by {decision.told}"
    return Rejection(rejection.row, rejection.reason, detail, rejection.rule, rejection.column)


def holding(
    judgement: Judgement,
    judged: pa.RecordBatch,
    row: parents.Int64s,
    staged: pa.RecordBatch,
    decisions: Decisions,
    settled: Container[int],
    showing: Showing,
) -> tuple[dict[int, Rejection], Rejection | None]:
    """The input rows that are set aside as was decided, and the first that waits. Those in `settled` are no matter.

    Shapes: `judged` and `row` have an entry for each output row; `row` ascends. What was let pass keeps its flag.
    """
    aside: dict[int, Rejection] = {}
    waiting: list[Rejection] = []
    partition, offset = staged.column(columns.PARTITION), staged.column(columns.OFFSET)
    for at, rule in enumerate(judgement.flagging):
        if not rule.hold:
            continue
        broken = pc.indices_nonzero(judged.column(flag_column(at)))
        for of, found in zip(row[broken.to_numpy()].tolist(), showing(rule, judged.take(broken)), strict=True):
            if of in settled or of in aside:
                continue
            decision = decisions.on(rule.name, partition[of].as_py(), offset[of].as_py())
            failed = Rejection(of, rule.reason, rule.detail(found), rule.name, rule.column)
            if decision is None:
                waiting.append(failed)
            elif decision.act == "quarantine":
                aside[of] = set_aside(failed, decision)
    return aside, min((each for each in waiting if each.row not in aside), key=lambda each: each.row, default=None)

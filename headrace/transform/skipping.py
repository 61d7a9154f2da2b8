"""Leaves rows out that somebody wants skipped, before anything is made of them: a rule of its own in the ledger."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from headrace.stream import columns
from headrace.stream.overrides import SKIPPED, Decisions
from headrace.stream.stage import Batch, Outcome, Stage
from headrace.transform.parents import Bools


class Skipping:
    """A `Stage` around another, which does not see the rows that are skipped."""

    def __init__(self, stage: Stage, decisions: Decisions) -> None:
        self._stage = stage
        self._skips = decisions.skips()

    @property
    def name(self) -> str:
        return self._stage.name

    def __call__(self, batch: Batch) -> Outcome:
        """See `headrace.stream.stage.Stage`."""
        return leaving_out(self._skipped(batch), SKIPPED, batch, self._stage) if self._skips else self._stage(batch)

    def _skipped(self, batch: Batch) -> Bools:
        partition, offset = (batch.rows.column(name).to_numpy() for name in (columns.PARTITION, columns.OFFSET))
        found = np.zeros(len(batch.rows), np.bool_)
        for each in self._skips:
            found |= (partition == each.partition) & (offset >= each.from_offset) & (offset <= each.to_offset)
        return found


def leaving_out(rows: Bools, rule: str, batch: Batch, stage: Stage) -> Outcome:
    """What a stage makes of a batch without some rows, which count as filtered by a rule. Shapes: an entry for each row."""
    if not rows.any():
        return stage(batch)
    left_out = {rule: pa.array(np.flatnonzero(rows), pa.int64())}
    kept = np.flatnonzero(~rows)
    if not len(kept):
        return Outcome((), left_out)
    index = pa.array(kept, pa.int64())
    since_ms = None if batch.since_ms is None else batch.since_ms.take(index)
    outcome = stage(replace(batch, raw=batch.raw.take(index), rows=batch.rows.take(index), since_ms=since_ms))
    return Outcome(
        tuple(replace(part, row=index.take(part.row)) for part in outcome.emitted),
        {name: index.take(found) for name, found in outcome.filtered.items()} | left_out,
        [replace(each, row=int(kept[each.row])) for each in outcome.rejected],
        [replace(each, row=int(kept[each.row])) for each in outcome.parked],
        None if outcome.held is None else replace(outcome.held, row=int(kept[outcome.held.row])),
    )

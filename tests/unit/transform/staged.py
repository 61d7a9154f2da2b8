"""What the tests of the transformer are made of: a contract, staged batches, and a reading of what came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.contract import Contract
from headrace.stream import columns
from headrace.stream.ledger import EMIT, FILTER, QUARANTINE, fates
from headrace.stream.stage import Batch, Outcome, Records
from headrace.transform.engine import Engine
from headrace.transform.stage import Transform

Row = dict[str, Any]


def contract(**sections: Any) -> Contract:
    """A contract of a dataset called shop.orders with these sections."""
    minimal = {
        "dataset": "shop.orders",
        "description": "Orders of the shop.",
        "owner": {"team": "shop"},
        "source": {"type": "http_push"},
    }
    return Contract.model_validate({**minimal, **sections})


def transform(**sections: Any) -> Transform:
    """A stage for a contract with these sections, version 7."""
    return transform_on(Engine(), **sections)


def transform_on(engine: Engine, **sections: Any) -> Transform:
    """The same, on this engine."""
    return Transform(engine, contract(**sections), 7)


def staged(rows: pa.RecordBatch | Sequence[Row], first_offset: int = 100) -> Batch:
    """`rows` as the stager would hand them on, from offset `first_offset` of partition 3."""
    own = rows if isinstance(rows, pa.RecordBatch) else pa.RecordBatch.from_pylist(list(rows))
    count = len(own)
    offset = pa.array(np.arange(first_offset, first_offset + count), pa.int64())
    system: dict[str, pa.Array] = {
        columns.PARTITION: pa.array([3] * count, pa.int32()),
        columns.OFFSET: offset,
        columns.SEQ: pa.array([0] * count, pa.int32()),
        columns.INGESTED_AT: pa.array([1_700_000_000_000_000] * count, columns.TIMESTAMP),
        columns.SOURCE_TS: pa.nulls(count, columns.TIMESTAMP),
        columns.OP: pa.array(["insert"] * count),
        columns.VERSION: pa.array([6] * count, pa.int32()),
    }
    schema = pa.schema([*own.schema, *columns.STAGED_FIELDS])
    values: list[pa.Array] = [*own.columns, *(system[field.name] for field in columns.STAGED_FIELDS)]
    raw = Records(
        "shop.orders.staged",
        pa.array([3] * count, pa.int32()),
        offset,
        pa.array([0] * count, pa.int64()),
        [None] * count,
        [b""] * count,
    )
    return Batch(raw, pa.RecordBatch.from_arrays(values, schema=schema), 1)


@dataclass(frozen=True)
class Result:
    """An outcome, read: `rows` without system columns, and the input row of each fate."""

    rows: list[Row]
    system: list[Row]
    schema: pa.Schema
    filtered: dict[str, list[int]]
    rejected: dict[int, tuple[str, str, str | None, str | None]]  # reason, detail, rule, column


def run(stage: Transform, rows: Batch | pa.RecordBatch | Sequence[Row]) -> Result:
    """What `stage` makes of `rows`. Fails when a row has no fate, or two."""
    batch = rows if isinstance(rows, Batch) else staged(rows)
    return read(batch, stage(batch))


def read(batch: Batch, outcome: Outcome) -> Result:
    """An outcome of `batch`, read and checked for conservation."""
    assert set(fates(len(batch.rows), outcome).tolist()) <= {EMIT, FILTER, QUARANTINE}
    [emitted] = outcome.emitted
    assert emitted.rows is not None
    assert emitted.rows.column(columns.OFFSET).to_pylist() == (emitted.row.to_numpy() + 100).tolist()
    emitted.rows.validate(full=True)
    out = emitted.rows.to_pylist()
    return Result(
        [{name: value for name, value in row.items() if not name.startswith("_")} for row in out],
        [{name: value for name, value in row.items() if name.startswith("_")} for row in out],
        emitted.rows.schema,
        {rule: index.to_numpy().tolist() for rule, index in outcome.filtered.items()},
        {r.row: (r.reason, r.detail, r.rule, r.column) for r in outcome.rejected},
    )

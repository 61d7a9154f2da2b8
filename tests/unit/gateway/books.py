"""Makes ledger entries for tests."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from headrace.stream.ledger import LATENCY_BOUNDS_MS, LedgerEntry, set_hash

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

Row = tuple[int, int]  # offset in the raw topic, and which of its copies


def hash_of(partition: int, rows: set[Row]) -> int:
    offsets = np.array([offset for offset, _ in rows], np.int64)
    copies = np.array([copy for _, copy in rows], np.int64)
    return set_hash(np.full(len(rows), partition, np.int64), offsets, copies)


def entry(
    stage: str,
    rows_in: set[Row],
    *,
    out: set[Row] | None = None,
    filtered: dict[str, set[Row]] | None = None,
    quarantined: dict[str, set[Row]] | None = None,
    partition: int = 0,
    dataset: str = "nyc.flights",
    at: datetime = AT,
) -> LedgerEntry:
    """What a stage would write that read `rows_in`, filtered and set aside some of them, and wrote `out`."""

    def identity(rows: set[Row]) -> int:
        return 0 if stage == "ingest" else hash_of(partition, rows)  # source rows have none yet

    dropped = set().union(*(filtered or {}).values())
    aside = set().union(*(quarantined or {}).values())
    emitted = rows_in - dropped - aside
    out = emitted if out is None else out
    values: dict[str, Any] = {
        "dataset": dataset,
        "generation": 1,
        "version": 1,
        "stage": stage,
        "instance": "0",
        "partition": partition,
        "from_offset": -1,
        "to_offset": -1,
        "rows_in": len(rows_in),
        "in_hash": identity(rows_in),
        "emitted": len(emitted),
        "emitted_hash": identity(emitted),
        "rows_out": len(out),
        "out_hash": identity(out),
        "filtered": {rule: len(rows) for rule, rows in (filtered or {}).items()},
        "filtered_hash": identity(dropped),
        "quarantined": {reason: len(rows) for reason, rows in (quarantined or {}).items()},
        "quarantined_hash": identity(aside),
        "latency_ms": [len(out)] + [0] * len(LATENCY_BOUNDS_MS),
        "bytes_in": 10 * len(rows_in),
        "committed_at": at,
    }
    return LedgerEntry(**values)

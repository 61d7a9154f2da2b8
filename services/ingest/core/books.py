"""What a transaction of ingest adds to the ledger and to quarantine."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from headrace.connector import SourceRow
from headrace.stream.ledger import LATENCY_BOUNDS_MS, LedgerEntry, Position

STAGE: Final = "ingest"
KEPT_BYTES: Final = 1 << 20  # of a source row in quarantine: as base64 it fits in a message with ample room


def entries(
    position: Position,
    emitted: Mapping[int, int],
    sizes: Mapping[int, int],
    rejected: Mapping[int, Sequence[SourceRow]],
    now: datetime,
) -> list[LedgerEntry]:
    """The books of one transaction by partition: records written, their bytes, and source rows set aside.

    A source row has no offset, so offsets are -1 and hashes 0: what ingest wrote is identified by what the next stage reads.
    """
    return [
        LedgerEntry(
            dataset=position.dataset,
            generation=position.generation,
            version=position.version,
            stage=STAGE,
            instance=position.instance,
            partition=partition,
            from_offset=-1,
            to_offset=-1,
            rows_in=emitted.get(partition, 0) + len(rejected.get(partition, ())),
            in_hash=0,
            emitted=emitted.get(partition, 0),
            emitted_hash=0,
            rows_out=emitted.get(partition, 0),
            out_hash=0,
            filtered={},
            filtered_hash=0,
            quarantined=dict(Counter(row.reason for row in rejected.get(partition, ()))),
            quarantined_hash=0,
            latency_ms=[0] * (len(LATENCY_BOUNDS_MS) + 1),
            bytes_in=sizes.get(partition, 0),
            committed_at=now,
        )
        for partition in sorted({*emitted, *rejected})
    ]


def quarantined(position: Position, row: SourceRow, partition: int, now: datetime) -> dict[str, Any]:
    """The record that sets a source row aside. Fields: `schemas/quarantined.avsc`."""
    size = len(row.raw)
    cut = f"; the first {KEPT_BYTES} of its {size} bytes are kept here" if size > KEPT_BYTES else ""
    return {
        "dataset": position.dataset,
        "generation": position.generation,
        "version": position.version,
        "stage": STAGE,
        "reason": row.reason,
        "detail": row.detail + cut,
        "rule": None,
        "column": row.column,
        "topic": None,
        "partition": partition,
        "offset": -1,
        "raw_offset": None,
        "seq": 0,
        "schema_id": None,
        "value": base64.b64encode(row.raw[:KEPT_BYTES]).decode(),
        "fields": row.fields,
        "source": row.source,
        "quarantined_at": now,
    }

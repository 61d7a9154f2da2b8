"""What the books, the quarantine topic and the list of rows that are done with say of what became of quarantined rows."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from headrace.stream.ledger import LedgerEntry, Position
from services.ingest.core import books
from services.ingest.core.quarantine import DISCARDED, RESUBMITTED, Fate


def quarantine_record(position: Position, fate: Fate, now: datetime) -> dict[str, Any]:
    """What the quarantine topic says of it. Fields: `schemas/quarantined.avsc`."""
    asked = fate.asked
    return {
        "dataset": position.dataset,
        "generation": position.generation,
        "version": position.version,
        "stage": books.STAGE,
        "reason": asked.reason,
        "detail": fate.detail,
        "column": asked.column,
        "partition": asked.partition,
        "offset": -1,
        "seq": 0,
        "value": "",
        "quarantined_at": now,
        "act": fate.act,
        "act_on": asked.row,
        "request": asked.request,
        "acted_by": asked.by,
        "because": asked.because,
        "edit": asked.edit,
        "assigned_to": asked.to,
    }


def act_record(fate: Fate, now: datetime) -> dict[str, Any]:
    """That a row is done with. Fields: `schemas/quarantine_act.avsc`."""
    asked = fate.asked
    return {"dataset": asked.dataset, "row": asked.row, "act": fate.act, "request": asked.request, "at": now}


def entries(position: Position, fates: Iterable[Fate], sizes: Mapping[int, int], now: datetime) -> list[LedgerEntry]:
    """The books of these fates by partition. Units: `sizes` are the bytes written to each partition.

    A row counts as resubmitted where it was set aside, as emitted where it is written. Where these differ (its key
    was edited), the partition it was read in hands it over to the other.
    """
    taken: dict[int, Counter[str]] = {}
    given_up: dict[int, Counter[str]] = {}
    emitted: Counter[int] = Counter()
    read: Counter[int] = Counter()
    for fate in fates:
        came = fate.asked.partition
        if fate.act == DISCARDED:
            given_up.setdefault(came, Counter())[fate.asked.reason] += 1
        elif fate.act == RESUBMITTED:
            taken.setdefault(came, Counter())[fate.asked.reason] += 1
            emitted[fate.target] += 1
            read[came] -= 1
            read[fate.target] += 1
    made = books.entries(position, emitted, sizes, {}, now)
    known = {entry.partition: entry for entry in made}
    for partition in {*taken, *given_up} - known.keys():
        known[partition] = books.entries(position, {partition: 0}, {}, {}, now)[0]
    return [
        replace(
            entry,
            rows_in=read[number],
            resubmitted=dict(taken.get(number, {})),
            discarded=dict(given_up.get(number, {})),
        )
        for number, entry in sorted(known.items())
    ]

"""Decides what happens to rows whose parent is not there yet: until when each waits, how it is kept, how it comes again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import pyarrow as pa

from headrace.stream import columns
from headrace.stream.stage import Batch, Outcome, Parked, Records, Rejection

LATE: Final = "parent_late"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


class Place(NamedTuple):
    """The raw record that a parked one was made of."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A parked record of the staged topic. Units: milliseconds since the epoch."""

    place: Place
    offset: int  # in the staged topic
    timestamp_ms: int
    key: bytes | None
    value: bytes
    rule: str
    column: str
    parent: str
    to: str
    wanted: str
    since_ms: int
    until_ms: int

    @property
    def message_key(self) -> bytes:
        """What it is filed under in its topic."""
        return f"{self.place.partition}:{self.place.offset}".encode()


def records_of(topic: str, waiting: Sequence[Waiting]) -> Records:
    """Parked records as they stood in their topic."""
    return Records(
        topic,
        pa.array([each.place.partition for each in waiting], pa.int32()),
        pa.array([each.offset for each in waiting], pa.int64()),
        pa.array([each.timestamp_ms for each in waiting], pa.int64()),
        [each.key for each in waiting],
        [each.value for each in waiting],
    )


def marked(batch: Batch, waiting: Sequence[Waiting]) -> Batch:
    """Rows that had been parked, with since when. Shapes: `waiting` has an entry for each row."""
    since = pa.array([each.since_ms for each in waiting], pa.int64())
    at = since.cast(pa.timestamp("ms", tz="UTC")).cast(columns.TIMESTAMP)
    schema = batch.rows.schema.append(columns.PARKED_FIELD)
    return replace(batch, rows=pa.RecordBatch.from_arrays([*batch.rows.columns, at], schema=schema), since_ms=since)


def decided(batch: Batch, outcome: Outcome, now_ms: int) -> Outcome:
    """The outcome, in which those are rejected that have waited long enough."""
    if not outcome.parked or batch.since_ms is None:
        return outcome
    still: list[Parked] = []
    late: list[Rejection] = []
    for each in outcome.parked:
        since_ms = batch.since_ms[each.row].as_py()
        if now_ms < since_ms + each.wait_s * 1000:
            still.append(each)
        else:
            waited = f"{each.detail}; it waited since {_moment(since_ms)}"
            late.append(Rejection(each.row, LATE, waited, each.rule, each.column))
    return replace(outcome, rejected=[*outcome.rejected, *late], parked=still)


def waiting_of(batch: Batch, outcome: Outcome, now_ms: int) -> Iterator[Waiting]:
    """The parked rows of a batch, as they are kept."""
    raw = batch.raw
    for each in outcome.parked:
        at = each.row
        since_ms = now_ms if batch.since_ms is None else batch.since_ms[at].as_py()
        yield Waiting(
            Place(raw.partition[at].as_py(), batch.rows.column(columns.OFFSET)[at].as_py()),
            raw.offset[at].as_py(),
            raw.timestamp_ms[at].as_py(),
            raw.keys[at],
            raw.values[at] or b"",
            each.rule,
            each.column,
            each.dataset,
            each.to,
            each.wanted,
            since_ms,
            since_ms + each.wait_s * 1000,
        )


def to_record(dataset: str, version: int, waiting: Waiting) -> dict[str, Any]:
    """What is written of a parked record. Fields: `schemas/parked.avsc`."""
    return {
        "dataset": dataset,
        "version": version,
        "rule": waiting.rule,
        "column": waiting.column,
        "parent": waiting.parent,
        "to": waiting.to,
        "wanted": waiting.wanted,
        "since": _at(waiting.since_ms),
        "until": _at(waiting.until_ms),
        "partition": waiting.place.partition,
        "offset": waiting.offset,
        "raw_offset": waiting.place.offset,
        "timestamp": _at(waiting.timestamp_ms),
        "key": waiting.key,
        "value": waiting.value,
    }


def of_record(record: Mapping[str, Any]) -> Waiting:
    """A parked record as it was written."""
    return Waiting(
        Place(record["partition"], record["raw_offset"]),
        record["offset"],
        _ms(record["timestamp"]),
        record["key"],
        record["value"],
        record["rule"],
        record["column"],
        record["parent"],
        record["to"],
        record["wanted"],
        _ms(record["since"]),
        _ms(record["until"]),
    )


def _at(ms: int) -> datetime:
    return _EPOCH + ms * _MS


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MS


def _moment(ms: int) -> str:
    return _at(ms).isoformat(timespec="seconds")

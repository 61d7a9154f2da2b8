"""Reads Debezium's envelopes: what happened to which row, in the order in which it did.

Each message has its schema in front of its payload. The schema of consecutive messages is the same text, so it is read once
and then compared.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from headrace.stream.columns import OP, SOURCE_TS, TIMESTAMP
from services.ingest.connectors.cdc.shape import Column, columns, unavailable
from services.ingest.core.faults import Fault

_SCHEMA: Final = b'{"schema":'
_PAYLOAD: Final = b',"payload":'
_OPS: Final = {"c": "insert", "u": "update", "d": "delete", "r": "snapshot"}
_TRUNCATE: Final = "t"

Event = Mapping[str, Any]


class NotAnEnvelope(ValueError):
    """The message is none of Debezium's. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The schema of a message: its text up to the payload, and the table's columns."""

    prefix: bytes
    columns: Sequence[Column]


@dataclass(frozen=True, slots=True)
class Changes:
    """Consecutive changes of one shape.

    Shapes: `rows` (the table's columns), `op`, `source_ts`, `raw` and `index` have n entries; `faults` name those that are
    no rows. `index` says which message each was.
    """

    rows: pa.RecordBatch
    op: Sequence[str]
    source_ts: pa.Array
    faults: Sequence[Fault]
    raw: Sequence[bytes]
    index: Sequence[int]

    def part(self, start: int, size: int) -> "Changes":
        """At most `size` of them, from the one at `start`."""
        stop = start + size
        if not start and stop >= len(self.op):
            return self
        return Changes(
            self.rows.slice(start, size),
            self.op[start:stop],
            self.source_ts.slice(start, size),
            [replace(fault, row=fault.row - start) for fault in self.faults if start <= fault.row < stop],
            self.raw[start:stop],
            self.index[start:stop],
        )


@dataclass(frozen=True, slots=True)
class Truncated:
    """The table was emptied here. `index` says which message told so."""

    index: int
    at: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that is no envelope."""

    index: int
    raw: bytes
    why: str


class Envelopes:
    """Decodes messages; keeps the shapes it has met.

    `whole_deletes`: the log has all columns of a row that was deleted. `zero_dates`: see `shape.columns`.
    """

    def __init__(self, whole_deletes: bool, *, zero_dates: bool = True) -> None:
        self._whole_deletes = whole_deletes
        self._zero_dates = zero_dates
        self._shapes: list[Shape] = []

    def read(
        self, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> Iterator[Changes | Truncated | Unreadable]:
        """What the messages say, in order. A message without a value says nothing."""
        shape: Shape | None = None
        pending: list[tuple[int, bytes | None, bytes]] = []
        for at, (key, value) in enumerate(zip(keys, values, strict=True)):
            if value is None:
                continue
            try:
                found = self._shape(value)
            except NotAnEnvelope as error:
                yield from self._changes(shape, pending)
                pending = []
                yield Unreadable(at, value, str(error))
                continue
            if found is not shape:
                yield from self._changes(shape, pending)
                shape, pending = found, []
            pending.append((at, key, value[len(found.prefix) : -1]))
        yield from self._changes(shape, pending)

    def _shape(self, value: bytes) -> Shape:
        for place, shape in enumerate(self._shapes):
            if value.startswith(shape.prefix):
                if place:
                    self._shapes.insert(0, self._shapes.pop(place))
                return shape
        made = _shape_of(value, self._zero_dates)
        self._shapes.insert(0, made)
        return made

    def _changes(
        self, shape: Shape | None, pending: Sequence[tuple[int, bytes | None, bytes]]
    ) -> Iterator[Changes | Truncated]:
        if shape is None or not pending:
            return
        events: list[Event] = json.loads(b"[" + b",".join(payload for *_, payload in pending) + b"]")
        start = 0
        for place, event in enumerate(events):
            if event["op"] not in _OPS:
                if place > start:
                    yield self._table(shape, pending[start:place], events[start:place])
                start = place + 1
                if event["op"] == _TRUNCATE:
                    yield Truncated(pending[place][0], str(event["source"].get("ts_ms")))
        if start < len(events):
            yield self._table(shape, pending[start:], events[start:])

    def _table(
        self, shape: Shape, pending: Sequence[tuple[int, bytes | None, bytes]], events: Sequence[Event]
    ) -> Changes:
        rows = [self._row(event, key) for event, (_, key, _) in zip(events, pending, strict=True)]
        arrays: list[pa.Array] = []
        faults: dict[int, Fault] = {}
        for column in shape.columns:
            values = [row.get(column.name) for row in rows]
            for place in _unavailable(events, values):
                faults.setdefault(place, _left_out(place, column.name))
                values[place] = None
            found, bad = column.read(values)
            for place in np.flatnonzero(bad).tolist():
                if events[place]["op"] == "d" and values[place] == column.doubted:
                    continue  # of a row that is gone, its key is what matters
                faults.setdefault(place, _misfit(place, column, values[place]))
            arrays.append(found)
        schema = pa.schema([pa.field(column.name, column.type) for column in shape.columns])
        return Changes(
            pa.RecordBatch.from_arrays(arrays, schema=schema),
            [_OPS[event["op"]] for event in events],
            _instants(events),
            sorted(faults.values(), key=lambda fault: fault.row),
            [payload for *_, payload in pending],
            [at for at, *_ in pending],
        )

    def _row(self, event: Event, key: bytes | None) -> Mapping[str, Any]:
        """The row after the change; of a deleted one what the log has of it: the rest of `before` is made up."""
        if event["op"] != "d":
            return event["after"] or {}
        if self._whole_deletes or key is None:
            return event["before"] or {}
        found: Mapping[str, Any] = json.loads(key)
        return found


def with_marks(rows: pa.RecordBatch, op: Sequence[str], source_ts: pa.Array) -> pa.RecordBatch:
    """Rows beside what happened to each, and when."""
    fields = [*rows.schema, pa.field(SOURCE_TS, TIMESTAMP), pa.field(OP, pa.string(), nullable=False)]
    return pa.RecordBatch.from_arrays([*rows.columns, source_ts, pa.array(op, pa.string())], schema=pa.schema(fields))


def _shape_of(value: bytes, zero_dates: bool) -> Shape:
    try:
        text = value.decode()
        if not value.startswith(_SCHEMA):
            raise NotAnEnvelope("it does not start with its schema")
        schema, end = json.JSONDecoder().raw_decode(text, len(_SCHEMA))
        prefix = text[:end].encode() + _PAYLOAD
        if not value.startswith(prefix):
            raise NotAnEnvelope("no payload follows its schema")
        (row,) = [field for field in schema["fields"] if field["field"] == "after"]
        return Shape(prefix, columns(row, zero_dates=zero_dates))
    except (ValueError, KeyError, TypeError) as error:
        raise NotAnEnvelope(f"not an envelope of Debezium's: {error}") from error


def _unavailable(events: Sequence[Event], values: Sequence[Any]) -> list[int]:
    return [
        place
        for place, value in enumerate(values)
        if isinstance(value, str | list) and events[place]["op"] == "u" and unavailable(value)
    ]


def _instants(events: Sequence[Event]) -> pa.Array:
    sources = [event["source"] for event in events]
    counts = [source.get("ts_us") or (source.get("ts_ms") or 0) * 1000 for source in sources]
    return pa.array([count or None for count in counts], pa.int64()).cast(TIMESTAMP)


def _left_out(place: int, name: str) -> Fault:
    detail = (
        f"column {name!r}: its value is not in the log, as the update did not touch it, and the row is gone since; "
        "with REPLICA IDENTITY FULL the table's log would have it"
    )
    return Fault(place, "unreadable_row", detail, name)


def _misfit(place: int, column: Column, value: Any) -> Fault:
    shown = json.dumps(value, ensure_ascii=False)
    text = shown if len(shown) <= 80 else shown[:77] + "..."
    what = f"{text} (from the log) is not of type {column.type}, or is outside the years 1 to 9999"
    if column.doubted is not None and value == column.doubted:
        what = (
            "it may be 0000-00-00, of which Debezium makes the column's default, else 1970-01-01, as it takes no null; "
            "where the table has no zero dates, say so with source.zero_dates: false"
        )
    return Fault(place, "wrong_type", f"column {column.name!r}: {what}", column.name)

"""Reads the newest records of a topic and decodes them by the schema each names."""

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, NamedTuple

from headrace.stream.codec import Codec, schema_id_of
from headrace.stream.kafka import Connection, Replay
from headrace.stream.registry import Registry
from services.gateway.core.json_values import json_value

_REPLY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class TailRecord:
    """A record of a topic; `error` says why it has no fields."""

    partition: int
    offset: int
    timestamp: datetime
    fields: dict[str, Any] | None
    error: str | None


class _Found(NamedTuple):
    """A record as it came, in the order of a tail."""

    timestamp_ms: int
    partition: int
    offset: int
    value: bytes | None


class Tail:
    """The ends of topics."""

    def __init__(self, connection: Connection, registry: Registry) -> None:
        self._connection = connection
        self._registry = registry

    def __call__(self, topic: str, limit: int) -> list[TailRecord]:
        """The newest committed records of all partitions, at most `limit`, oldest first. Errors: Transient."""
        replay = Replay(self._connection, topic, timeout_s=_REPLY_S)
        try:
            newest = _newest(replay, limit)
        finally:
            replay.close()
        return self._decoded(newest)

    def _decoded(self, newest: list[_Found]) -> list[TailRecord]:
        by_schema: dict[int | None, list[int]] = defaultdict(list)
        for at, found in enumerate(newest):
            by_schema[schema_id_of(found.value)].append(at)
        fields: dict[int, dict[str, Any]] = {}
        errors: dict[int, str] = {}
        for schema_id, positions in by_schema.items():
            avro = None if schema_id is None else self._registry.schema(schema_id)
            if avro is None:
                errors |= dict.fromkeys(positions, "the record names no schema that the registry knows")
                continue
            decoded = Codec(avro).decode([newest[at].value or b"" for at in positions])
            rows = zip(decoded.index.to_numpy().tolist(), decoded.rows.to_pylist(), strict=True)
            fields |= {positions[at]: row for at, row in rows}
            errors |= {positions[at]: detail for at, detail in decoded.failures}
        return [
            TailRecord(
                found.partition,
                found.offset,
                datetime.fromtimestamp(found.timestamp_ms / 1000, UTC),
                json_value(fields[at]) if at in fields else None,
                errors.get(at),
            )
            for at, found in enumerate(newest)
        ]


def _newest(replay: Replay, limit: int) -> list[_Found]:
    """The last records of a topic. Markers and aborted records take offsets, so the reach grows where it does not suffice."""
    newest: dict[int, deque[_Found]] = {}
    short = replay.watermarks()
    reach = 2 * limit
    while short:
        starts = {number: max(low, high - reach) for number, (low, high) in short.items()}
        newest |= _from(replay, starts, limit)
        short = {at: marks for at, marks in short.items() if len(newest[at]) < limit and starts[at] > marks[0]}
        reach *= 4
    return sorted(chain.from_iterable(newest.values()))[-limit:]


def _from(replay: Replay, starts: Mapping[int, int], limit: int) -> dict[int, deque[_Found]]:
    """The last records of each partition from some offset on."""
    newest: dict[int, deque[_Found]] = {number: deque(maxlen=limit) for number in starts}
    replay.seek(starts)
    for records in replay.advance():
        places = zip(
            records.timestamp_ms.to_numpy().tolist(),
            records.partition.to_numpy().tolist(),
            records.offset.to_numpy().tolist(),
            records.values,
            strict=True,
        )
        for place in places:
            newest[place[1]].append(_Found(*place))
    return newest

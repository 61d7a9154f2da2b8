"""Turns a batch's work into the messages its transaction writes: outputs, quarantine, ledger entries, extras."""

import base64
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa

from headrace.errors import Transient
from headrace.stream import columns, topics
from headrace.stream.codec import Codec, avro_schema, schema_id_of
from headrace.stream.control import Controls
from headrace.stream.parking import to_record
from headrace.stream.pump import Portion, Work
from headrace.stream.registry import Schemas
from headrace.stream.stage import Emitted, Records, Rejection


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages for one topic, in order; a value of None takes its key away.

    Shapes: `keys`, if any, has an entry for each value.
    """

    topic: str
    values: Sequence[bytes | None]
    keys: Sequence[bytes | None] | None = None
    partition: int = -1  # -1: the client chooses, by key


class Outputs:
    """Encodes what a stage's transaction writes.

    `ports` names the topic of each port, `parked` that of records that wait. `extras` may add records of control topics.
    """

    def __init__(
        self,
        registry: Schemas,
        ports: Mapping[str, str],
        quarantine: str,
        *,
        parked: str | None = None,
        extras: Callable[[Work], Iterable[Messages]] | None = None,
    ) -> None:
        self._controls = Controls(registry)
        self._encoders = {port: _Encoder(registry, topic) for port, topic in ports.items()}
        self._quarantine = quarantine
        self._parked = parked
        self._extras = extras

    def __call__(self, work: Work) -> list[Messages]:
        """Everything but the offsets. Errors: Transient, Fatal (the registry refuses a schema)."""
        messages = [
            split
            for portion in work.portions
            for part in portion.outcome.emitted
            for split in self._emitted(work.position.dataset, portion, part)
        ]
        messages.extend(self._quarantined(work))
        messages.extend(self._waiting(work))
        ledger = [self._controls.encode("ledger_entry", asdict(entry)) for entry in work.entries]
        messages.append(Messages(topics.LEDGER, ledger, [work.position.dataset.encode()] * len(ledger)))
        if self._extras is not None:
            messages.extend(self._extras(work))
        return messages

    def _emitted(self, dataset: str, portion: Portion, part: Emitted) -> Iterator[Messages]:
        """The values of one port, each in the partition its input came from."""
        encoder = self._encoders[part.port]
        values = encoder(dataset, portion, part)
        raw = portion.batch.raw
        parents = part.row.to_numpy()
        partition = raw.partition.to_numpy()[parents]
        keyed = raw.keys.count(None) < len(raw.keys)
        for number in np.unique(partition).tolist():
            mine = np.flatnonzero(partition == number).tolist()
            yield Messages(
                encoder.topic,
                values if len(mine) == len(values) else [values[at] for at in mine],
                [raw.keys[at] for at in parents[mine].tolist()] if keyed else None,
                number,
            )

    def _waiting(self, work: Work) -> Iterator[Messages]:
        """Takes the records away that came again, then puts those there that wait: some may go on to."""
        if not work.delivery.again and not work.parking:
            return
        assert self._parked is not None
        found: dict[int, list[tuple[bytes, bytes | None]]] = {}
        for each in work.delivery.again:
            found.setdefault(each.place.partition, []).append((each.message_key, None))
        for each in work.parking:
            record = to_record(work.position.dataset, work.position.version, each)
            value = self._controls.encode("parked", record)
            found.setdefault(each.place.partition, []).append((each.message_key, value))
        for partition, messages in found.items():
            yield Messages(self._parked, [value for _, value in messages], [key for key, _ in messages], partition)

    def _quarantined(self, work: Work) -> Iterator[Messages]:
        now = datetime.now(UTC)
        found: list[tuple[Records, pa.RecordBatch | None, Rejection]] = [
            (work.delivery.records, None, rejection) for rejection in work.undecodable
        ]
        for portion in work.portions:
            found += [(portion.batch.raw, portion.batch.rows, rejection) for rejection in portion.outcome.rejected]
        by_partition: dict[int, list[bytes]] = {}
        for raw, rows, rejection in found:
            record = quarantined(work, raw, rejection, rows, now)
            by_partition.setdefault(record["partition"], []).append(self._controls.encode("quarantined", record))
        for partition, values in by_partition.items():
            yield Messages(self._quarantine, values, partition=partition)


#: A larger value is not copied into quarantine: it stays where it was read, and the record says so. The decoded fields
#: are left out where their JSON is larger. Both together, the value in base64, fit into a message.
_MOST_BYTES: Final = 4 << 20


def quarantined(
    work: Work, raw: Records, rejection: Rejection, rows: pa.RecordBatch | None, now: datetime
) -> dict[str, Any]:
    """The record that sets one input row aside. Fields: `schemas/quarantined.avsc`."""
    at = rejection.row
    value = raw.values[at] or b""
    partition, offset = raw.partition[at].as_py(), raw.offset[at].as_py()
    fields = {name: readable(rows.column(name)[at]) for name in rows.schema.names} if rows is not None else {}
    too_large = len(value) > _MOST_BYTES
    where = f"; its {len(value)} bytes stay in {raw.topic}, partition {partition}, offset {offset}" if too_large else ""
    return {
        "dataset": work.position.dataset,
        "generation": work.position.generation,
        "version": work.position.version,
        "stage": work.position.stage,
        "reason": rejection.reason,
        "detail": rejection.detail + where,
        "rule": rejection.rule,
        "column": rejection.column,
        "topic": raw.topic,
        "partition": partition,
        "offset": offset,
        "raw_offset": offset if raw.topic == topics.raw(work.position.dataset) else fields.get(columns.OFFSET),
        "seq": fields.get(columns.SEQ, 0),
        "schema_id": schema_id_of(raw.values[at]),
        "value": "" if too_large else base64.b64encode(value).decode(),
        "fields": None if too_large or rows is None else _json(fields),
        "source": None,
        "quarantined_at": now,
    }


def _json(fields: dict[str, Any]) -> str | None:
    text = json.dumps(plain(fields), ensure_ascii=False)
    return text if len(text.encode(errors="replace")) <= 2 * _MOST_BYTES else None


def readable(value: pa.Scalar) -> Any:
    """A value as Python has it; one that Python cannot hold (a day after the year 9999) as Arrow writes it."""
    try:
        return value.as_py()
    except (OverflowError, ValueError):
        if isinstance(value, pa.StructScalar):
            return {name: readable(member) for name, member in value.items()}
        if pa.types.is_nested(value.type):
            return [readable(member) for member in cast(Any, value).values]
        return value.cast(pa.string()).as_py()


def plain(value: Any) -> Any:
    """A value as JSON has it: what JSON has no word for (NaN and infinities, too) as text."""
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


class _Encoder:
    """The bytes of one output topic. A schema is registered when the first rows show it."""

    def __init__(self, registry: Schemas, topic: str) -> None:
        self.topic = topic
        self._registry = registry
        self._codecs: dict[pa.Schema, tuple[Codec, int]] = {}
        self._forwarded: dict[int, int] = {}

    def __call__(self, dataset: str, portion: Portion, part: Emitted) -> Sequence[bytes]:
        if part.rows is None:
            return self._forward(portion, part)
        schema = part.rows.schema.remove_metadata()
        if schema not in self._codecs:
            avro = avro_schema(schema, dataset)
            self._codecs[schema] = Codec(avro), self._register(avro)
        codec, schema_id = self._codecs[schema]
        return codec.encode(part.rows, schema_id)

    def _forward(self, portion: Portion, part: Emitted) -> Sequence[bytes]:
        """The input's own bytes, under the id its schema has in this topic's subject."""
        values = portion.batch.raw.values
        chosen = values if len(part.row) == len(values) else [values[at] for at in part.row.to_numpy().tolist()]
        known = portion.batch.schema_id
        if known not in self._forwarded:
            avro = self._registry.schema(known)
            if avro is None:
                raise Transient(f"the registry has forgotten schema {known}, which it knew a moment ago")
            self._forwarded[known] = self._register(avro)
        schema_id = self._forwarded[known]
        if schema_id == known:
            return cast(Sequence[bytes], chosen)
        head = b"\0" + schema_id.to_bytes(4, "big")
        return [head + (value or b"")[5:] for value in chosen]

    def _register(self, avro: str) -> int:
        return self._registry.register(topics.subject(self.topic), avro)

"""Writes what a source gave in one transaction: records, quarantine, ledger entries, and what must stand or fall with them."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from headrace.connector import Fetched, SourceRow
from headrace.errors import Fatal
from headrace.stream import metrics, topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.columns import OP, RAW_FIELDS, SOURCE_TS, TIMESTAMP
from headrace.stream.control import Controls
from headrace.stream.kafka import TransactionalWriter
from headrace.stream.ledger import Position
from headrace.stream.notices import Notices
from headrace.stream.outputs import Messages
from headrace.stream.registry import Schemas
from headrace.stream.service import LiveDataset
from services.ingest.adapters.drift_watch import DriftWatch
from services.ingest.adapters.mending import mending_of
from services.ingest.core import books
from services.ingest.core.mending import mended
from services.ingest.core.partition import by_key, in_slices, key_texts

_KEPT_CHARACTERS: Final = 64 << 10  # of a record over the cap


@dataclass(frozen=True, slots=True)
class Encoded:
    """Source rows ready to be written. Shapes: `keys`, if any, has an entry for each value."""

    values: Sequence[bytes]
    keys: Sequence[bytes] | None
    rejected: Sequence[SourceRow]


class Publisher:
    """Publishes for one dataset through one writer. One thread at a time."""

    def __init__(
        self,
        dataset: LiveDataset,
        registry: Schemas,
        writer: TransactionalWriter,
        instance: str,
        notices: Notices | None = None,
    ) -> None:
        self._dataset = dataset
        self._registry = registry
        self._controls = Controls(registry)
        self._writer = writer
        self._position = Position(dataset.name, dataset.generation, dataset.version, books.STAGE, instance)
        self._codecs: dict[pa.Schema, tuple[Codec, int]] = {}
        self._mending = mending_of(dataset.contract)
        self._watch = DriftWatch(dataset, notices)
        self._turn = 0

    def encoded(self, fetched: Fetched) -> Encoded:
        """The records of rows, with those that `source.drift` lets in; a row whose record is over the cap is set aside.

        Errors: Transient, Fatal (the registry).
        """
        if fetched.rejected and self._mending.drift:
            fetched = mended(fetched, self._mending, ordered=bool(self._dataset.contract.key))
        rows = fetched.rows
        if not rows.num_rows:
            return Encoded([], None, fetched.rejected)
        values, keys = self._values(rows), self.keys(rows)
        cap = self._dataset.contract.source.max_record_bytes
        sizes = [len(value) for value in values]
        if keys is not None:
            sizes = [size + len(key) for size, key in zip(sizes, keys, strict=True)]
        large = [row for row, size in enumerate(sizes) if size > cap]
        if not large:
            return Encoded(values, keys, fetched.rejected)
        oversized = [_oversized(rows, row, sizes[row], cap) for row in large]
        kept = np.setdiff1d(np.arange(len(values)), large)
        return Encoded(
            [values[row] for row in kept],
            [keys[row] for row in kept] if keys is not None else None,
            [*fetched.rejected, *oversized],
        )

    def keys(self, rows: pa.RecordBatch) -> list[bytes] | None:
        """The message keys of rows; None where the dataset has no key, or the rows lack a column of it."""
        key = self._dataset.contract.key
        return key_texts(rows, key) if key and set(key) <= set(rows.schema.names) else None

    def write(self, parts: Sequence[Encoded], extras: Iterable[Messages] = ()) -> None:
        """Write everything in one transaction, or nothing. Errors: Transient (the outcome may be unknown), Fenced, Fatal."""
        started = time.perf_counter()
        name, partitions = self._dataset.name, self._dataset.contract.partitions
        records = list(shares(parts, partitions, self._turn % partitions))
        rejected = [row for part in parts for row in part.rejected]
        aside = self._turn % partitions
        self._turn += 1
        now = datetime.now(UTC)
        written = {share.partition: len(share.values) for share in records}
        sizes = {share.partition: sum(map(len, share.values)) for share in records}
        ledger = books.entries(self._position, written, sizes, {aside: rejected} if rejected else {}, now)
        quarantine = [books.quarantined(self._position, row, aside, now) for row in rejected]
        messages = [
            *(Messages(topics.raw(name), share.values, share.keys, share.partition) for share in records),
            Messages(topics.quarantine(name), self._control("quarantined", quarantine), None, aside),
            Messages(topics.LEDGER, self._control("ledger_entry", map(asdict, ledger)), [name.encode()] * len(ledger)),
            *extras,
        ]
        with self._writer.transaction() as transaction:
            for part in messages:
                transaction.produce(part.topic, part.values, partition=part.partition, keys=part.keys)
        self._count(sum(written.values()), rejected, time.perf_counter() - started)
        self._watch.saw(rejected)

    def _control(self, kind: str, records: Iterable[Mapping[str, Any]]) -> list[bytes]:
        return [self._controls.encode(kind, record) for record in records]

    def _values(self, rows: pa.RecordBatch) -> list[bytes]:
        count = rows.num_rows
        given = dict(zip(rows.schema.names, rows.columns, strict=True))
        own = [field for field in rows.schema if field.name not in (SOURCE_TS, OP)]
        source_ts, op = given.get(SOURCE_TS), given.get(OP)
        columns = [
            *(given[field.name] for field in own),
            pa.nulls(count, TIMESTAMP) if source_ts is None else source_ts,
            pa.repeat(pa.scalar("insert"), count) if op is None else op,
        ]
        schema = pa.schema([*own, *RAW_FIELDS])
        if schema not in self._codecs:
            try:
                avro = avro_schema(schema, self._dataset.name)
            except ValueError as error:
                raise Fatal(f"the source has a column that no record can hold: {error}") from error
            self._codecs[schema] = (
                Codec(avro),
                self._registry.register(topics.subject(topics.raw(self._dataset.name)), avro),
            )
        codec, schema_id = self._codecs[schema]
        return codec.encode(pa.RecordBatch.from_arrays(columns, schema=schema), schema_id)

    def _count(self, written: int, rejected: Sequence[SourceRow], took_s: float) -> None:
        labels = (books.STAGE, self._dataset.name, str(self._dataset.generation))
        metrics.ROWS_IN.labels(*labels).inc(written + len(rejected))
        metrics.ROWS_OUT.labels(*labels).inc(written)
        for row in rejected:
            metrics.ROWS_QUARANTINED.labels(*labels, row.reason).inc()
        metrics.TRANSACTION_SECONDS.labels(*labels).observe(took_s)


@dataclass(frozen=True, slots=True)
class Share:
    """What one partition gets."""

    partition: int
    values: Sequence[bytes]
    keys: Sequence[bytes] | None


def shares(parts: Sequence[Encoded], partitions: int, first: int) -> Iterator[Share]:
    """The records of all parts by partition: by key when there are keys, else in slices that start at partition `first`."""
    values = [value for part in parts for value in part.values]
    if not any(part.keys for part in parts):
        for number, (start, stop) in in_slices(len(values), partitions, first).items():
            yield Share(number, values[start:stop], None)
        return
    keys = [key for part in parts for key in (part.keys if part.keys is not None else [b""] * len(part.values))]
    for number, index in by_key(keys, partitions).items():
        yield Share(number, [values[row] for row in index], [keys[row] for row in index])


def _oversized(rows: pa.RecordBatch, row: int, size: int, cap: int) -> SourceRow:
    text = json.dumps(rows.slice(row, 1).to_pylist()[0], default=str, ensure_ascii=False)[:_KEPT_CHARACTERS]
    detail = (
        f"the record and its key have {size} bytes once encoded, the cap is {cap}; "
        f"at most {_KEPT_CHARACTERS} characters are kept here"
    )
    return SourceRow(text.encode(errors="replace"), "too_large", detail, "")

"""Keeps the datasets that others refer to as tables of the engine, in step with their topics."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contract import reference_table
from headrace.errors import Fatal, Transient
from headrace.stream import columns, topics
from headrace.stream.codec import Codec, conform
from headrace.stream.columns import age_of
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection, Followed, Replay
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, live_datasets
from headrace.stream.stage import Records
from headrace.transform import kept
from headrace.transform.engine import Engine, Step
from headrace.transform.kept import Kept
from headrace.transform.reference import append, create, create_ages, drop, upsert, upsert_by_age
from services.transformer.core.keeping import reason_to_read_anew

log = logging.getLogger(__name__)

_NOTHING: Final = pa.RecordBatch.from_pylist([], schema=pa.schema([pa.field("none", pa.bool_())]))
#: What rows have that may be older than those in front of them.
_LATER: Final = frozenset({columns.ORIGIN_OFFSET, columns.PARKED_AT})


@dataclass(frozen=True, slots=True)
class _Parent:
    """One dataset referred to: `rows` is the shape of its table, `key` what identifies a row of it, if anything does.

    `aged` says that it is known how old each row is, as some were resubmitted, and may be older than what came before them.
    `begun` says that something of it was read before.
    """

    generation: int
    table: str
    rows: pa.Schema
    key: tuple[str, ...]
    replay: Replay
    aged: bool
    begun: bool


class References:
    """Tables of the datasets in `wanted` (name -> the columns needed), each read from the topic of its validated rows.

    Where the engine has a store, a table is read on from where it was left; else, and where `reason_to_read_anew` says why, in
    full, before the first row is looked up. One thread at a time.
    """

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        engine: Engine,
        wanted: Mapping[str, frozenset[str]],
    ) -> None:
        self._connection = connection
        self._registry = registry
        self._decoder = Decoder(registry)
        self._engine = engine
        self._wanted = wanted
        self._live: Followed[LiveDataset] | None = None
        self._prepared = False
        self._parents: dict[str, _Parent] = {}
        self._resubmitted: set[str] = set()  # the datasets some of whose rows are older than what came before them
        self.changes = 0  # how many records were read in all: the tables are as they were while it is

    def refresh(self) -> None:
        """Bring every table up to the present end of its topic.

        Errors: Transient when a dataset is not there yet or cannot be read; Fatal when it lacks a column.
        """
        if not self._wanted:
            return
        if not self._prepared:
            self._prepare()
        if self._live is None:
            self._live = live_datasets(self._connection, self._registry)
        self._live.refresh()
        for name, wanted in self._wanted.items():
            live = self._live.state.get(name)
            if live is None:
                raise Transient(
                    f"{name} is referred to, but no such dataset is live: apply it, and the rows that wait go on"
                )
            if name in self._parents and self._parents[name].generation != live.generation:
                self._forget(name)
            opened = name not in self._parents
            if opened:
                self._parents[name] = self._open(live, wanted)
            try:
                records_read = self._advance(name, self._parents[name])
                if (
                    opened and not records_read and not self._parents[name].begun
                ):  # every row that refers to it would be wrong
                    raise Transient(_unpublished(name))
            except BaseException:
                self._forget(name)  # what was read may not be in the table: read on from what is
                raise

    def close(self) -> None:
        """Stop reading."""
        if self._live is not None:
            self._live.close()
        for name in list(self._parents):
            self._forget(name)

    def _prepare(self) -> None:
        kept.prepare(self._engine)
        for name in kept.found(self._engine).keys() - self._wanted.keys():
            self._engine.load((drop(reference_table(name)), _NOTHING), *kept.forgotten(name))
        self._prepared = True

    def _open(self, live: LiveDataset, wanted: frozenset[str]) -> _Parent:
        rows, key = self._shape(live, wanted)
        topic = topics.validated(live.name, live.generation)
        described = kafka_topics.topic_id(self._connection, topic)
        as_wanted = Kept(
            live.generation, described, _described(rows, key), bool(key) and live.name in self._resubmitted
        )
        replay = Replay(self._connection, topic)
        try:
            aged, begun = self._begin(live.name, as_wanted, rows, key, replay)
        except BaseException:
            replay.close()
            raise
        return _Parent(live.generation, reference_table(live.name), rows, key, replay, aged, begun)

    def _begin(
        self, name: str, wanted: Kept, rows: pa.Schema, key: tuple[str, ...], replay: Replay
    ) -> tuple[bool, bool]:
        """Have the table, as it was kept or empty, and read on from there: whether it is aged, and begun."""
        found = kept.found(self._engine).get(name)
        if found is not None:
            marks = replay.watermarks()
            why = reason_to_read_anew(found, wanted, marks)
            if why is None:
                replay.seek({part: found.offsets.get(part, first) for part, (first, _) in marks.items()})
                log.info("reference data of %s is read on from %s", name, dict(sorted(found.offsets.items())))
                return found.kept.aged, bool(found.offsets)
            log.warning("reference data of %s is read anew: %s", name, why)
        table = reference_table(name)
        statements = [drop(table), create(table), *([create_ages(table, key)] if wanted.aged else [])]
        nothing = pa.RecordBatch.from_pylist([], schema=rows)
        self._engine.load(("; ".join(statements), nothing), *kept.begun(name, wanted))
        return wanted.aged, False

    def _shape(self, live: LiveDataset, wanted: frozenset[str]) -> tuple[pa.Schema, tuple[str, ...]]:
        """The columns that the table has, and those of them that identify a row, if any do. Errors: Fatal, Transient."""
        published = self._published(live)
        names = {name.lower() for name in wanted}
        key = tuple(live.contract.key) if live.contract.load.mode == "upsert" else ()
        shape = [field for field in published if field.name.lower() in names or field.name in key]
        if not shape:
            has = ", ".join(columns.user_columns(published))
            raise Fatal(f"{', '.join(sorted(wanted))}: no such column in {live.name}, which has {has}")
        return pa.schema(shape), key

    def _published(self, live: LiveDataset) -> pa.Schema:
        """The schema of the rows that can be referred to: validated rows have that of transformed ones, which is there first."""
        for topic in (topics.validated(live.name, live.generation), topics.transformed(live.name, live.generation)):
            latest = self._registry.latest(topics.subject(topic))
            if latest is not None:
                return Codec(latest[1]).arrow_schema
        raise Transient(_unpublished(live.name))

    def _advance(self, name: str, parent: _Parent) -> int:
        """Bring a table up to date. Returns how many records that took."""
        records_read = 0
        for records in parent.replay.advance():
            steps = self._steps(name, parent, records)
            self._engine.load(*steps, kept.read_to(name, _offsets(records)))
            records_read += len(records)
            self.changes += len(records)
        return records_read

    def _steps(self, name: str, parent: _Parent, records: Records) -> list[Step]:
        """What records make of the table. Errors: Transient when it is to be read again."""
        names = parent.rows.names
        by_key = upsert_by_age if parent.aged else upsert
        statements = by_key(parent.table, names, parent.key) if parent.key else append(parent.table, names)
        batches, _ = self._decoder(records)  # what cannot be read is quarantined by the loader of that dataset
        steps: list[Step] = []
        for batch in batches:
            try:
                rows = conform(batch.rows, parent.rows)
            except ValueError as error:
                raise Transient(f"{parent.table} has a new shape and is read again: {error}") from error
            if parent.key and not parent.aged and _LATER.intersection(batch.rows.schema.names):
                self._resubmitted.add(name)
                raise Transient(
                    f"{name} has rows that were resubmitted or had waited: it is read again, with how old each is"
                )
            steps.append((statements, _changes(parent.rows, rows, batch.rows)))
        return steps

    def _forget(self, name: str) -> None:
        parent = self._parents.pop(name, None)
        if parent is not None:
            parent.replay.close()


def _changes(shape: pa.Schema, rows: pa.RecordBatch, published: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of this shape, with what the statements need to know of them."""
    deleted = pc.equal(published.column(columns.OP), pa.scalar("delete"))
    place = pa.array(np.arange(len(rows)), pa.int64())
    added: dict[str, pa.Array] = {"__at": place, "__deleted": deleted, "__age": age_of(published)}
    schema = pa.schema([*shape, *(pa.field(name, each.type) for name, each in added.items())])
    return pa.RecordBatch.from_arrays([*rows.columns, *added.values()], schema=schema)


def _offsets(records: Records) -> dict[int, int]:
    """The next offset to read of each partition."""
    part, offset = records.partition.to_numpy(), records.offset.to_numpy()
    return {int(each): int(offset[part == each].max()) + 1 for each in np.unique(part)}


def _described(rows: pa.Schema, key: tuple[str, ...]) -> str:
    """What two tables have in common that hold the same rows of a topic."""
    return json.dumps({"columns": [[field.name, str(field.type)] for field in rows], "key": key})


def _unpublished(dataset: str) -> str:
    return f"{dataset} is referred to, but no row of it has been published yet: load it first"

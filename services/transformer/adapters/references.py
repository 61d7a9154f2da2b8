"""Keeps the datasets that others refer to as tables of the engine, in step with their topics."""

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
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, live_datasets
from headrace.transform.engine import Engine
from headrace.transform.reference import append, create, create_ages, upsert, upsert_by_age

#: What rows have that may be older than those in front of them.
_LATER: Final = frozenset({columns.ORIGIN_OFFSET, columns.PARKED_AT})


@dataclass(frozen=True, slots=True)
class _Parent:
    """One dataset referred to: `rows` is the shape of its table, `key` what identifies a row of it, if anything does.

    `aged` says that it is known how old each row is, as some were resubmitted, and may be older than what came before them.
    """

    generation: int
    table: str
    rows: pa.Schema
    key: tuple[str, ...]
    replay: Replay
    aged: bool = False


class References:
    """Tables of the datasets in `wanted` (name -> the columns needed), each read from the topic of its validated rows.

    Nothing is stored: after a restart the tables are read again in full before the first row is looked up. One
    thread at a time.
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
        self._parents: dict[str, _Parent] = {}
        self._resubmitted: set[str] = set()  # the datasets some of whose rows are older than what came before them
        self.changes = 0  # how many records were read in all: the tables are as they were while it is

    def refresh(self) -> None:
        """Bring every table up to the present end of its topic.

        Errors: Transient when a dataset is not there yet or cannot be read; Fatal when it lacks a column.
        """
        if not self._wanted:
            return
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
                if opened and not records_read:  # every row that refers to it would be wrong
                    raise Transient(_unpublished(name))
            except BaseException:
                self._forget(name)  # the table may lag behind what was read: begin again
                raise

    def close(self) -> None:
        """Stop reading."""
        if self._live is not None:
            self._live.close()
        for name in list(self._parents):
            self._forget(name)

    def _open(self, live: LiveDataset, wanted: frozenset[str]) -> _Parent:
        published = self._published(live)
        names = {name.lower() for name in wanted}
        key = tuple(live.contract.key) if live.contract.load.mode == "upsert" else ()
        kept = [field for field in published if field.name.lower() in names or field.name in key]
        if not kept:
            has = ", ".join(columns.user_columns(published))
            raise Fatal(f"{', '.join(sorted(wanted))}: no such column in {live.name}, which has {has}")
        table, rows = reference_table(live.name), pa.schema(kept)
        aged = bool(key) and live.name in self._resubmitted
        statements = f"{create(table)}; {create_ages(table, key)}" if aged else create(table)
        self._engine.load(statements, pa.RecordBatch.from_pylist([], schema=rows))
        topic = topics.validated(live.name, live.generation)
        return _Parent(live.generation, table, rows, key, Replay(self._connection, topic), aged)

    def _published(self, live: LiveDataset) -> pa.Schema:
        """The schema of the rows that can be referred to: validated rows have that of transformed ones, which is there first."""
        for topic in (topics.validated(live.name, live.generation), topics.transformed(live.name, live.generation)):
            latest = self._registry.latest(topics.subject(topic))
            if latest is not None:
                return Codec(latest[1]).arrow_schema
        raise Transient(_unpublished(live.name))

    def _advance(self, name: str, parent: _Parent) -> int:
        """Bring a table up to date. Returns how many records that took."""
        names = parent.rows.names
        by_key = upsert_by_age if parent.aged else upsert
        statements = by_key(parent.table, names, parent.key) if parent.key else append(parent.table, names)
        records_read = 0
        for records in parent.replay.advance():
            records_read += len(records)
            self.changes += len(records)
            batches, _ = self._decoder(records)  # what cannot be read is quarantined by the loader of that dataset
            for batch in batches:
                try:
                    rows = conform(batch.rows, parent.rows)
                except ValueError as error:
                    raise Transient(f"{parent.table} has a new shape and is read again: {error}") from error
                deleted = pc.equal(batch.rows.column(columns.OP), pa.scalar("delete"))
                place = pa.array(np.arange(len(rows)), pa.int64())
                if parent.key and not parent.aged and _LATER.intersection(batch.rows.schema.names):
                    self._resubmitted.add(name)
                    raise Transient(
                        f"{name} has rows that were resubmitted or had waited: it is read again, with how old each is"
                    )
                added: dict[str, pa.Array] = {"__at": place, "__deleted": deleted, "__age": age_of(batch.rows)}
                schema = pa.schema([*parent.rows, *(pa.field(key, each.type) for key, each in added.items())])
                changes = pa.RecordBatch.from_arrays([*rows.columns, *added.values()], schema=schema)
                self._engine.load(statements, changes)
        return records_read

    def _forget(self, name: str) -> None:
        parent = self._parents.pop(name, None)
        if parent is not None:
            parent.replay.close()


def _unpublished(dataset: str) -> str:
    return f"{dataset} is referred to, but no row of it has been published yet: load it first"

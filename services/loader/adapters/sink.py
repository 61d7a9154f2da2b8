"""The exactly-once sink: rows into the warehouse first, then their offsets, ledger and quarantine into Kafka.

Kafka's transaction does not reach the warehouse, so the sink finds out what stands there whenever it cannot know:
at its first insert into a partition after an assignment, and after any failure.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from headrace.stream.pump import Delivery, Sink, Work
from headrace.stream.stage import MAIN, Records
from services.loader.adapters.warehouse import Warehouse
from services.loader.core.fencing import Fence, FenceMovedError, outranked, remaining, successors
from services.loader.core.table import LOAD_PARTITION, Table


class WarehouseSink:
    """A `Sink` that loads the rows of the main port and gives everything else to `inner`.

    `owner` must be unique to this sink, also among those before and after it. A claim lasts as long as the
    delivery's epoch: a new assignment or a rewind ends it.
    """

    def __init__(self, inner: Sink, warehouse: Warehouse, table: Table, owner: str) -> None:
        self._inner = inner
        self._warehouse = warehouse
        self._table = table
        self._owner = owner
        self._epoch: int | None = None
        self._fences: dict[int, Fence] = {}
        self._loaded: dict[int, pa.Int64Array] = {}
        self._prepared: pa.Schema | None = None

    def commit(self, work: Work) -> None:
        """See `headrace.stream.pump.Sink.commit`. Errors: Transient, also when another loader has claimed a partition."""
        if work.delivery.epoch != self._epoch:
            self._forget()
            self._epoch = work.delivery.epoch
        try:
            for rows in _rows(work):
                self._load(rows, work.delivery)
            self._inner.commit(_without_rows(work))
        except BaseException:
            self._forget()
            raise

    def close(self) -> None:
        """See `headrace.stream.pump.Sink.close`."""
        self._warehouse.close()
        self._inner.close()

    def _load(self, rows: pa.Table, delivery: Delivery) -> None:
        if self._prepared is None or not rows.schema.equals(self._prepared):
            self._warehouse.prepare(self._table, rows.schema)
            self._prepared = rows.schema
        partitions: list[int] = pc.unique(rows.column(LOAD_PARTITION)).to_numpy().tolist()
        if unclaimed := [number for number in partitions if number not in self._fences]:
            self._claim(unclaimed, delivery.records)
        rows = remaining(rows, {number: self._loaded[number] for number in partitions})
        if rows.num_rows:
            self._warehouse.insert(self._table, rows, {number: self._fences[number] for number in partitions})

    def _claim(self, partitions: list[int], records: Records) -> None:
        """Become the only writer of these partitions, and learn what earlier writers left beyond the committed offsets."""
        fences = successors(self._warehouse.newest(self._table, partitions), partitions, self._owner)
        self._warehouse.fence(self._table, fences)
        self._warehouse.stop(self._table, partitions)
        if lost := outranked(fences, self._warehouse.newest(self._table, partitions)):
            raise FenceMovedError(f"another loader claimed partitions {lost} of {self._table.id} at the same time")
        loaded = self._warehouse.loaded(self._table, {number: _base(records, number) for number in partitions})
        self._loaded.update({number: loaded.get(number, pa.array([], pa.int64())) for number in partitions})
        self._fences.update(fences)

    def _forget(self) -> None:
        self._fences.clear()
        self._loaded.clear()


def _base(records: Records, partition: int) -> int:
    """The first offset delivered of a partition: the committed one, since a claim is made at an epoch's first delivery of it."""
    return int(records.offset[pc.index(records.partition, partition).as_py()].as_py())


def _rows(work: Work) -> Iterator[pa.Table]:
    """The rows to load, in order; a table for each run of batches with one schema."""
    batches = [
        part.rows
        for portion in work.portions
        for part in portion.outcome.emitted
        if part.port == MAIN and part.rows is not None and part.rows.num_rows
    ]
    for _, run in groupby(batches, lambda batch: batch.schema.to_string(show_field_metadata=False)):
        yield pa.Table.from_batches(list(run))


def _without_rows(work: Work) -> Work:
    """The work less what the warehouse has taken."""
    portions = tuple(
        replace(
            portion,
            outcome=replace(
                portion.outcome, emitted=tuple(part for part in portion.outcome.emitted if part.port != MAIN)
            ),
        )
        for portion in work.portions
    )
    return replace(work, portions=portions)

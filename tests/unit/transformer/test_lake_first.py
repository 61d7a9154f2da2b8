"""A generation that begins in the lake has every row once and in order, whatever is landed, deleted or killed meanwhile."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import Fatal, Transient
from headrace.stream import columns, topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.decode import Decoder
from headrace.stream.ledger import Position
from headrace.stream.memory import MemoryLog, MemorySchemas, MemorySink, MemorySource
from headrace.stream.outputs import Outputs
from headrace.stream.pump import Delivery, Pump
from headrace.stream.stage import MAIN, Batch, Emitted, Outcome, Records
from services.transformer.adapters import lake_first
from services.transformer.adapters.lake_first import LakeFirst
from services.transformer.core.stretches import Seam, Stretch, left

ORDERS = "shop.orders"
RAW, STAGED, MADE = topics.raw(ORDERS), topics.staged(ORDERS), topics.transformed(ORDERS, 2)
OWN: tuple[pa.Field, ...] = (pa.field("n", pa.int64()),)
SCHEMA = pa.schema([*OWN, *columns.STAGED_FIELDS])
PARTITIONS = (0, 1)
GROUP = "g"


class Pass:
    """A stage that lets everything pass."""

    name = "transformer"

    def __call__(self, batch: Batch) -> Outcome:
        return Outcome((Emitted(pa.array(range(len(batch.raw)), pa.int64()), batch.rows),))


class StagedInMemory(MemorySource):
    """The staged topic, whose first records may be deleted; what is assigned anew is placed as Kafka's source does it."""

    def __init__(self, log: MemoryLog, lows: Mapping[int, int]) -> None:
        self._first: Callable[[list[int]], Mapping[int, int]] = lambda _: {}
        self._lows, self._memory = lows, log
        self._assigned = False
        super().__init__(log, STAGED, GROUP)

    def begin_at(self, first: Callable[[list[int]], Mapping[int, int]]) -> None:
        self._first = first

    def committed(self, topic: str, partitions: list[int]) -> Mapping[int, int]:
        found = {at: self._memory.committed.get((GROUP, topic, at)) for at in partitions}
        return {at: offset for at, offset in found.items() if offset is not None}

    def rewind(self) -> None:
        super().rewind()
        known = self.committed(STAGED, list(PARTITIONS))
        self._next = {**known, **self._first([at for at in PARTITIONS if at not in known])}

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        if not self._assigned:
            self._assigned = True
            self.rewind()
            return None
        if not self._resting and any(self._next.get(at, 0) < low for at, low in self._lows.items()):
            raise Fatal("the next records were deleted")
        return super().poll(max_rows, timeout_s)


@dataclass
class Landings:
    reached: Mapping[int, int]
    each: Iterator[pa.Table]


@dataclass
class World:
    """A dataset whose raw records take every second offset; the pump can be killed."""

    log: MemoryLog = field(default_factory=MemoryLog)
    schemas: MemorySchemas = field(default_factory=MemorySchemas)
    lows: dict[int, int] = field(default_factory=lambda: dict.fromkeys(PARTITIONS, 0))
    sent: dict[int, int] = field(default_factory=lambda: dict.fromkeys(PARTITIONS, 0))  # raw offsets
    landed: list[dict[int, range]] = field(default_factory=list)
    lake: bool = True

    def __post_init__(self) -> None:
        self.avro = avro_schema(SCHEMA, ORDERS)
        self.schema_id = self.schemas.register(topics.subject(STAGED), self.avro)
        self.restart()

    def restart(self) -> None:
        self.sink = MemorySink(self.log, Outputs(self.schemas, {MAIN: MADE}, topics.quarantine(ORDERS)))
        source = StagedInMemory(self.log, self.lows)
        around = LakeFirst(source, RAW, self.seams, lambda: self) if self.lake else source
        self.pump = Pump(
            Position(ORDERS, 2, 2, "transformer", "0"), around, Decoder(self.schemas), Pass(), self.sink, max_rows=3
        )

    def row(self, partition: int, offset: int) -> dict[str, Any]:
        return {
            "n": offset,
            columns.PARTITION: partition,
            columns.OFFSET: offset,
            columns.SEQ: 0,
            columns.INGESTED_AT: 0,
            columns.OP: "insert",
            columns.VERSION: 1,
        }

    def encoded(self, rows: list[dict[str, Any]]) -> list[bytes]:
        return list(Codec(self.avro).encode(pa.RecordBatch.from_pylist(rows, schema=SCHEMA), self.schema_id))

    def send(self, partition: int, count: int) -> None:
        for _ in range(count):
            [value] = self.encoded([self.row(partition, self.sent[partition])])
            self.log.append(STAGED, value, partition=partition)
            self.sent[partition] += 2

    def reached(self) -> dict[int, int]:
        return {at: max((each[at].stop for each in self.landed if at in each), default=0) for at in PARTITIONS}

    def land(self, most: int) -> None:
        reached = self.reached()
        more = {at: range(reached[at], min(self.sent[at], reached[at] + 2 * most), 2) for at in PARTITIONS}
        self.landed.append({at: offsets for at, offsets in more.items() if offsets})

    def delete(self, partition: int, count: int) -> None:
        """Only before something staged is committed: what is overtaken behind that stops, with or without a lake."""
        self.settle()
        if (GROUP, STAGED, partition) not in self.log.committed:
            self.lows[partition] = min(self.lows[partition] + count, len(self.log.topics[STAGED][partition]))

    def seams(self, partitions: list[int]) -> dict[int, Seam]:
        found = {}
        for at in partitions:
            low = self.lows[at]
            gone = low == len(self.log.topics[STAGED][at])
            found[at] = Seam(self.sent[at] if gone else 2 * low, low)
        return found

    def landings(self, wanted: Mapping[int, Stretch]) -> Landings:
        def tables() -> Iterator[pa.Table]:
            for each in list(self.landed):
                rows = [
                    self.row(at, offset)
                    for at, offsets in each.items()
                    for offset in offsets
                    if at in wanted and wanted[at].next <= offset < wanted[at].until
                ]
                yield pa.Table.from_pylist(rows, schema=SCHEMA)

        return Landings(self.reached(), tables())

    def records(self, rows: pa.Table) -> Records:
        count = rows.num_rows
        places: list[Any] = [rows.column(name).combine_chunks() for name in (columns.PARTITION, columns.OFFSET)]
        values = self.encoded(rows.to_pylist())
        return Records(RAW, places[0], places[1], pa.array([0] * count, pa.int64()), [None] * count, values)

    def settle(self) -> None:
        try:
            self.pump.settle()
        except Transient:
            self.pump.rewind()

    def step(self) -> None:
        try:
            self.pump.step(0)
        except Transient:
            self.pump.rewind()

    def rest(self) -> None:
        for _ in range(80):
            self.step()

    def made(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {at: [] for at in PARTITIONS}
        for at in PARTITIONS:
            values = [message.value or b"" for message in self.log.topics[MADE][at]]
            found[at] = Codec(self.avro).decode(values).rows.column("n").to_pylist() if values else []  # type: ignore[assignment]
        return found

    def whole(self) -> dict[int, list[int]]:
        return {at: list(range(0, self.sent[at], 2)) for at in PARTITIONS}


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_first, "_LOOK_S", 0.0)


numbers = st.sampled_from(PARTITIONS)
acts = st.lists(
    st.one_of(
        st.tuples(st.just("send"), numbers, st.integers(1, 9)),
        st.tuples(st.just("land"), st.integers(1, 9)),
        st.tuples(st.just("delete"), numbers, st.integers(1, 9)),
        st.tuples(st.just("step")),
        st.tuples(st.sampled_from(["fail before", "fail after"])),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(acts)
def test_every_row_comes_once_and_in_order(plan: list[tuple[Any, ...]]) -> None:
    world = World()
    for act, *about in plan:
        match act:
            case "send":
                world.send(*about)
            case "land":
                world.land(*about)
            case "delete":
                world.delete(*about)
            case "step":
                world.step()
            case "fail before":
                world.sink.fail_before.append(Transient("no"))
            case "fail after":
                world.sink.fail_after.append(Transient("who knows"))
            case "restart":
                with suppress(Transient):
                    world.pump.settle()
                world.restart()
    world.land(1000)
    world.rest()
    assert world.made() == world.whole()


def test_the_topic_alone_lacks_rows() -> None:
    """The control: without the lake the first ones are missed."""
    world = World(lake=False)
    world.send(0, 9)
    world.land(1000)
    world.lows[0] = 4
    with pytest.raises(Fatal):
        world.rest()
    world = World()
    world.send(0, 9)
    world.land(1000)
    world.lows[0] = 4
    world.restart()
    world.rest()
    assert world.made() == world.whole()


def test_what_is_not_landed_yet_is_waited_for() -> None:
    world = World()
    world.send(0, 9)
    world.land(2)
    world.lows[0] = 4
    world.restart()
    world.rest()
    assert world.made()[0] == [0, 2]
    world.land(2)
    world.rest()
    assert world.made() == world.whole()


def test_what_is_deleted_behind_a_committed_position_stops_also_while_another_partition_has_nothing() -> None:
    world = World()
    world.send(0, 9)
    world.step()
    world.step()
    world.settle()
    assert (GROUP, STAGED, 0) in world.log.committed
    assert (GROUP, STAGED, 1) not in world.log.committed
    world.lows[0] = 8
    with pytest.raises(Fatal):
        world.rest()


@pytest.mark.parametrize(
    ("committed", "passed", "expected"),
    [
        (0, None, Stretch(0, 10)),
        (4, None, Stretch(4, 10)),
        (10, None, None),
        (9, Stretch(9, 10), None),  # somebody has looked: there is nothing between 9 and 10
        (7, Stretch(7, 8), Stretch(8, 10)),
        (7, Stretch(9, 10), Stretch(7, 10)),  # what was delivered does not stand
    ],
)
def test_what_is_left_in_front_of_the_seam(committed: int, passed: Stretch | None, expected: Stretch | None) -> None:
    assert left(committed, Seam(10, 3), passed) == expected

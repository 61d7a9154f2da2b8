"""Rows that wait for their parents, some of them held or skipped: each has one fate, and they come again in order."""

from collections.abc import Collection, Set
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import Held, Transient
from headrace.stream import columns, pump, topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.control import Controls
from headrace.stream.decode import Decoder
from headrace.stream.ledger import Position, add_hashes
from headrace.stream.memory import MemoryLog, MemorySchemas, MemorySink, MemorySource
from headrace.stream.outputs import Outputs
from headrace.stream.overrides import SKIPPED, Decisions, Override
from headrace.stream.parking import LATE, Place, Waiting, of_record
from headrace.stream.pump import Pump
from headrace.stream.stage import MAIN, Batch, Emitted, Outcome, Parked, Rejection, Stage
from headrace.transform.skipping import Skipping
from services.transformer.adapters.waiting import WaitingSource
from services.transformer.core.waitlist import Waitlist

CHILDREN = "shop.items"
AT = datetime(2026, 1, 2, tzinfo=UTC)
WAIT_S = 60
OWN: tuple[pa.Field, ...] = (pa.field("n", pa.int64()), pa.field("parent", pa.int64()))
SCHEMA = pa.schema([*OWN, *columns.STAGED_FIELDS])


class Family:
    """A stage whose rows wait for their parent, and some of them for a decision then."""

    name = "transformer"

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.undecided: set[int] = set()

    def __call__(self, batch: Batch) -> Outcome:
        parents = batch.rows.column("parent").to_pylist()
        parked = [
            Parked(at, "in_stock", "parent", "shop.goods", "id", str(parent), "unknown", WAIT_S)
            for at, parent in enumerate(parents)
            if parent not in self.known
        ]
        kept = pa.array([at for at, parent in enumerate(parents) if parent in self.known], pa.int64())
        for at in kept.to_numpy().tolist():
            if batch.rows.column("n")[at].as_py() in self.undecided:
                return Outcome((), held=Rejection(at, "check_between", "too much", "huge", "n"))
        return Outcome((Emitted(kept, batch.rows.take(kept)),), parked=parked)


class World:
    """Staged rows of two partitions in memory, and a pump over them that can be killed."""

    def __init__(self, reads_back: bool = True, most_rows: int = 1000) -> None:
        self.log, self.schemas, self.stage = MemoryLog(), MemorySchemas(), Family()
        self.avro = avro_schema(SCHEMA, CHILDREN)
        self.schema_id = self.schemas.register(topics.subject(topics.staged(CHILDREN)), self.avro)
        self.reads_back, self.most_rows = reads_back, most_rows
        self.skips: list[Override] = []
        self.now_s, self.sent = 1000.0, 0
        self.restart()

    def restart(self) -> None:
        outputs = Outputs(
            self.schemas,
            {MAIN: topics.transformed(CHILDREN, 1)},
            topics.quarantine(CHILDREN),
            parked=topics.parked(CHILDREN, 1),
        )
        self.sink = MemorySink(self.log, outputs)
        source = MemorySource(self.log, topics.staged(CHILDREN), "g")
        clock = lambda: int(self.now_s * 1000)  # noqa: E731
        self.source = WaitingSource(source, self._parked, self._arrived, clock, self.most_rows)
        self.pump = Pump(
            Position(CHILDREN, 1, 1, "transformer", "0"),
            self.source,
            Decoder(self.schemas),
            self.shown_to(),
            self.sink,
            max_rows=4,
            on_work=self.source.note,
            clock=lambda: self.now_s,
        )

    def shown_to(self) -> Stage:
        """What rows are put to."""
        return Skipping(self.stage, Decisions(tuple(self.skips)))

    def send(self, parents: list[int], partition: int = 0) -> None:
        for parent in parents:
            offset = len(self.log.topics[topics.staged(CHILDREN)][partition])
            row: dict[str, Any] = {
                "n": self.sent,
                "parent": parent,
                columns.PARTITION: partition,
                columns.OFFSET: offset * 2,  # not that of the staged topic
                columns.SEQ: 0,
                columns.INGESTED_AT: 0,
                columns.OP: "insert",
                columns.VERSION: 1,
            }
            [value] = Codec(self.avro).encode(pa.RecordBatch.from_pylist([row], schema=SCHEMA), self.schema_id)
            self.log.append(topics.staged(CHILDREN), value, partition=partition)
            self.sent += 1

    def step(self) -> None:
        try:
            self.pump.step(0)
        except Transient:
            self.pump.rewind()
        except Held:
            self.restart()

    def rest(self) -> None:
        """Until nothing moves any more."""
        for _ in range(40):
            self.step()

    def parked(self) -> list[Waiting]:
        return self._parked({0, 1}, always=True)

    def _parked(self, partitions: Set[int], always: bool = False) -> list[Waiting]:
        if not (self.reads_back or always):
            return []
        found = {
            message.key: message.value
            for partition, messages in self.log.topics[topics.parked(CHILDREN, 1)].items()
            for message in messages
            if partition in partitions
        }
        return [of_record(Controls(self.schemas).decode(value)) for value in found.values() if value is not None]

    def _arrived(self, waiting: Collection[Waiting], anew: bool) -> Set[Place]:
        del anew
        return {row.place for row in waiting if int(row.wanted) in self.stage.known}

    def emitted(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for value in self.log.values(topics.transformed(CHILDREN, 1)):
            assert value is not None
            avro = self.schemas.schema(int.from_bytes(value[1:5], "big"))
            assert avro is not None
            rows += Codec(avro).decode([value]).rows.to_pylist()
        return rows

    def rejected(self) -> list[dict[str, Any]]:
        controls = Controls(self.schemas)
        return [controls.decode(value) for value in self.log.values(topics.quarantine(CHILDREN)) if value is not None]

    def places(self) -> list[tuple[int, int]]:
        return [(row[columns.PARTITION], row[columns.OFFSET]) for row in self.emitted()]

    def entries(self) -> list[dict[str, Any]]:
        controls = Controls(self.schemas)
        return [controls.decode(value or b"") for value in self.log.values(topics.LEDGER)]

    def skipped(self) -> int:
        return sum(entry["filtered"].get(SKIPPED, 0) for entry in self.entries())

    def books(self) -> dict[str, int]:
        """What the ledger says in all; the identities of the rows that came and went are the same."""
        entries = self.entries()
        given = add_hashes(*(entry[f"{side}_hash"] for entry in entries for side in ("in", "released")))
        fates = ("emitted", "filtered", "quarantined", "parked")
        assert given == add_hashes(*(entry[f"{fate}_hash"] for entry in entries for fate in fates))
        total = dict.fromkeys(("rows_in", "emitted", "quarantined", "parked", "released"), 0)
        for entry in entries:
            for name in total:
                total[name] += entry[name] if isinstance(entry[name], int) else sum(entry[name].values())
        return total


acts = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.lists(st.integers(1, 4), min_size=1, max_size=9), st.integers(0, 1)),
        st.tuples(st.just("parent"), st.integers(1, 4)),
        st.tuples(st.just("parent goes"), st.integers(1, 4)),
        st.tuples(st.just("hold"), st.integers(0, 40)),
        st.tuples(st.just("decide"), st.integers(0, 40)),
        st.tuples(st.just("skip"), st.integers(0, 1), st.integers(0, 30), st.integers(0, 4)),
        st.tuples(st.just("pass"), st.sampled_from([1, 30, WAIT_S + 1])),
        st.tuples(st.just("step")),
        st.tuples(st.sampled_from(["fail before", "fail after"])),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=100)
@given(acts)
def test_every_row_has_one_fate_whatever_is_decided_in_between(plan: list[tuple[Any, ...]]) -> None:
    world = World()
    for act, *about in plan:
        match act:
            case "send":
                world.send(*about)
            case "parent":
                world.stage.known.add(about[0])
            case "parent goes":
                world.stage.known.discard(about[0])
            case "hold":
                world.stage.undecided.add(about[0])
            case "decide":
                world.stage.undecided.discard(about[0])
            case "skip":
                partition, first, more = about
                world.skips.append(Override(CHILDREN, "skip", AT, "ada", "a test", partition, first, first + more))
                world.restart()
            case "pass":
                world.now_s += about[0]
            case "step":
                world.step()
            case "fail before":
                world.sink.fail_before.append(Transient("down"))
            case "fail after":
                world.sink.fail_after.append(Transient("no answer"))
            case "restart":
                world.restart()
    for settled in (False, True):
        if settled:
            world.stage.undecided.clear()
            world.restart()
        world.rest()
        world.restart()  # what was under way has ended
        check(world, whole=settled)
    world.now_s += WAIT_S + 1
    world.rest()
    assert not world.parked()
    assert len(world.emitted()) + len(world.rejected()) + world.skipped() == world.sent


def check(world: World, *, whole: bool) -> None:
    """Every row that was taken has one fate, and the books agree, also about which rows those are."""
    waiting = [(row.place.partition, row.place.offset) for row in world.parked()]
    rejected = [(row["partition"], row["raw_offset"]) for row in world.rejected()]
    every = [*waiting, *world.places(), *rejected]
    assert len(set(every)) == len(every)
    books = world.books()
    committed = sum(world.log.committed.get(("g", topics.staged(CHILDREN), number), 0) for number in (0, 1))
    assert books["rows_in"] == committed == len(every) + world.skipped()
    assert (books["emitted"], books["quarantined"]) == (len(world.places()), len(rejected))
    assert books["parked"] - books["released"] == len(waiting)
    assert books["rows_in"] == world.sent or not whole


def test_where_the_offsets_are_not_cut_with_the_rows_those_behind_a_held_row_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative control of the law."""
    cut = pump.before

    def rows_alone(delivery: pump.Delivery, partition: int, offset: int) -> pump.Delivery:
        return replace(cut(delivery, partition, offset), next_offsets=delivery.next_offsets)

    monkeypatch.setattr(pump, "before", rows_alone)
    world = World()
    world.stage.known.add(1)
    world.stage.undecided.add(1)
    world.send([1, 1, 1])
    world.step()
    world.stage.undecided.clear()
    world.rest()
    assert [row["n"] for row in world.emitted()] == [0]


def test_rows_are_released_in_order_and_before_those_that_are_new() -> None:
    world = World()
    world.send([1, 2, 1, 2, 1])
    world.rest()
    assert [row.place.offset for row in world.parked()] == [0, 2, 4, 6, 8]
    world.stage.known.add(1)
    world.send([1])
    world.step()
    world.pump.settle()
    found = world.emitted()
    assert [row["n"] for row in found] == [0, 2, 4, 5]
    assert [row.get(columns.PARKED_AT) is not None for row in found] == [True, True, True, False]
    assert [row.wanted for row in world.parked()] == ["2", "2"]


def test_a_row_whose_time_is_up_is_set_aside_with_the_reason() -> None:
    world = World()
    world.send([1, 2])
    world.rest()
    world.now_s += WAIT_S - 1
    world.rest()
    assert not world.rejected()
    world.stage.known.add(2)
    world.now_s += 1
    world.rest()
    [late] = world.rejected()
    assert (late["reason"], late["rule"], late["column"], late["raw_offset"]) == (LATE, "in_stock", "parent", 0)
    assert late["detail"] == "unknown; it waited since 1970-01-01T00:16:40+00:00"
    assert [row["n"] for row in world.emitted()] == [1]
    assert not world.parked()


def test_a_row_that_had_waited_can_be_held_and_nothing_passes_it_meanwhile() -> None:
    world = World()
    world.send([1, 2, 1])
    world.rest()
    world.stage.known.update((1, 2))
    world.stage.undecided.add(1)
    world.send([1])
    for _ in range(5):
        world.step()
    assert world.emitted() == []
    assert len(world.parked()) == 3
    world.stage.undecided.clear()
    world.rest()
    assert [row["n"] for row in world.emitted()] == [0, 1, 2, 3]
    assert not world.parked()


def test_rows_that_come_again_pass_before_a_new_one_is_held() -> None:
    world = World()
    world.send([1, 1])
    world.rest()
    world.stage.known.add(1)
    world.stage.undecided.add(2)
    world.send([1, 1])
    for _ in range(5):
        world.step()
    assert [row["n"] for row in world.emitted()] == [0, 1]
    world.stage.undecided.clear()
    world.rest()
    assert [row["n"] for row in world.emitted()] == [0, 1, 2, 3]
    world.books()


def test_what_waits_is_there_after_a_restart() -> None:
    world = World()
    world.send([1, 1, 2])
    world.rest()
    world.restart()
    world.stage.known.add(1)
    world.rest()
    assert [row["n"] for row in world.emitted()] == [0, 1]


def test_without_reading_back_rows_that_wait_are_forgotten_and_the_books_show_it() -> None:
    """The negative control of the tests above."""
    world = World(reads_back=False)
    world.send([1, 1, 2])
    world.rest()
    world.restart()
    world.stage.known.update((1, 2))
    world.now_s += 2 * WAIT_S
    world.rest()
    assert world.emitted() == world.rejected() == []
    books = world.books()
    assert books["parked"] - books["released"] == len(world.parked()) == 3


def test_with_as_many_rows_as_may_wait_nothing_new_is_read_until_some_are_released() -> None:
    world = World(most_rows=4)
    world.send([1, 1, 1, 1])
    world.rest()
    world.send([2, 2, 2])
    world.stage.known.add(2)
    world.rest()
    assert world.emitted() == []
    assert world.books()["rows_in"] == 4
    world.stage.known.add(1)
    world.rest()
    assert [row["n"] for row in world.emitted()] == list(range(7))


@pytest.mark.parametrize(
    ("most_rows", "most_bytes", "full"), [(3, 99, False), (2, 99, True), (3, 6, True), (3, 7, False)]
)
def test_room_is_counted_in_rows_and_in_bytes(most_rows: int, most_bytes: int, full: bool) -> None:
    def row(offset: int, value: bytes) -> Waiting:
        return Waiting(Place(0, offset), 0, 0, None, value, "r", "c", "d.t", "to", "x", 0, 10)

    waitlist = Waitlist(most_rows, most_bytes)
    waitlist.put([row(1, b"12345"), row(2, b"123"), row(1, b"123")])
    assert waitlist.full is full
    waitlist.take([row(1, b""), row(3, b"")])
    assert not waitlist.full
    assert len(waitlist) == 1

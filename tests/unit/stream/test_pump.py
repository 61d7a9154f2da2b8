"""The pump loses nothing and doubles nothing, whatever fails and whenever."""

import gc
import threading
import weakref
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import Fatal, Held, Transient
from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.control import Controls
from headrace.stream.decode import Decoder
from headrace.stream.ledger import Position
from headrace.stream.memory import MemoryLog, MemorySchemas, MemorySink, MemorySource
from headrace.stream.outputs import Outputs
from headrace.stream.parking import Place, Waiting
from headrace.stream.pump import Backoff, Delivery, Pump, Sink, Work, _up_to
from headrace.stream.stage import MAIN, Batch, Emitted, Outcome, Records, Rejection, Stage

SCHEMA = pa.schema([pa.field("n", pa.int64(), nullable=False)])
DATASET = "shop.orders"


class Keep:
    name = "transformer"

    def __call__(self, batch: Batch) -> Outcome:
        return Outcome((Emitted(pa.array(range(len(batch.raw)), pa.int64()), batch.rows),))


class World:
    """A log with `rows` numbered records in it, and a pump over it."""

    def __init__(self, rows: int, max_rows: int = 7) -> None:
        self.log, self.schemas = MemoryLog(), MemorySchemas()
        avro = avro_schema(SCHEMA, DATASET)
        schema_id = self.schemas.register(topics.subject(topics.staged(DATASET)), avro)
        self.codec = Codec(avro)
        for value in self.codec.encode(pa.record_batch([pa.array(range(rows), pa.int64())], schema=SCHEMA), schema_id):
            self.log.append(topics.staged(DATASET), value)
        outputs = Outputs(self.schemas, {MAIN: topics.transformed(DATASET, 1)}, topics.quarantine(DATASET))
        self.sink = MemorySink(self.log, outputs)
        self.source = MemorySource(self.log, topics.staged(DATASET), "g")
        self._max_rows = max_rows
        self.pump = self.pump_into(self.sink, Keep())

    def pump_into(self, sink: Sink, stage: Stage) -> Pump:
        position = Position(DATASET, 1, 1, "transformer", "0")
        return Pump(position, self.source, Decoder(self.schemas), stage, sink, max_rows=self._max_rows)

    def emitted(self) -> list[int]:
        values = [value for value in self.log.values(topics.transformed(DATASET, 1)) if value is not None]
        return [n.as_py() for n in self.codec.decode(values).rows.column("n")]

    def rows_in_the_books(self) -> int:
        controls = Controls(self.schemas)
        return sum(controls.decode(value)["rows_in"] for value in self.log.values(topics.LEDGER) if value is not None)

    def run_to_the_end(self, rewinds: bool = True) -> None:
        """What `Pump.run` does, without its waits."""
        for _ in range(60):
            try:
                self.pump.step(0)
            except Transient:
                if rewinds:
                    self.pump.rewind()


failures = st.lists(st.sampled_from(["before", "after"]), max_size=12)


@settings(deadline=None)
@given(st.integers(1, 60), failures)
def test_any_sequence_of_failures_moves_every_row_once(rows: int, plan: list[str]) -> None:
    world = World(rows)
    world.sink.fail_before = [Transient("down")] * plan.count("before")
    world.sink.fail_after = [Transient("no answer")] * min(plan.count("after"), (rows - 1) // 7 + 1)
    world.run_to_the_end()
    assert world.emitted() == list(range(rows))
    assert world.rows_in_the_books() == rows


def test_without_the_rewind_rows_are_lost() -> None:
    """The negative control of the test above."""
    world = World(20)
    world.sink.fail_before = [Transient("down")]
    world.run_to_the_end(rewinds=False)
    assert world.emitted() != list(range(20))


def test_run_waits_out_what_passes_and_stops_when_told() -> None:
    world = World(20)
    world.sink.fail_before = [Transient("down")] * 2
    stopping = threading.Event()
    thread = threading.Thread(target=world.pump.run, args=(stopping,))
    thread.start()
    for _ in range(1000):
        if len(world.emitted() if topics.transformed(DATASET, 1) in world.log.topics else []) == 20:
            break
        thread.join(0.01)
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    assert world.emitted() == list(range(20))


class HeldUp:
    """A sink whose commits wait for `let_go`."""

    def __init__(self, inner: MemorySink) -> None:
        self._inner = inner
        self.entered, self.let_go = threading.Event(), threading.Event()

    def commit(self, work: Work) -> None:
        self.entered.set()
        assert self.let_go.wait(30)
        self._inner.commit(work)

    def close(self) -> None: ...


def test_in_a_backlog_the_next_batch_is_decided_while_one_is_committed() -> None:
    world, decided = World(20), threading.Semaphore(0)
    held = HeldUp(world.sink)

    class Counted(Keep):
        def __call__(self, batch: Batch) -> Outcome:
            decided.release()
            return super().__call__(batch)

    pump = world.pump_into(held, Counted())
    pump.step(0)
    assert held.entered.wait(30)
    assert decided.acquire(timeout=30)
    thread = threading.Thread(target=pump.step, args=(0,))
    thread.start()
    assert decided.acquire(timeout=30), "the second batch is decided only when the first is committed"
    assert world.emitted() == []
    held.let_go.set()
    thread.join(30)
    for _ in range(5):
        pump.step(0)
    assert world.emitted() == list(range(20))


def test_without_a_backlog_the_commit_is_waited_for() -> None:
    """So that what arrives meanwhile travels with the next batch."""
    world = World(20, max_rows=100)
    pump = world.pump
    pump.step(0)
    world.log.append(topics.staged(DATASET), world.log.values(topics.staged(DATASET))[0])
    assert pump.step(0) == 20
    assert pump.settle() == 1


def test_what_cannot_pass_is_not_hidden_by_what_can() -> None:
    """The commit under way fails for good while the next batch fails for now."""
    world = World(20)
    world.sink.fail_before = [Fatal("the topic is gone")]
    world.pump.step(0)
    world.pump._before_batch = lambda epoch: (_ for _ in ()).throw(Transient("no reference data yet"))
    with pytest.raises(Transient):
        world.pump.step(0)
    with pytest.raises(Fatal, match="the topic is gone"):
        world.pump.rewind()


class Last(Keep):
    """A stage that is told to stop while it decides: its batch is committed when the pump has left its loop."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def __call__(self, batch: Batch) -> Outcome:
        self._stopping.set()
        return super().__call__(batch)


def test_what_is_under_way_is_finished_before_the_source_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world, stopping = World(5), threading.Event()
    held = HeldUp(world.sink)
    standing: list[list[int]] = []
    monkeypatch.setattr(world.source, "close", lambda: standing.append(world.emitted()))
    threading.Timer(0.2, held.let_go.set).start()
    world.pump_into(held, Last(stopping)).run(stopping)
    assert standing == [list(range(5))]


def test_the_last_commit_can_end_the_run_too() -> None:
    world, stopping = World(5), threading.Event()
    world.sink.fail_before = [Fatal("the topic is gone")]
    with pytest.raises(Fatal, match="the topic is gone"):
        world.pump_into(world.sink, Last(stopping)).run(stopping)


def test_a_commit_that_failed_is_forgotten_with_its_batch() -> None:
    """Without the help of the cycle collector, which comes seldom: an outage must not fill the memory."""
    world = World(20)
    world.sink.fail_before = [Transient("down")] * 3
    batches: list[weakref.ref[Any]] = []

    class Watched(Keep):
        def __call__(self, batch: Batch) -> Outcome:
            batches.append(weakref.ref(batch.rows))
            return super().__call__(batch)

    pump = world.pump_into(world.sink, Watched())
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            pump.step(0)
            try:
                pump.step(0)
            except Transient:
                pump.rewind()
        assert [at for at, batch in enumerate(batches) if batch() is not None] == []
    finally:
        gc.enable()


def test_run_ends_with_what_cannot_pass() -> None:
    world = World(3)
    world.sink.fail_before = [Fatal("the topic is gone")]
    with pytest.raises(Fatal, match="the topic is gone"):
        world.pump.run(threading.Event())


def test_what_the_stage_refers_to_is_brought_up_to_date_before_the_stage_sees_a_batch() -> None:
    world = World(3)
    order: list[str] = []

    class Noting(Keep):
        def __call__(self, batch: Batch) -> Outcome:
            order.append("stage")
            return super().__call__(batch)

    world.pump._stage = Noting()
    world.pump._before_batch = lambda epoch: order.append("references")
    world.pump.step(0)
    assert order == ["references", "stage"]


def test_waits_double_up_to_a_limit_and_start_over() -> None:
    backoff = Backoff(first_s=1, most_s=5)
    assert [backoff.next_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.next_s() == 1


class Costly:
    """Takes 20 s over each batch, by the clock of its pump."""

    name = "transformer"

    def __init__(self) -> None:
        self.now_s = 1.0
        self.polled_s = 0.0
        self.longest_s = 0.0

    def __call__(self, batch: Batch) -> Outcome:
        self.now_s += 20
        self.longest_s = max(self.longest_s, self.now_s - self.polled_s)
        return Keep()(batch)

    def polled(self, epoch: int) -> None:
        self.polled_s = self.now_s


def taking_long(batches: int, undecodable: bool) -> tuple[World, Costly]:
    """A world whose records are so many batches of one delivery: each has another schema than its neighbours."""
    world, stage = World(0, max_rows=100), Costly()
    other = world.schemas.register("other", avro_schema(SCHEMA, "shop.others"))
    for number in range(batches):
        rows = pa.record_batch([pa.array([2 * number, 2 * number + 1])], schema=SCHEMA)
        for value in world.codec.encode(rows, 1 if number % 2 else other):
            world.log.append(topics.staged(DATASET), value)
        if undecodable:
            world.log.append(topics.staged(DATASET), b"no record")
    position = Position(DATASET, 1, 1, "transformer", "0")
    world.pump = Pump(
        position, world.source, Decoder(world.schemas), stage, world.sink, max_rows=100, before_batch=stage.polled,
        clock=lambda: stage.now_s,
    )  # fmt: skip
    return world, stage


@pytest.mark.parametrize("undecodable", [False, True])
def test_a_delivery_of_costly_batches_is_handed_over_in_time_and_nothing_is_lost_or_doubled(undecodable: bool) -> None:
    world, stage = taking_long(9, undecodable)
    world.run_to_the_end()
    assert stage.longest_s <= 60, "Kafka gives a member up that does not poll for 300 s"
    assert world.emitted() == list(range(18))
    assert world.rows_in_the_books() == 18 + 9 * undecodable


def test_a_row_that_is_held_is_told_of_when_all_in_front_of_it_stands_however_long_that_takes() -> None:
    world, stage = taking_long(9, False)

    class Holding(Costly):
        def __call__(self, batch: Batch) -> Outcome:
            outcome = stage(batch)
            at = batch.rows.column("n").to_pylist()
            return Outcome((), held=Rejection(at.index(3), "check_in", "n is 3", "in_n")) if 3 in at else outcome

    position = Position(DATASET, 1, 1, "transformer", "0")
    world.pump = Pump(
        position, world.source, Decoder(world.schemas), Holding(), world.sink, max_rows=100, clock=lambda: stage.now_s
    )
    with pytest.raises(Held):
        world.run_to_the_end()
    assert world.emitted() == [0, 1, 2]


def test_records_that_come_again_are_cut_as_well_and_what_is_new_waits_behind_them() -> None:
    again = [
        Waiting(Place(number, at), at, 0, None, b"", "r", "c", "p", "t", "w", 0, 9)
        for number in (0, 1)
        for at in (1, 2)
    ]
    ends, nothing = {0: 30, 1: 40, 2: 50}, Records.numbered("t", [])
    batch = Batch(nothing, pa.RecordBatch.from_pylist([], schema=SCHEMA), 1, pa.array([0], pa.int64()))
    alone = _up_to(Delivery(nothing, ends, None, 1, True, again), batch, 2)
    assert ([*alone.again], alone.next_offsets, alone.backlog) == (again[:2], {0: 30}, False)
    beside = _up_to(Delivery(Records.numbered("t", [b"a", b"b"]), ends, None, 1, True, again), batch, 3)
    assert ([*beside.again], len(beside.records)) == (again[:3], 0)
    assert beside.next_offsets == {0: 0, 1: 40}, "the new ones of partition 0 begin at 0"


def test_the_control_without_the_cut_a_delivery_takes_as_long_as_all_its_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headrace.stream.pump._DELIVERY_S", 1e9)
    world, stage = taking_long(9, False)
    world.run_to_the_end()
    assert stage.longest_s == 180

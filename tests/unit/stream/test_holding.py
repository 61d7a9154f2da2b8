"""A pump stops in front of a row that waits for a decision: all before it stands, nothing behind it, and it is met again."""

from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import Held, Transient
from headrace.stream.pump import Delivery, Pump
from headrace.stream.stage import Batch, Emitted, Outcome, Rejection
from tests.unit.stream.test_pump import World


class Holds:
    """Lets every row pass but those of these numbers that nobody has decided about."""

    name = "transformer"

    def __init__(self, held: set[int]) -> None:
        self.held = held

    def __call__(self, batch: Batch) -> Outcome:
        numbers = batch.rows.column("n").to_pylist()
        waiting = [at for at, number in enumerate(numbers) if number in self.held]
        if waiting:
            return Outcome((), held=Rejection(waiting[-1], "check_in", f"n is {numbers[waiting[-1]]}", "in_n"))
        return Outcome((Emitted(pa.array(range(len(numbers)), pa.int64()), batch.rows),))


def until_held(world: World, pump: Pump) -> Held:
    for _ in range(60):
        try:
            pump.step(0)
        except Transient:
            pump.rewind()
        except Held as held:
            return held
    raise AssertionError("no row was held")


@settings(deadline=None)
@given(rows=st.integers(1, 40), held=st.sets(st.integers(0, 39), max_size=4), failures=st.integers(0, 3))
def test_nothing_passes_a_row_that_is_held_and_nothing_is_lost_or_doubled(
    rows: int, held: set[int], failures: int
) -> None:
    world = World(rows)
    world.sink.fail_before = [Transient("down")] * failures
    stage = Holds(held & set(range(rows)))
    while stage.held:
        first = min(stage.held)
        said = until_held(world, world.pump_into(world.sink, stage))
        assert said.about == {
            "partition": 0,
            "offset": first,
            "rule": "in_n",
            "reason": "check_in",
            "detail": f"n is {first}",
        }
        if first:
            assert world.emitted() == list(range(first))
            assert world.rows_in_the_books() == first
        world.source.rewind()  # as the worker that comes next
        stage.held.discard(first)
    world.pump = world.pump_into(world.sink, stage)
    world.run_to_the_end()
    assert world.emitted() == list(range(rows))
    assert world.rows_in_the_books() == rows


def test_the_message_says_which_row_it_is_and_what_to_do() -> None:
    world = World(9)
    said = str(until_held(world, world.pump_into(world.sink, Holds({4}))))
    for part in (
        "held on purpose by the check in_n at raw partition 0, offset 4: n is 4",
        "headrace hold release shop.orders --raw 0:4 --pass",
    ):
        assert part in said


def test_without_the_cut_rows_pass_the_one_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: only the row itself is left out."""

    def leaving_out(delivery: Delivery, partition: int, offset: int) -> Delivery:
        del partition
        kept = [at for at, each in enumerate(delivery.records.offset.to_numpy().tolist()) if each != offset]
        return replace(delivery, records=delivery.records.take(pa.array(kept, pa.int64())))

    monkeypatch.setattr("headrace.stream.pump.before", leaving_out)
    world = World(7)
    until_held(world, world.pump_into(world.sink, Holds({4})))
    assert world.emitted() == [0, 1, 2, 3, 5, 6]

"""Rows that wait beside rows that are held and rows that are skipped: each has one fate, whatever comes in between."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import Transient
from headrace.stream import columns, pump, topics
from headrace.stream.control import Controls
from headrace.stream.ledger import add_hashes
from headrace.stream.overrides import SKIPPED, Decisions, Override
from headrace.stream.stage import Stage
from headrace.transform.skipping import Skipping
from tests.unit.transformer.test_waiting import CHILDREN, WAIT_S, World

AT = datetime(2026, 1, 2, tzinfo=UTC)


class Decided(World):
    """A world in which rows are skipped, too."""

    def __init__(self) -> None:
        self.skips: list[Override] = []
        super().__init__()

    def shown_to(self) -> Stage:
        return Skipping(self.stage, Decisions(tuple(self.skips)))

    def places(self) -> list[tuple[int, int]]:
        return [(row[columns.PARTITION], row[columns.OFFSET]) for row in self.emitted()]

    def entries(self) -> list[dict[str, Any]]:
        controls = Controls(self.schemas)
        return [controls.decode(value or b"") for value in self.log.values(topics.LEDGER)]

    def skipped(self) -> int:
        return sum(entry["filtered"].get(SKIPPED, 0) for entry in self.entries())


acts = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.lists(st.integers(1, 3), min_size=1, max_size=9), st.integers(0, 1)),
        st.tuples(st.just("parent"), st.integers(1, 3)),
        st.tuples(st.just("parent goes"), st.integers(1, 3)),
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
    world = Decided()
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


def check(world: Decided, *, whole: bool) -> None:
    """Every row that was taken has one fate, and the books agree, also about which rows those are."""
    waiting = [(row.place.partition, row.place.offset) for row in world.parked()]
    rejected = [(row["partition"], row["raw_offset"]) for row in world.rejected()]
    every = [*waiting, *world.places(), *rejected]
    assert len(set(every)) == len(every)
    entries = world.entries()
    read = sum(entry["rows_in"] for entry in entries)
    committed = sum(world.log.committed.get(("g", topics.staged(CHILDREN), number), 0) for number in (0, 1))
    assert read == committed == len(every) + world.skipped()
    assert read == world.sent or not whole
    given = add_hashes(*(entry[f"{side}_hash"] for entry in entries for side in ("in", "released")))
    fates = ("emitted", "filtered", "quarantined", "parked")
    assert given == add_hashes(*(entry[f"{fate}_hash"] for entry in entries for fate in fates))


def test_where_the_offsets_are_not_cut_with_the_rows_those_behind_a_held_row_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative control of the law."""
    cut = pump.before

    def rows_alone(delivery: pump.Delivery, partition: int, offset: int) -> pump.Delivery:
        return replace(cut(delivery, partition, offset), next_offsets=delivery.next_offsets)

    monkeypatch.setattr(pump, "before", rows_alone)
    world = Decided()
    world.stage.known.add(1)
    world.stage.undecided.add(1)
    world.send([1, 1, 1])
    world.step()
    world.stage.undecided.clear()
    world.rest()
    assert [row["n"] for row in world.emitted()] == [0]

"""A model runs once all is there that had been read when its run became due, after the models that it reads."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contract.schedule import Schedule
from headrace.stream.runs import History, Run
from services.ingest.core.upstreams import Inputs, Upstream, due, lacking, needed_run

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TRIGGER = Schedule(trigger="upstream")


def run(number: int, state: Any, minutes: int = 0, **more: Any) -> Run:
    at = NOON + timedelta(minutes=minutes)
    return Run("a.b", number, state, at, version=1, begun_at=at, **more)


def upstream(*told: Run, schedule: Schedule | None = None, inputs: Inputs | None = None) -> Upstream:
    return Upstream("a.b", 1, schedule, History(told), inputs or {})


def test_a_trigger_waits_for_a_change() -> None:
    last = run(1, "shown", inputs={"c.d": (5, 7)})
    assert not due(TRIGGER, last, {"c.d": (5, 7)}, NOON, NOON)
    assert due(TRIGGER, last, {"c.d": (5, 8)}, NOON, NOON)
    assert not due(None, last, {"c.d": (5, 8)}, NOON, NOON)


def test_a_trigger_can_be_held_back() -> None:
    last, changed = run(1, "shown", inputs={"c.d": (5,)}), {"c.d": (6,)}
    hourly = Schedule(trigger="upstream", every="1h")
    assert not due(hourly, last, changed, NOON + timedelta(minutes=59), NOON)
    assert due(hourly, last, changed, NOON + timedelta(minutes=60), NOON)


@pytest.mark.parametrize(
    "schedule", [{"trigger": "upstream", "cron": "0 6 * * *"}, {}, {"cron": "0 6 * * *", "every": "1h"}]
)
def test_a_schedule_says_one_thing(schedule: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        Schedule.model_validate(schedule)


def test_nothing_is_needed_of_what_shows_and_is_not_due() -> None:
    assert needed_run(upstream(run(1, "shown")), NOON) == 0
    assert lacking(upstream(run(1, "shown")), 0) == ""


@pytest.mark.parametrize(
    ("there", "needed"),
    [
        (upstream(), 1),
        (upstream(run(1, "shown"), run(2, "begun")), 2),
        (upstream(run(1, "shown"), run(2, "ended")), 2),
        (upstream(run(1, "shown"), run(2, "refused")), 0),
        (upstream(run(1, "refused")), 1),
        (upstream(run(1, "shown", -60), schedule=Schedule(every="1h")), 2),
        (upstream(run(1, "shown", -59), schedule=Schedule(every="1h")), 0),
        (upstream(run(1, "shown"), schedule=TRIGGER, inputs={"c.d": (1,)}), 2),
        (upstream(run(1, "shown"), run(2, "begun"), schedule=TRIGGER, inputs={"c.d": (1,)}), 3),
        (upstream(replace(run(0, "wanted"), request="r"), run(1, "shown")), 2),
        (upstream(replace(run(0, "wanted", 1), request="r"), run(1, "shown")), 0),
        (replace(upstream(run(1, "shown")), version=2), 2),
    ],
)
def test_the_run_that_is_needed(there: Upstream, needed: int) -> None:
    assert needed_run(there, NOON) == needed


def test_what_is_still_to_come_is_told() -> None:
    assert "run 1 of a.b, which is to begin" in lacking(upstream(), 1)
    assert "being read" in lacking(upstream(run(1, "begun")), 1)
    assert "does not show yet" in lacking(upstream(run(1, "ended")), 1)
    assert "none shows yet" in lacking(upstream(run(1, "refused")), 1)
    assert lacking(upstream(run(1, "shown"), run(2, "refused")), 2) == "", "what showed before is read on"
    assert lacking(upstream(run(1, "shown"), run(3, "shown")), 2) == "", "a run that was abandoned is not waited for"
    read_late = upstream(run(1, "shown", inputs={"c.d": (1,)}), schedule=TRIGGER, inputs={"c.d": (1,)})
    assert lacking(read_late, 2) == "", "it had waited, and read what the next run would have been for"
    assert "which is to begin" in lacking(replace(read_late, inputs={"c.d": (2,)}), 2)


@dataclass
class Model:
    """A model of the law below. `value` is the version of the source that its rows are made of, by run."""

    reads: list[int]
    told: list[Run] = field(default_factory=list)
    values: dict[int, int] = field(default_factory=dict)
    needed: dict[int, int] = field(default_factory=dict)
    due_at: int = 0  # the version of the source when its run became due

    @property
    def history(self) -> History:
        return History(tuple(self.told))

    def tell(self, run: Run) -> None:
        self.told = [each for each in self.told if each.run != run.run] + [run]


class World:
    """A source (-1), whose rows are in the warehouse at once, and models that read it and each other, lower numbers first."""

    def __init__(self, reads: list[list[int]]) -> None:
        self.models = [Model(each) for each in reads]
        self.version = 0
        self.minute = 0
        self.waits = True

    def inputs(self, model: Model) -> dict[str, tuple[int, ...]]:
        return {str(each): self.there(each) for each in model.reads}

    def there(self, number: int) -> tuple[int, ...]:
        if number < 0:
            return (self.version,)
        current = self.models[number].history.current
        return (current.run,) if current else ()

    def upstream(self, number: int) -> Upstream:
        model = self.models[number]
        return Upstream(str(number), 1, TRIGGER, model.history, self.inputs(model))

    def step(self, number: int) -> None:
        """Let something happen: the source changes (-1), or a model goes on by one step."""
        self.minute += 1
        if number < 0:
            self.version += 1
            return
        model, now = self.models[number], NOON + timedelta(minutes=self.minute)
        newest = model.history.newest
        if newest is not None and newest.state == "ended":
            model.tell(replace(newest, state="shown"))
        elif newest is not None and newest.state == "begun":
            self.read(model, newest)
        elif newest is None or due(TRIGGER, newest, self.inputs(model), now, NOON):
            begun = run(newest.run + 1 if newest else 1, "begun", self.minute, inputs=self.inputs(model))
            model.tell(begun)
            model.needed = {each: needed_run(self.upstream(each), now) for each in model.reads if each >= 0}
            model.due_at = self.version

    def read(self, model: Model, newest: Run) -> None:
        lacks = [lacking(self.upstream(each), needed) for each, needed in model.needed.items()]
        if any(lacks) and self.waits:
            return
        of = [
            self.version if each < 0 else self.models[each].values.get((*self.there(each), 0)[0], 0)
            for each in model.reads
        ]
        model.values[newest.run] = min(of)
        inputs = {**newest.inputs, **{str(each): self.there(each) for each in model.reads if each >= 0}}
        model.tell(replace(newest, state="ended", inputs=inputs))

    def complete(self) -> bool:
        """Whether the newest run of each model that was read has all that there was when it became due."""
        return all(
            model.values.get(newest.run, model.due_at) >= model.due_at
            for model in self.models
            if (newest := model.history.newest) is not None
        )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, list[int]]:
    size = draw(st.integers(1, 4))
    reads = [draw(st.lists(st.integers(-1, at - 1), min_size=1, max_size=3, unique=True)) for at in range(size)]
    return World(reads), draw(st.lists(st.integers(-1, size - 1), max_size=60))


@given(worlds())
def test_in_any_order_of_events_a_run_has_all_that_was_there_when_it_became_due(drawn: tuple[World, list[int]]) -> None:
    world, events = drawn
    for event in events:
        world.step(event)
        assert world.complete()


@given(worlds())
def test_when_nothing_changes_any_more_every_model_comes_to_rest_with_the_newest(
    drawn: tuple[World, list[int]],
) -> None:
    world, events = drawn
    for event in events:
        world.step(event)
    for _ in range(40):
        for number in range(len(world.models)):
            world.step(number)
    assert [model.values[current.run] for model in world.models if (current := model.history.current)] == [
        world.version
    ] * len(world.models)
    rested = [len(model.values) for model in world.models]
    for number in range(len(world.models)):
        world.step(number)
    assert [len(model.values) for model in world.models] == rested


@pytest.mark.parametrize("waits", [True, False])
def test_the_control_without_waiting_a_run_misses_rows(waits: bool) -> None:
    world = World([[-1], [0]])
    world.waits = waits
    for event in (-1, 0, 0, 0, 1, 1, 1, -1, 0, 0, 0, -1, 1, 1):
        world.step(event)
    assert world.complete() == waits

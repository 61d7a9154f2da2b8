"""A dataset that fails does not take others with it, and what stands in the datasets topic is what is worked on."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.contract import load
from headrace.errors import Fatal, Held, Transient
from headrace.stream.service import LaneNotices, Lanes, LiveDataset, Worker, _live, every_generation
from tests.stack import eventually

FILE = "dataset: {}\ndescription: d\nowner: {{team: t}}\nsource: {{type: http_push}}\nload: {{mode: append}}\n"


def live(name: str, version: int = 1, state: str = "active") -> LiveDataset:
    return LiveDataset(name, version, 1, state, load(FILE.format(name)))


@dataclass
class Scripted:
    """A worker that raises what it is told to, and otherwise waits to be stopped."""

    name: str
    raises: BaseException | None
    log: list[str]

    def run(self, stopping: threading.Event) -> None:
        self.log.append(f"run {self.name}")
        if self.raises is not None:
            raise self.raises
        stopping.wait(10)
        self.log.append(f"end {self.name}")


@dataclass
class World:
    """Lanes over scripted workers. `raises` holds, by worker, what its next runs raise."""

    raises: dict[str, list[BaseException]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lanes = Lanes(
            "test", self.workers_for, lambda _: None, lambda d, w, e: self.failed.append((d.name, str(e)))
        )

    def workers_for(self, dataset: LiveDataset) -> list[Callable[[], Worker]]:
        def build(part: str) -> Callable[[], Worker]:
            name = f"{part} {dataset.name} {dataset.version}"

            def made() -> Worker:
                left = self.raises.get(name, [])
                return Scripted(name, left.pop(0) if left else None, self.log)

            return made

        return [build("pump"), build("lander")]

    def follow(self, *datasets: LiveDataset) -> None:
        self.lanes.follow({dataset.name: dataset for dataset in datasets})

    def runs(self, name: str) -> int:
        return self.log.count(f"run {name}")


def test_a_worker_that_fails_is_reported_and_leaves_the_others_alone() -> None:
    world = World({"pump shop.a 1": [Fatal("the topic is gone")]})
    world.follow(live("shop.a"), live("shop.b"))
    eventually(lambda: bool(world.failed) and world.runs("pump shop.b 1") == 1, 10, "both start")
    assert world.failed == [("shop.a", "the topic is gone")]
    world.lanes.close()
    assert {"end lander shop.a 1", "end pump shop.b 1", "end lander shop.b 1"} <= set(world.log)
    assert world.runs("pump shop.a 1") == 1


def test_what_is_not_an_exception_does_not_end_in_silence() -> None:
    """A panic of native code is a BaseException."""
    world = World({"pump shop.a 1": [BaseException("panic")]})
    world.follow(live("shop.a"))
    eventually(lambda: world.failed == [("shop.a", "panic")], 10, "the panic is reported")
    world.lanes.close()


def test_a_worker_that_lost_its_place_is_built_anew() -> None:
    world = World({"pump shop.a 1": [Transient("fenced")]})
    world.follow(live("shop.a"))
    eventually(lambda: world.runs("pump shop.a 1") == 2, 10, "it joins again")
    assert world.failed == []
    assert world.runs("lander shop.a 1") == 1
    world.lanes.close()


def test_a_new_version_replaces_the_old_one_and_a_pause_stops_it() -> None:
    world = World()
    first = live("shop.a")
    world.follow(first)
    world.follow(first)
    eventually(lambda: world.runs("pump shop.a 1") == 1, 10, "version 1 runs")
    world.follow(replace(first, version=2))
    eventually(lambda: world.runs("pump shop.a 2") == 1, 10, "version 2 runs")
    assert "end pump shop.a 1" in world.log
    world.follow(replace(first, version=2, state="paused"))
    assert "end pump shop.a 2" in world.log
    assert world.runs("pump shop.a 1") == world.runs("pump shop.a 2") == 1
    world.lanes.close()


def test_work_begins_anew_when_what_it_depends_on_changes_also_after_it_has_failed() -> None:
    needs = {"shop.a": 1, "shop.b": 1}
    world = World({"pump shop.b 1": [Fatal("the password is wrong")]})
    world.lanes = Lanes(
        "test",
        world.workers_for,
        lambda _: None,
        lambda d, w, e: world.failed.append((d.name, str(e))),
        lambda dataset: needs[dataset.name],
    )
    world.follow(live("shop.a"), live("shop.b"))
    eventually(lambda: bool(world.failed) and world.runs("pump shop.a 1") == 1, 10, "both start")
    world.follow(live("shop.a"), live("shop.b"))
    assert (world.runs("pump shop.a 1"), world.runs("pump shop.b 1")) == (1, 1)  # nothing has changed
    needs["shop.b"] = 2
    world.follow(live("shop.a"), live("shop.b"))
    eventually(lambda: world.runs("pump shop.b 1") == 2, 10, "it begins anew")
    world.lanes.close()
    assert world.runs("pump shop.a 1") == 1


def test_a_generation_comes_and_goes_without_disturbing_the_live_one() -> None:
    world = World()
    world.lanes = Lanes(
        "test",
        world.workers_for,
        lambda _: None,
        lambda d, w, e: world.failed.append((d.name, str(e))),
        generations=every_generation,
    )
    first = live("shop.a")
    candidate = replace(first, version=2, generation=2, role="candidate")
    world.follow(first)
    eventually(lambda: world.runs("pump shop.a 1") == 1, 10, "version 1 runs")
    world.follow(replace(first, beside=(candidate,)))
    eventually(lambda: world.runs("pump shop.a 2") == 1, 10, "the candidate runs")
    assert world.runs("pump shop.a 1") == 1
    world.follow(replace(first, retired=(2,)))
    assert "end pump shop.a 2" in world.log
    assert world.runs("pump shop.a 1") == 1
    assert "end pump shop.a 1" not in world.log
    world.lanes.close()


def test_promotions_are_numbered_in_their_order() -> None:
    record = {
        "name": "a.b",
        "version": 1,
        "generation": 1,
        "state": "active",
        "document": live("a.b").contract.canonical_json(),
    }
    assert not _live(record).promoted
    at = datetime(2026, 11, 27, 20, 17, 50, 123457, tzinfo=UTC)
    first, second = (_live({**record, "live_since": at + timedelta(microseconds=more)}) for more in (0, 1))
    assert first.promoted
    assert second.promotion == first.promotion + 1


def test_a_service_that_generations_share_follows_the_live_one() -> None:
    world = World()
    first = live("shop.a")
    candidate = replace(first, version=2, generation=2, role="candidate")
    world.follow(replace(first, beside=(candidate,)))
    eventually(lambda: world.runs("pump shop.a 1") == 1, 10, "version 1 runs")
    world.follow(replace(candidate, role="live", promotion=1, beside=(replace(first, role="kept"),)))
    eventually(lambda: world.runs("pump shop.a 2") == 1, 10, "version 2 runs")
    assert "end pump shop.a 1" in world.log
    world.lanes.close()
    assert world.runs("pump shop.a 1") == world.runs("pump shop.a 2") == 1


@dataclass
class Open:
    """The incidents that are open, as their topic has them."""

    incidents: set[tuple[str, str | None, str]] = field(default_factory=set)

    def incident(self, kind: str, dataset: str | None, message: str, data: Mapping[str, Any], about: str = "") -> None:
        self.incidents.add((kind, dataset, about))

    def resolved(self, kind: str, dataset: str | None, message: str, about: str = "") -> None:
        self.incidents.discard((kind, dataset, about))


def test_an_incident_ends_though_the_process_that_told_of_it_is_gone() -> None:
    topic, orders = Open(), live("shop.orders")
    LaneNotices("transformer", "0", topic).failed(orders, "transformer shop.orders", Held("a row waits", {"offset": 7}))
    LaneNotices("transformer", "0", topic).failed(live("shop.others"), "w", Fatal("no"))
    assert topic.incidents == {("row_held", "shop.orders", ""), ("dataset_stopped", "shop.others", "")}
    after = LaneNotices("transformer", "0", topic)
    for dataset in (orders, live("shop.others")):
        after.started(dataset)
    assert not topic.incidents


def test_a_row_that_is_held_beside_the_live_generation_is_no_matter_for_anybody() -> None:
    topic = Open()
    beside = replace(live("shop.orders"), generation=2, role="candidate")
    LaneNotices("transformer", "0", topic).failed(beside, "w", Held("a row waits", {}))
    assert topic.incidents == {("generation_stopped", "shop.orders", "transformer 0 g2")}
    LaneNotices("transformer", "0", topic).dropped("shop.orders", 2)
    assert not topic.incidents

"""What is retired is dropped when no worker is left, again and again until it is gone, and nothing else is."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from headrace.errors import Fatal, Transient
from headrace.stream import retirement, topics
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.retirement import Estate, Retirements, dropped
from tests.stack import eventually

CONNECTION = Connection("nowhere:1")


@dataclass
class World:
    """What there is, and who is still in a group. `failures` are raised by the next drops of tables."""

    things: set[str]
    members: set[str] = field(default_factory=set)
    failures: list[Exception] = field(default_factory=list)

    def forget_group(self, _: Connection, group: str) -> bool:
        if group in self.members:
            return False
        self.things.discard(group)
        return True

    def forget_topic(self, _: Connection, topic: str) -> None:
        self.things.discard(topic)

    def forget(self, subject: str) -> bool:
        self.things.discard(subject)
        return True

    def drop(self, dataset: str, generation: int) -> None:
        if self.failures:
            raise self.failures.pop()
        self.things.discard(f"{dataset}__g{generation}")


def theirs(generation: int) -> set[str]:
    group = topics.group("loader", "shop.orders", generation)
    topic = topics.validated("shop.orders", generation)
    return {group, topic, topics.subject(topic), f"shop.orders__g{generation}"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(theirs(1) | theirs(2) | theirs(12))
    monkeypatch.setattr(retirement, "_AGAIN_S", 0.01)
    for name in ("forget_group", "forget_topic"):
        monkeypatch.setattr(kafka_topics, name, getattr(made, name))
    return made


def test_nothing_goes_while_a_worker_is_left(world: World) -> None:
    estate = Estate("loader", (topics.validated,), world.drop)
    world.members.add(topics.group("loader", "shop.orders", 2))
    everything = set(world.things)
    assert not dropped(CONNECTION, world, estate, "shop.orders", 2)
    assert world.things == everything
    world.members.clear()
    assert dropped(CONNECTION, world, estate, "shop.orders", 2)
    assert world.things == theirs(1) | theirs(12)
    assert dropped(CONNECTION, world, estate, "shop.orders", 2), "and again, as after a crash"


def test_it_is_tried_until_it_is_gone_and_then_left(world: World) -> None:
    done: list[tuple[str, int]] = []
    world.failures = [Transient("the warehouse is away")]
    retirements = Retirements(
        CONNECTION, world, Estate("loader", (topics.validated,), world.drop), lambda *what: done.append(what)
    )
    for _ in range(3):
        retirements.follow([("shop.orders", 2)])
    eventually(lambda: done == [("shop.orders", 2)], 10, "it is dropped")
    retirements.follow([("shop.orders", 2)])
    retirements.follow([("shop.orders", 2), ("shop.orders", 1)])
    eventually(lambda: len(done) == 2, 10, "another is dropped")
    assert done == [("shop.orders", 2), ("shop.orders", 1)]
    assert world.things == theirs(12)
    retirements.close()


def test_an_error_that_nobody_foresaw_does_not_end_it(world: World) -> None:
    done: list[tuple[str, int]] = []
    world.failures = [ValueError("odd")]
    retirements = Retirements(CONNECTION, world, Estate("loader", (), world.drop), lambda *what: done.append(what))
    retirements.follow([("shop.orders", 2)])
    eventually(lambda: done == [("shop.orders", 2)], 10, "it is dropped at the next try")
    retirements.close()


def test_what_stands_in_the_way_is_said_once_and_again_when_it_changes(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    failing = [Fatal("no right to drop it")] * 6 + [Fatal("another")] * 2
    tries: list[float] = []

    def drop(dataset: str, generation: int) -> None:
        tries.append(now[0])
        if failing:
            raise failing.pop(0)
        world.drop(dataset, generation)

    retirements = Retirements(CONNECTION, world, Estate("loader", (), drop), lambda *_: None, lambda: now[0])
    retirements._open.add(("shop.orders", 2))
    monkeypatch.setattr(retirements._stopping, "wait", lambda _: now.__setitem__(0, now[0] + 0.01))
    retirements._run()  # to its end, as time goes on only between its rounds
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [message.rsplit(": ")[-1] for message in said] == ["no right to drop it", "another"]
    waited = [after - before for before, after in pairwise(tries)]
    assert len(tries) == 9
    assert all(after > 1.5 * before for before, after in pairwise(waited)), "later and later"
    assert topics.group("loader", "shop.orders", 2) not in world.things

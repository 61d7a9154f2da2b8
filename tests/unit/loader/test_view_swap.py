"""Whichever loaders run, stall and die, and whenever: readers never see an older generation after a newer one.

The algorithm is the real one; the engine is a model, in which anything may happen before each statement.
"""

import random
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from headrace.errors import Transient
from services.loader.adapters import view_swap
from services.loader.core.showing import OutrankedError
from services.loader.core.table import Table
from services.loader.core.types import Type
from tests.unit.loader.simulation import Actor, Crash

HELD = {"n": Type("Int64")}
SEEDS = range(300)


def table(promotion: int) -> Table:
    return Table("shop", f"orders__g{promotion}", ("n",), view="orders", promotion=promotion)


@dataclass
class World:
    """What the engine holds, and what readers saw in turn."""

    claims: list[int] = field(default_factory=list)
    asides: dict[str, int] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)


@dataclass
class Views:
    """A loader's way to it."""

    world: World
    actor: Actor
    random: random.Random

    def newest_claim(self, table: Table) -> int:
        self._goes_on()
        return max(self.world.claims, default=0)

    def write_claim(self, table: Table) -> None:
        self._goes_on()
        self.world.claims.append(table.promotion)
        self._answers()

    def made_aside(self, table: Table) -> list[str]:
        self._goes_on()
        return list(self.world.asides)

    def make(self, statement: str, table: Table) -> None:
        self._goes_on()
        self.world.asides[statement.split("`")[3]] = table.promotion
        self._answers()

    def swap(self, table: Table, aside: str) -> None:
        self._goes_on()
        if aside not in self.world.asides:
            raise OutrankedError("it is there no more")
        shown = self.world.asides.pop(aside)
        if self.world.seen:
            self.world.asides[aside] = self.world.seen[-1]
        self.world.seen.append(shown)
        self._answers()

    def drop_view(self, table: Table, name: str) -> None:
        self._goes_on()
        self.world.asides.pop(name, None)
        self._answers()

    def _goes_on(self) -> None:
        self.actor.pause()
        if self.random.random() < 0.02:
            raise Crash

    def _answers(self) -> None:
        if self.random.random() < 0.05:
            raise Transient("no answer")


class NotLooking(Views):
    """Does not drop what others made aside."""

    def made_aside(self, table: Table) -> list[str]:
        return []


class NotClaiming(Views):
    """Does not say what it knows."""

    def write_claim(self, table: Table) -> None: ...


class Replacing(Views):
    """Replaces the view as `CREATE OR REPLACE` does, whatever has become of what was made aside."""

    def swap(self, table: Table, aside: str) -> None:
        self._goes_on()
        self.world.seen.append(table.promotion)


def readers_see(seed: int, kind: type[Views] = Views) -> list[int]:
    """What readers see in turn while loaders that know the first, the second or the third record want to show theirs."""
    chance, world = random.Random(seed), World()

    def loader(promotion: int) -> Actor:
        def body(actor: Actor) -> None:
            views = kind(world, actor, chance)
            for _ in range(4):
                with suppress(Transient):
                    view_swap.show(views, table(promotion), HELD)

        return Actor(body)

    actors = [loader(promotion) for promotion in (0, 1, 1, 2)]
    while left := [actor for actor in actors if not actor.ended]:
        for _ in range(chance.choice((1, 1, 3, 9))):
            if not (actor := chance.choice(left)).ended:
                actor.step()
    return world.seen


def went_back(seen: list[int]) -> bool:
    return seen != sorted(seen)


def test_no_reader_sees_an_older_generation_after_a_newer_one() -> None:
    seen = [readers_see(seed) for seed in SEEDS]
    assert not [each for each in seen if went_back(each)]
    assert sum(each[-1:] == [2] for each in seen) > 0.7 * len(seen), "and what is live is shown"
    assert any(set(each) == {0, 1, 2} for each in seen), "also after the others"


@pytest.mark.parametrize("kind", [NotLooking, NotClaiming, Replacing])
def test_the_control_without_one_of_the_steps_it_goes_back(kind: type[Views]) -> None:
    assert any(went_back(readers_see(seed, kind)) for seed in SEEDS)


def test_who_is_outranked_leaves_nothing_behind() -> None:
    class Here(Views):
        def _goes_on(self) -> None: ...
        def _answers(self) -> None: ...

    world = World()
    views = Here(world, Actor(lambda _: None), random.Random(0))
    view_swap.show(views, table(2), HELD)
    for promotion in (0, 1):
        with pytest.raises(OutrankedError):
            view_swap.show(views, table(promotion), HELD)
    assert world.seen == [2]
    assert not world.asides
    view_swap.show(views, table(2), HELD)  # a column more
    assert world.seen == [2, 2]

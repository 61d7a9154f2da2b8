"""The view follows what was decided, wherever it was broken off, and only to a table that is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import pytest

from headrace.contract import load
from headrace.errors import Transient
from headrace.stream.generation_table import shown_generation
from headrace.stream.service import LiveDataset
from services.loader.adapters.view_keeper import ViewKeeper
from services.loader.adapters.warehouse import FullLoads
from services.loader.core.showing import OutrankedError
from services.loader.core.table import Table, create_view, published
from services.loader.core.types import Type

CONTRACT = load("dataset: shop.orders\ndescription: d\nowner: {team: t}\nsource: {type: http_push}\n")


@dataclass
class Engine:
    """A warehouse of tables by generation, and a view. `fails_at` breaks off before or after the statement is carried out."""

    tables: set[int] = field(default_factory=lambda: {1, 2})
    view: str | None = "SELECT n FROM shop.orders__g1"
    fails_at: str = ""
    claimed: int = 0
    shown: list[str] = field(default_factory=list)

    def held(self, table: Table) -> dict[str, Type] | None:
        return {"n": Type("Int64")} if table.generation in self.tables else None

    def shows(self, table: Table) -> str | None:
        return self.view

    def claim(self, table: Table) -> None:
        if table.promotion < self.claimed:
            raise OutrankedError("another knows more")
        self.claimed = table.promotion

    def show(self, table: Table, held: Mapping[str, Type], only: str | None = None) -> None:
        statement = create_view(table, held, only)
        if self.fails_at == "before":
            raise Transient("killed")
        self.shown.append(statement)
        self.view = statement.partition(" AS ")[2]
        if self.fails_at == "after":
            raise Transient("killed")

    def close(self) -> None: ...


def keeper(engine: Engine, generation: int = 2, promotion: int = 1) -> ViewKeeper:
    dataset = LiveDataset("shop.orders", generation, generation, "active", CONTRACT, promotion=promotion)
    return ViewKeeper(dataset, cast(FullLoads, engine))


@pytest.mark.parametrize("point", ["", "before", "after"])
def test_a_swap_that_was_broken_off_is_finished_by_whoever_comes_next(point: str) -> None:
    engine = Engine(fails_at=point)
    if point:
        with pytest.raises(Transient):
            keeper(engine).show()
        assert shown_generation(engine.view) == (1 if point == "before" else 2), "old or new, and whole"
    engine.fails_at = ""
    assert keeper(engine).show()
    assert shown_generation(engine.view) == 2
    assert len(engine.shown) == 1, "it is done once"
    assert keeper(engine).show()
    assert len(engine.shown) == 1


def test_what_shows_stays_until_there_is_a_table() -> None:
    engine = Engine(tables={1})
    assert not keeper(engine).show()
    assert shown_generation(engine.view) == 1
    engine.tables.add(2)
    assert keeper(engine).show()
    assert shown_generation(engine.view) == 2


def test_a_column_that_comes_during_the_swap_shows() -> None:
    @dataclass
    class Growing(Engine):
        """Its table has a column more by the time the first statement is carried out."""

        def held(self, table: Table) -> dict[str, Type] | None:
            more = {"late": Type("Int64")} if self.shown else {}
            return {"n": Type("Int64"), **more}

    engine = Growing()
    assert keeper(engine).show()
    assert "late" in str(engine.view)
    assert len(engine.shown) == 2


def test_it_goes_back_the_same_way() -> None:
    engine = Engine()
    keeper(engine).show()
    assert keeper(engine, 1, promotion=2).show()
    assert shown_generation(engine.view) == 1


def test_who_has_not_heard_of_it_does_not_put_an_older_one_back() -> None:
    engine = Engine()
    stale = keeper(engine)
    assert stale.show()
    assert keeper(engine, 1, promotion=2).show()
    with pytest.raises(OutrankedError):
        stale.show()
    assert shown_generation(engine.view) == 1


def test_a_promotion_counts_where_its_generation_shows_already() -> None:
    engine = Engine(view="SELECT n FROM shop.orders__g2")
    assert keeper(engine, 2, promotion=3).show()  # promoted, gone back from, promoted: what was between was never shown
    with pytest.raises(OutrankedError):
        keeper(engine, 1, promotion=2).show()
    assert shown_generation(engine.view) == 2


@pytest.mark.parametrize(
    ("selects", "generation"),
    [
        ("SELECT `n` FROM `shop`.`orders__g12`", 12),
        ("SELECT n FROM shop.orders__g3 FINAL WHERE n > 1", 3),
        ("SELECT n FROM shop.other", None),
        (None, None),
    ],
)
def test_what_a_view_shows_is_read_from_its_statement(selects: str | None, generation: int | None) -> None:
    assert shown_generation(selects) == generation


def test_only_the_table_of_the_live_generation_has_a_view() -> None:
    assert published(CONTRACT, 1).view == "orders"
    assert published(CONTRACT, 2, live=False).view is None

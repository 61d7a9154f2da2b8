"""Which parked rows have their parents, by the tables of reference data."""

from typing import Any

import pyarrow as pa
import pytest

from headrace.errors import Fatal
from headrace.stream.parking import Place, Waiting
from headrace.transform.engine import Engine
from headrace.transform.isolate import Overtaxed, RowError, TooCostly
from headrace.transform.reference import append, create
from services.transformer.adapters.arrivals import Arrivals
from tests.unit.transform.staged import contract


class Tables:
    """Reference data that a test changes."""

    def __init__(self, engine: Engine, values: pa.Array) -> None:
        self.engine, self.kind, self.changes = engine, values.type, 0
        engine.load((create("ref_shop__codes"), pa.RecordBatch.from_arrays([values.slice(0, 0)], names=["code"])))
        self.add(values)

    def add(self, values: pa.Array) -> None:
        added = pa.RecordBatch.from_arrays([values, pa.array([False] * len(values))], names=["code", "__deleted"])
        self.engine.load((append("ref_shop__codes", ["code"]), added))
        self.changes += len(values)

    def refresh(self) -> None:
        """They are always in step."""


def waiting(offset: int, wanted: str, rule: str = "references_code", wait_ms: int = 600_000) -> Waiting:
    return Waiting(Place(0, offset), 0, 0, None, b"", rule, "code", "shop.codes", "code", wanted, 5, 5 + wait_ms)


def arrivals(values: pa.Array, wait: str | None = "10m") -> tuple[Arrivals, Tables]:
    check = {"check": "references", "column": "code", "dataset": "shop.codes", "to": "code", "wait": wait}
    engine = Engine()
    tables: Any = Tables(engine, values)
    return Arrivals(engine, tables, contract(checks=[check])), tables


@pytest.mark.parametrize(
    ("values", "wanted", "found"),
    [
        (pa.array(["a", None, "it's"]), ["a", "b", "it's", ""], {0, 2}),
        (pa.array([1, 2]), ["1", "3", "x", "2.0"], {0, 3}),
        (pa.array([1.0, 2.5]), ["1", "2.5", "7"], {0, 1}),
        (pa.array([0], pa.timestamp("us", tz="UTC")), ["1970-01-01 00:00:00+00", "1970-01-02"], {0}),
    ],
)
def test_a_value_is_found_as_its_parent_has_it(values: pa.Array, wanted: list[str], found: set[int]) -> None:
    arrived, _ = arrivals(values)
    assert {place.offset for place in arrived([waiting(*each) for each in enumerate(wanted)], True)} == found


def test_rows_are_looked_for_again_when_the_reference_data_has_changed() -> None:
    arrived, tables = arrivals(pa.array(["a"]))
    rows = [waiting(0, "b")]
    assert arrived(rows, True) == set()
    tables.add(pa.array(["b"]))
    assert arrived(rows, False) == {(0, 0)}
    assert arrived(rows, False) == set()  # nothing has changed since
    assert arrived(rows, True) == {(0, 0)}


def test_rows_that_the_file_treats_otherwise_now_are_taken_up() -> None:
    rows = [waiting(0, "b"), waiting(1, "b", rule="other"), waiting(2, "b", wait_ms=9000)]
    assert arrivals(pa.array(["a"]))[0](rows, True) == {(0, 1), (0, 2)}
    assert arrivals(pa.array(["a"]), wait=None)[0](rows, True) == {(0, 0), (0, 1), (0, 2)}


@pytest.mark.parametrize("error", [TooCostly("it takes longer than 10 s", 10.0), RowError("odd"), Overtaxed("its end")])
def test_a_look_that_takes_too_much_says_what_it_was_and_what_to_do(error: Exception) -> None:
    arrived, tables = arrivals(pa.array(["a"]))

    def query(*_: Any) -> pa.RecordBatch:
        raise error

    tables.engine.query = query  # type: ignore[method-assign, assignment]
    with pytest.raises(Fatal, match=rf"have their parents in .*ref_shop__codes.*: {error}; give the transformer more"):
        arrived([waiting(0, "b")], True)

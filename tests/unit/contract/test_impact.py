"""What a new version of a dataset file changes in its table, held against what DuckDB makes of rows by both versions."""

from itertools import product
from typing import Final

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contract import Contract, compile_transform
from headrace.contract.impact import Impact, impact
from services.ingest.connectors.model.settings import ModelSource
from tests.unit.contract.documents import ORDERS, contract, edited, with_sql
from tests.unit.contract.random_transforms import COLUMNS, P, dataset, result_of, transforms, with_transform

#: (SQL before, SQL after) -> (columns, rules), as `name:kind`.
CASES: Final[dict[tuple[str, str], tuple[str, list[str]]]] = {
    ("SELECT a, b FROM input", "SELECT a,  b -- as before\nFROM input"): ("", []),
    ("SELECT a, b FROM input", "SELECT a, b + 1 AS b FROM input"): ("b:changed", []),
    ("SELECT a FROM input", "SELECT b AS a FROM input"): ("a:changed", []),
    ("SELECT a, b FROM input", "SELECT b, c FROM input"): ("c:added a:removed", []),
    ("SELECT * FROM input", "SELECT * EXCLUDE (Note) FROM input"): ("note:removed", []),
    ("SELECT * FROM input", "SELECT * REPLACE (upper(note) AS note) FROM input"): ("note:changed", []),
    ("SELECT * RENAME (a AS x) FROM input", "SELECT * RENAME (b AS x) FROM input"): ("b:removed x:changed a:added", []),
    ("SELECT a + 1 AS x, x * 2 AS y FROM input", "SELECT a + 2 AS x, x * 2 AS y FROM input"): ("x:changed y:changed", []),
    (
        "WITH d AS (SELECT a + 1 AS x, b FROM input) SELECT x * 2 AS y, b FROM d",
        "WITH d AS (SELECT a + 2 AS x, b FROM input) SELECT x * 2 AS y, b FROM d",
    ): ("y:changed", []),
    (
        "WITH d AS (SELECT a AS x, b AS y FROM input) SELECT x - y AS z FROM d",
        "WITH d AS (SELECT b AS x, a AS y FROM input) SELECT x - y AS z FROM d",
    ): ("z:changed", []),
    ("SELECT a FROM input", "SELECT a FROM input WHERE a > 0"): ("", ["a > 0:added"]),
    ("SELECT a FROM input WHERE a > 0", "SELECT a FROM input WHERE a > 1"): ("", ["a > 1:added", "a > 0:removed"]),
    (
        "WITH d AS (SELECT b AS x FROM input) SELECT x FROM d WHERE x > 0",
        "WITH d AS (SELECT c AS x FROM input) SELECT x FROM d WHERE x > 0",
    ): ("x:changed", ["x > 0:changed"]),
    (f"SELECT i.b, p.v FROM input i LEFT JOIN {P} ON p.k = i.a", f"SELECT i.b, p.v FROM input i LEFT JOIN {P} ON p.k = i.b"): (
        "v:changed", ["ON p.k = i.b:added", "ON p.k = i.a:removed"],
    ),
}  # fmt: skip


def told(found: Impact) -> tuple[str, list[str]]:
    return " ".join(f"{each.name}:{each.kind}" for each in found.columns), [
        f"{each.name}:{each.kind}" for each in found.rules
    ]


@pytest.mark.parametrize(("before", "after"), CASES)
def test_what_another_sql_changes(before: str, after: str) -> None:
    assert told(impact(with_transform(before), with_transform(after), {})) == CASES[before, after]


@settings(max_examples=60, deadline=None)
@given(transforms(), transforms(), st.tuples(*[st.integers(0, 4)] * 3))
def test_no_other_column_gets_another_value(
    database: duckdb.DuckDBPyConnection, before: str, after: str, row: tuple[int, ...]
) -> None:
    assert unexplained(database, with_transform(before), with_transform(after), row) == set()


@pytest.mark.parametrize(("before", "after"), CASES)
def test_in_duckdb_nothing_changes_that_was_not_told(
    database: duckdb.DuckDBPyConnection, before: str, after: str
) -> None:
    if "note" in f"{before}{after}".lower():
        return  # a column that the rows here do not have
    for row in product((0, 1, 2), repeat=3):
        assert unexplained(database, with_transform(before), with_transform(after), row) == set()


def test_it_is_seen_in_duckdb_when_something_is_not_told(database: duckdb.DuckDBPyConnection) -> None:
    before, after = with_transform("SELECT a, b FROM input"), with_transform("SELECT a, b + 1 AS b FROM input")
    assert unexplained(database, before, after, (1, 2, 3), Impact()) == {"b"}
    after = with_transform("SELECT a, b FROM input WHERE a > 1")
    assert unexplained(database, before, after, (1, 2, 3), Impact()) == {"rows"}


def unexplained(
    database: duckdb.DuckDBPyConnection,
    before: Contract,
    after: Contract,
    row: tuple[int, ...],
    found: Impact | None = None,
) -> set[str]:
    """What two versions make of one row that differs and is not told; `rows` is how many come out."""
    found = impact(before, after, {}) if found is None else found
    was, now = (result_of(database, compile_transform(each).sql, row) for each in (before, after))
    if len({len(values) for values in (*was.values(), *now.values())}) > 1:
        return set() if found.rules else {"rows"}
    expected = {each.name.lower() for each in found.columns}
    if found.others is not None:
        expected |= {*COLUMNS} - (was.keys() & now.keys())  # those of the source, which the file does not name
    return {
        name for name in {*was, *now} - {"__row"} if was.get(name) != now.get(name) and name.lower() not in expected
    }


DECLARED: Final = {
    "another type": (edited(("logicalType: number", "logicalType: integer")), ["total:changed"], []),
    "a description": (edited(("logicalType: number", "logicalType: number\n      description: In euros.")), [], []),
    "a check": (edited(("min: 0", "min: 1")), [], ["between_total:changed"]),
    "no check": (edited(("checks:\n  - check: between\n    column: total\n    min: 0\n", "")), [], ["between_total:removed"]),
    "severity": (edited(("min: 0", "min: 0\n    severity: flag")), [], ["between_total:changed"]),
    "a check described": (edited(("min: 0", "min: 0\n    description: Nobody pays less.")), [], []),
    "owner": (edited(("team: shop", "team: sales")), [], []),
}  # fmt: skip


@pytest.mark.parametrize(("text", "columns", "rules"), DECLARED.values(), ids=DECLARED.keys())
def test_what_another_declaration_changes(text: str, columns: list[str], rules: list[str]) -> None:
    assert told(impact(contract(ORDERS), contract(text), {})) == (" ".join(columns), rules)


def test_what_becomes_of_columns_that_are_not_named() -> None:
    star, few = with_transform("SELECT * FROM input"), with_transform("SELECT a FROM input")
    assert impact(star, few, {}) == Impact(others="removed")
    assert impact(few, star, {}).others == "added"
    assert impact(star, with_transform("SELECT *, 1 AS one FROM input"), {}).others is None
    closed = contract(
        ORDERS.replace("SELECT order_id, total", "SELECT *").replace("schema:", "schema:\n  evolution: discard")
    )
    assert impact(closed, contract(edited(("schema:", "schema:\n  evolution: discard"))), {}) == Impact()


def test_another_query_of_a_model_changes_every_column() -> None:
    made = [
        with_transform("SELECT day, n FROM input").model_copy(
            update={"source": ModelSource(type="model", sql=f"SELECT day, {value} AS n FROM ref('shop.prices')")}
        )
        for value in ("count()", "count() + 1")
    ]
    assert told(impact(made[0], made[1], {})) == ("day:changed n:changed", [])
    assert impact(made[0], made[0], {}) == Impact()


def test_another_hash_key_changes_what_is_hashed_and_nothing_else() -> None:
    head = with_sql("SELECT keyed_hash(a) AS h, mask(b, 1, 1) AS m, c FROM input")
    one, other = (contract(f"{head}  hash_key: secret://{name}\n") for name in ("one", "other"))
    assert told(impact(one, other, {})) == ("h:changed", [])


def test_a_new_dataset_changes_nothing() -> None:
    assert impact(None, contract(ORDERS), {}) == Impact()


def test_who_reads_what_changes() -> None:
    live = {
        **dataset("shop.prices", "SELECT id, price, name FROM input"),
        **dataset("shop.offers", "SELECT i.id, p.price AS offer FROM input AS i JOIN ref('shop.prices') AS p ON p.id = i.id"),
        **dataset("shop.sales", "SELECT i.id, o.offer FROM input AS i JOIN ref('shop.offers') AS o ON o.id = i.id"),
        **dataset("shop.names", "SELECT i.id, p.name FROM input AS i JOIN ref('shop.prices') AS p ON p.id = i.id"),
    }  # fmt: skip

    def after(sql: str) -> Impact:
        return impact(live["shop.prices"], dataset("shop.prices", sql)["shop.prices"], live)

    dearer = after("SELECT id, price + 1 AS price, name FROM input")
    assert [(each.dataset, each.via, each.reads) for each in dearer.readers] == [
        ("shop.offers", "shop.prices", ("price",)), ("shop.sales", "shop.offers", ("offer",)),
    ]  # fmt: skip
    assert dearer.reached == ()
    fewer = after("SELECT id, price, name FROM input WHERE price > 0")
    assert (fewer.readers, fewer.reached) == ((), ("shop.offers", "shop.names", "shop.sales"))
    more = after("SELECT id, price, name, 1 AS more FROM input")
    assert (more.readers, more.reached) == ((), ())

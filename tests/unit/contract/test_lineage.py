"""Which published columns, checks and datasets depend on a column, held against what DuckDB does when its value changes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contract import Contract, compile_transform
from headrace.contract.lineage import Outputs, Reader, checks_on, outputs_of, readers_of, settings_on
from headrace.contract.model import Transform
from services.ingest.connectors.dataset.settings import DatasetSource
from tests.unit.contract.documents import ORDERS, ROOT, contract, with_sql
from tests.unit.contract.random_transforms import COLUMNS, P, dataset, result_of, transforms, with_transform

#: SQL -> what becomes of the column `a` of `input`: (columns, unsure, dropped_by, matched_by).
CASES: Final[dict[str, tuple[str, str, list[str], list[str]]]] = {
    "SELECT * FROM input": ("a", "", [], []),
    "FROM input": ("a", "", [], []),
    "SELECT A, b FROM input": ("A", "", [], []),
    "SELECT b AS a FROM input": ("", "", [], []),
    "SELECT a AS x, a + b AS y, b AS z, 'a' AS w FROM input": ("x y", "", [], []),
    "SELECT CASE WHEN a > 1 THEN b ELSE c END AS x FROM input": ("x", "", [], []),
    "SELECT * EXCLUDE (a) FROM input": ("", "", [], []),
    "SELECT * EXCLUDE (A), a + 1 AS x FROM input": ("x", "", [], []),
    "SELECT * REPLACE (b + 1 AS a) FROM input": ("", "", [], []),
    "SELECT * REPLACE (a + b AS b) FROM input": ("a b", "", [], []),
    "SELECT * RENAME (a AS x) FROM input": ("x", "", [], []),
    "SELECT * RENAME (b AS x), a * 2 AS y FROM input": ("a y", "", [], []),
    "SELECT b, * LIKE 'a%' FROM input": ("", "a", [], []),
    "SELECT b, * SIMILAR TO 'a|c' FROM input": ("", "a", [], []),
    "SELECT i.* EXCLUDE (b) FROM input AS i": ("a", "", [], []),
    # aliases made further left, which DuckDB takes only where the tables have no such column
    "SELECT a + 1 AS x, x * 2 AS y FROM input": ("x y", "", [], []),
    "WITH d AS (SELECT a, b FROM input) SELECT a AS b, b + 1 AS y FROM d": ("b", "", [], []),
    "SELECT a AS x FROM input WHERE x > 1": ("x", "", ["x > 1"], []),
    # steps
    "WITH d AS (SELECT *, a + 1 AS x FROM input) SELECT x, b FROM d": ("x", "", [], []),
    "WITH d AS (SELECT * EXCLUDE (a), a + 1 AS x FROM input), e AS (SELECT * REPLACE (b AS x) FROM d) SELECT * FROM e": (
        "", "", [], [],
    ),
    "WITH d AS (SELECT a AS q, b FROM input) SELECT *, 1 AS q FROM d": ("q", "", [], []),
    "WITH d AS (SELECT b FROM input WHERE a > 0 AND (b > 0 OR a IS NOT NULL) AND c > 0) SELECT * FROM d": (
        "", "", ["a > 0", "b > 0 OR a IS NOT NULL"], [],
    ),
    # what the row itself, or a position, reads
    # what the parser does not take for a column
    "SELECT a.abs() AS x, i.a.abs() AS y, (b + i.a).abs() AS z, b.abs() AS w FROM input AS i": ("x y z", "", [], []),
    "SELECT ('x' || a).upper().concat(b) AS x, 'y'.concat(a) AS y FROM input": ("x y", "", [], []),
    "SELECT date_trunc('day', make_date(2000 + a, 1, 1)) AS x, b::VARCHAR COLLATE nocase AS y FROM input": ("x", "", [], []),
    "SELECT struct_pack(a := b) AS x, {'a': b} AS y, {'b': a} AS z FROM input": ("z", "", [], []),
    "SELECT CAST({'a': b} AS STRUCT(a BIGINT)) AS x, INTERVAL (a) DAY AS y FROM input": ("y", "", [], []),
    # what a lambda or a comprehension binds is another thing, but where DuckDB looks for a column first
    "SELECT list_transform([b], lambda a: a + 1) AS x, list_transform([b], lambda x: x + a) AS y FROM input": ("y", "", [], []),
    "SELECT list_transform([b], lambda a: a.abs()) AS x, list_transform([b], lambda z: z.abs()) AS y FROM input": (
        "x", "", [], [],
    ),
    "SELECT list_transform([{'v': a}], lambda x: x.v) AS x, list_transform([{'a': b}], lambda input: input.a) AS y FROM input": (
        "x y", "", [], [],
    ),
    "SELECT [x + a FOR x IN [b]] AS x, [x FOR x IN [b] IF a > 0] AS y, [a FOR a IN [a]] AS z, [a FOR a IN [b]] AS w FROM input": (
        "x y z", "", [], [],
    ),
    "WITH d AS (SELECT {'v': a} AS s, b FROM input) SELECT list_transform([{'v': b}], lambda s: s.v) AS x, "
    "list_transform([{'v': b}], lambda d: d.v) AS y FROM d": ("x", "", [], []),
    f"SELECT list_transform([i.b], lambda x: x.abs()) AS x FROM input AS i LEFT JOIN {P} ON p.k = i.a": (
        "", "x", [], ["ON p.k = i.a"],
    ),
    # structs
    "WITH d AS (SELECT {'x': a, 'y': b} AS s FROM input) SELECT s.x AS u, d.s.y AS v, 1 AS w FROM d": ("u v", "", [], []),
    "WITH d AS (SELECT {'b': a} AS d, c FROM input) SELECT d.b AS u, c FROM d": ("u", "", [], []),
    # joins
    f"SELECT i.b, p.v FROM input AS i JOIN {P} ON p.k = i.a": ("v", "", ["ON p.k = i.a"], []),
    f"SELECT i.b, p.v FROM input AS i LEFT JOIN {P} ON p.k = i.a": ("v", "", [], ["ON p.k = i.a"]),
    f"SELECT i.b, p.v FROM input AS i LEFT JOIN {P} ON p.k = i.a WHERE p.v IS NOT NULL": (
        "v", "", ["p.v IS NOT NULL"], ["ON p.k = i.a"],
    ),
    f"SELECT i.*, p.v FROM input AS i JOIN {P} ON p.k = i.b": ("a", "", [], []),
    f"SELECT b, v, c.abs() AS y FROM input JOIN {P} ON k = a": ("", "b v y", ["ON k = a"], []),
    f"WITH d AS (SELECT a, b FROM input) SELECT b, v FROM d JOIN {P} ON k = a": ("v", "", ["ON k = a"], []),
    f"SELECT i.b, q.v FROM input AS i LEFT JOIN {P} ON p.k = i.a LEFT JOIN ref('shop.products') AS q ON q.k = p.v": (
        "v", "", [], ["ON p.k = i.a", "ON q.k = p.v"],
    ),
    f"WITH d AS (SELECT i.a AS k, i.b FROM input AS i) SELECT d.b, p.v FROM d JOIN {P} USING (k)": ("v", "", ["USING (k)"], []),
    "SELECT products.v, input.b FROM input JOIN ref('shop.products') ON products.k = input.a": (
        "v", "", ["ON products.k = input.a"], [],
    ),
    # several rows of one
    "SELECT b, unnest(CASE WHEN a > 0 THEN [a, b] ELSE [] END) AS x FROM input": (
        "x", "", ["UNNEST(CASE WHEN a > 0 THEN [a, b] ELSE [] END)"], [],
    ),
    "SELECT b, regexp_split_to_table(a::VARCHAR, '0') AS x FROM input": (
        "x", "", ["REGEXP_SPLIT_TO_TABLE(CAST(a AS TEXT), '0')"], [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("sql", CASES)
def test_what_becomes_of_a_column(sql: str) -> None:
    columns, unsure, dropped_by, matched_by = CASES[sql]
    told = outputs_of(contract(with_sql(sql)), "a")
    assert told == Outputs(tuple(columns.split()), tuple(unsure.split()), tuple(dropped_by), tuple(matched_by))


def test_a_condition_is_worded_as_in_the_ledger() -> None:
    dropping = contract(
        with_sql("WITH d AS (SELECT * FROM input WHERE NOT a IS NULL AND b > 0) SELECT * FROM d WHERE (a < 9)")
    )
    assert outputs_of(dropping, "a").dropped_by == ("a IS NOT NULL", "a < 9")
    assert set(outputs_of(dropping, "a").dropped_by) < set(compile_transform(dropping).rules)


@pytest.mark.parametrize("sql", CASES)
def test_in_duckdb_nothing_changes_that_was_not_told(sql: str, database: duckdb.DuckDBPyConnection) -> None:
    transform = with_transform(sql)
    assert unexplained(database, transform, (1, 2, 3), (0, None)) == set()
    assert unexplained(database, transform, (0, 1, 2), (2, 3)) == set()


def test_it_is_seen_in_duckdb_when_something_is_not_told(database: duckdb.DuckDBPyConnection) -> None:
    def without(part: str) -> Callable[[Contract, str], Outputs]:
        return lambda contract, column: replace(outputs_of(contract, column), **{part: ()})

    computing = with_transform("SELECT a + 1 AS x, b FROM input")
    assert unexplained(database, computing, (1, 2, 3), (5,), without("columns")) == {"a: x", "b: b"}
    dropping = with_transform("SELECT 1 AS x FROM input WHERE a > 0")
    assert unexplained(database, dropping, (1, 2, 3), (0,), without("dropped_by")) == {"a: rows"}
    repeating = with_transform(f"SELECT 1 AS x FROM input AS i LEFT JOIN {P} ON p.k = i.a")
    assert unexplained(database, repeating, (1, 2, 3), (2,), without("matched_by")) == {"a: rows"}


@settings(max_examples=40, deadline=None)
@given(transforms(), st.tuples(*[st.integers(0, 4)] * 3), st.one_of(st.none(), st.integers(0, 4)))
def test_whatever_the_sql_nothing_changes_that_was_not_told(
    database: duckdb.DuckDBPyConnection, sql: str, row: tuple[int, ...], value: int | None
) -> None:
    assert unexplained(database, with_transform(sql), row, (value,)) == set()


def unexplained(
    database: duckdb.DuckDBPyConnection,
    transform: Contract,
    row: Sequence[int | None],
    values: Sequence[int | None],
    told_by: Callable[[Contract, str], Outputs] = outputs_of,
) -> set[str]:
    """What changes in the result of a transform, when one column of its only row gets one of the values, and is not told.

    `a: x` is the column x when a changes, `a: rows` how many come out.
    """
    sql = compile_transform(transform).sql
    found: set[str] = set()
    before = result_of(database, sql, row)
    for at, column in enumerate(COLUMNS):
        told = told_by(transform, column)
        expected = {name.lower() for name in (*told.columns, *told.unsure)}
        for value in values:
            after = result_of(database, sql, [*row[:at], value, *row[at + 1 :]])
            changed = {name for name in before if before[name] != after[name]}
            if any(len(before[name]) != len(after[name]) for name in before):
                changed = set() if told.dropped_by or told.matched_by else {"rows"}
            found |= {f"{column}: {name}" for name in changed if name.lower() not in expected}
    return found


def test_without_sql_a_column_is_itself() -> None:
    plain = contract(ORDERS.replace(ORDERS[ORDERS.index("transform:") : ORDERS.index("checks:")], ""))
    assert plain.transform.sql is None
    assert outputs_of(plain, "total") == Outputs(("total",))


@pytest.mark.parametrize(
    ("evolution", "columns"), [("evolve", ("NOTE", "total")), ("discard", ("total",)), ("quarantine", ("total",))]
)
def test_a_column_that_is_not_published_is_no_output(evolution: str, columns: tuple[str, ...]) -> None:
    text = ORDERS.replace("SELECT order_id, total", "SELECT * REPLACE (note AS TOTAL)")
    declared = contract(text.replace("schema:", f"schema:\n  evolution: {evolution}"))
    assert outputs_of(declared, "NOTE").columns == columns
    assert outputs_of(declared, "ORDER_ID").columns == ("order_id",)


def test_checks_and_settings_on_a_column() -> None:
    checked = contract(
        ORDERS.replace("    min: 0\n", "    min: 0\n  - {check: expression, name: cheap, sql: Total.abs() < 9}\n")
        + "sla:\n  - {property: availability, value: 1}\n  - {property: freshness, value: 1, element: total}\n"
        + "retention: {value: 1, element: order_id}\n"
    )
    assert checks_on(checked, ["total"]) == ("between_total", "cheap")
    assert checks_on(checked, ["order_id"]) == ()
    assert settings_on(checked, ["order_id"]) == ("key", "retention.element")
    assert settings_on(checked, ["TOTAL", "order_id"]) == ("key", "retention.element", "sla[1].element")
    assert settings_on(checked, ["other"]) == ()


@pytest.fixture(scope="module")
def nyc() -> dict[str, Contract]:
    loaded = [contract(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "examples/nyc").glob("*.yaml"))]
    return {each.dataset: each for each in loaded}


def test_what_depends_on_the_columns_of_flights(nyc: dict[str, Contract]) -> None:
    flights = nyc["nyc.flights"]
    assert outputs_of(flights, "dep_time") == Outputs(dropped_by=("dep_time IS NOT NULL",))
    assert outputs_of(flights, "dest") == Outputs(("dest",))
    assert checks_on(flights, ["dest"]) == ("references_dest",)
    delayed = outputs_of(flights, "dep_delay")
    assert delayed == Outputs(("departure", "departure_local", "arrival_local", "dep_delay", "gained_min"))
    assert checks_on(flights, delayed.columns) == ("between_dep_delay", "arrival_known")
    assert settings_on(flights, outputs_of(flights, "carrier").columns) == ("load.order_by",)
    assert outputs_of(flights, "time_hour") == Outputs()


def test_each_column_of_flights_changes_what_is_told_and_nothing_else(nyc: dict[str, Contract]) -> None:
    numbers = {
        "year": 2013, "month": 6, "day": 30, "hour": 21, "minute": 45, "dep_time": 2250, "dep_delay": 65, "sched_dep_time": 2145,
        "sched_arr_time": 30, "arr_time": 107, "arr_delay": 37, "air_time": 297, "distance": 2454, "flight": 1545,
    }  # fmt: skip
    words = {"carrier": "UA", "tailnum": "N1", "origin": "EWR", "dest": "LAX", "time_hour": "2013-06-30T21:00:00Z"}
    row: dict[str, Any] = numbers | words
    others = {name: value - 1 for name, value in numbers.items()} | {name: f"{value}." for name, value in words.items()}
    others["dep_delay"] = numbers["dep_delay"] + 24 * 60  # of an arrival only the day it is after counts
    result = f"SELECT * EXCLUDE (__row) FROM ({compile_transform(nyc['nyc.flights']).sql})"
    with duckdb.connect(":memory:") as connection:

        def published(values: dict[str, Any]) -> dict[str, Any]:
            connection.register("input", pa.Table.from_pylist([{"__row": 1, **values}]))
            [only] = connection.sql(result).to_arrow_table().to_pylist()
            return dict(only)

        before = published(row)
        for column, other in others.items():
            after = published({**row, column: other})
            changed = {name for name in before if before[name] != after[name]}
            told = set(outputs_of(nyc["nyc.flights"], column).columns)
            if column in ("hour", "minute"):  # another day they cannot make
                assert changed < told
            else:
                assert changed == told, column


def test_who_reads_the_airports(nyc: dict[str, Contract]) -> None:
    readers = readers_of("nyc.airports", ["faa", "tz"], nyc)
    assert readers == (
        Reader("nyc.flights", "nyc.airports", ("faa",), Outputs(), ("references_dest",)),
        Reader("nyc.weather", "nyc.airports", ("faa",), Outputs(), ("references_origin",)),
    )
    assert readers_of("nyc.airports", ["tz"], nyc) == ()


def test_readers_are_followed_through_what_they_compute() -> None:
    join = "SELECT i.id, p.{} AS {}, p.same FROM input AS i {} JOIN ref('shop.{}') AS p ON p.id = i.id"
    contracts = {
        **dataset("shop.prices", "SELECT * FROM input"),
        **dataset("shop.offers", join.format("price", "offer", "LEFT", "prices")),
        **dataset(
            "shop.sales",
            "SELECT i.id, o.offer * p.price AS paid FROM input AS i JOIN ref('shop.offers') AS o ON o.id = i.id "
            "JOIN ref('shop.prices') AS p ON p.id = o.offer WHERE o.offer > 0",
        ),
        **dataset("shop.report", join.format("paid", "total", "", "sales")),
        **dataset("shop.others", join.format("other", "other", "", "sales")),
    }
    told = readers_of("shop.prices", ["price"], contracts)
    assert told == (
        Reader("shop.offers", "shop.prices", ("price",), Outputs(("offer",)), ()),
        Reader("shop.sales", "shop.prices", ("price",), Outputs(("paid",)), ()),
        Reader(
            "shop.sales", "shop.offers", ("offer",), Outputs(("paid",), (), ("ON p.id = o.offer", "o.offer > 0")), ()
        ),
        Reader("shop.report", "shop.sales", ("paid",), Outputs(("total",)), ()),
    )
    assert {reader.dataset for reader in readers_of("shop.prices", ["same"], contracts)} == {"shop.offers"}
    matched = readers_of("shop.prices", ["id"], contracts)
    assert matched[0] == Reader(
        "shop.offers", "shop.prices", ("id",), Outputs(("offer", "same"), (), (), ("ON p.id = i.id",)), ()
    )


def test_a_dataset_whose_source_is_another_reads_it() -> None:
    source = DatasetSource(type="dataset", dataset="shop.prices")
    (branch,) = dataset("shop.large", "SELECT id, price * 2 AS twice FROM input WHERE amount > 10").values()
    branch = branch.model_copy(update={"source": source})
    copy = branch.model_copy(update={"dataset": "shop.copy", "transform": Transform(sql=None)})
    contracts = {**dataset("shop.prices", "SELECT * FROM input"), branch.dataset: branch, copy.dataset: copy}
    assert readers_of("shop.prices", ["price"], contracts) == (
        Reader("shop.large", "shop.prices", ("price",), Outputs(("twice",)), ()),
        Reader("shop.copy", "shop.prices", ("price",), Outputs(("price",)), ()),
    )
    assert readers_of("shop.prices", ["amount"], contracts)[0].outputs == Outputs((), (), ("amount > 10",))
    assert [reader.dataset for reader in readers_of("shop.prices", ["other"], contracts)] == ["shop.copy"]


def test_what_is_unsure_stays_so_downstream() -> None:
    contracts = {
        **dataset("shop.names", "SELECT id, price, name FROM input JOIN ref('shop.prices') AS p ON p.key = input.id"),
        **dataset("shop.ends", "SELECT i.id, n.name FROM input AS i JOIN ref('shop.names') AS n ON n.id = i.id"),
    }
    first, second = readers_of("shop.prices", ["key"], contracts)
    assert (first.dataset, first.outputs.columns, first.outputs.unsure) == ("shop.names", (), ("id", "price", "name"))
    assert (second.dataset, second.outputs.columns, second.outputs.unsure) == ("shop.ends", (), ("name",))
    assert second.reads == ("id", "name")
    assert readers_of("shop.prices", ["price"], contracts)[0].outputs.columns == ("price",)


def test_datasets_that_read_each_other_are_followed_once() -> None:
    contracts = {
        **dataset("shop.one", "SELECT i.id, t.x FROM input AS i JOIN ref('shop.two') AS t ON t.id = i.id"),
        **dataset("shop.two", "SELECT i.id, o.x FROM input AS i JOIN ref('shop.one') AS o ON o.id = i.id"),
    }
    assert [(reader.dataset, reader.via) for reader in readers_of("shop.one", ["x"], contracts)] == [
        ("shop.two", "shop.one"), ("shop.one", "shop.two"),
    ]  # fmt: skip

"""What the guard takes for a name of a WITH is none of the engine's tables: random queries over names that are both."""

from typing import Any

import chdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.sql_guard import RefusedQueryError, guarded

NAMES = st.sampled_from(["t", "u"])
SECRET = "it is in the table"


def selects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    source = NAMES | inner.map(lambda query: f"({query}) AS q")
    return st.one_of(
        source.map(lambda each: f"SELECT x FROM {each}"),
        st.tuples(source, inner).map(lambda both: f"SELECT x FROM {both[0]} WHERE x IN ({both[1]}) OR 1"),
        inner.map(lambda query: f"SELECT toString(any(x)) AS x FROM ({query}) AS q"),
    )


def named(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = st.one_of(
        st.tuples(NAMES, inner).map(lambda both: f"{both[0]} AS ({both[1]})"), NAMES.map(lambda name: f"'v' AS {name}")
    )
    several = st.lists(one, min_size=1, max_size=2).map(", ".join)
    return st.tuples(st.sampled_from(["WITH ", "WITH RECURSIVE "]), several, inner).map(
        lambda parts: f"{parts[0]}{parts[1]} {parts[2]}"
    )


def united(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    part = inner | inner.map(lambda query: f"({query})")
    return st.lists(part, min_size=2, max_size=3).map(" UNION ALL ".join)


QUERIES = st.recursive(
    st.just("SELECT 'a' AS x") | NAMES.map(lambda name: f"SELECT x FROM {name}"),
    lambda inner: selects(inner) | named(inner) | named(inner) | united(inner),
    max_leaves=8,
)


class Engine:
    """ClickHouse in this process, with tables of these names."""

    def __init__(self) -> None:
        self._session = chdb.connect(":memory:")
        for name in ("t", "u"):
            self._session.query(f"CREATE OR REPLACE TABLE default.{name} (x String) ENGINE = Memory")
            self._session.query(f"INSERT INTO default.{name} VALUES ('{SECRET}')")

    def gives(self, sql: str) -> str:
        """All that a query gives; nothing where the engine refuses it."""
        try:
            return str(self._session.query(f"{sql} SETTINGS max_recursive_cte_evaluation_depth = 5"))
        except Exception:
            return ""


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@given(QUERIES)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_query_that_passes_reads_a_table_of_the_engines_own(engine: Engine, sql: str) -> None:
    try:
        sent = guarded(sql, {"nyc"}, 50)
    except RefusedQueryError:
        return
    assert SECRET not in engine.gives(sent), sent


def test_the_control_the_engine_gives_it_to_whoever_asks(engine: Engine) -> None:
    assert SECRET in engine.gives("SELECT x FROM t WHERE 'a' IN (WITH t AS (SELECT 'a') SELECT * FROM t)")


def test_the_control_many_of_these_queries_pass_and_give_something(engine: Engine) -> None:
    passed: list[Any] = []

    @given(QUERIES)
    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def count(sql: str) -> None:
        try:
            passed.append(engine.gives(guarded(sql, {"nyc"}, 50)))
        except RefusedQueryError:
            return

    count()
    assert sum(map(bool, passed)) >= 10

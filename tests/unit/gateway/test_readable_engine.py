"""A query under a policy gives what it gives over a table that has only what somebody may see: chDB is the oracle."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.core.readable import reading, rewritten
from tests.unit.gateway.policed import OWN, Engine

TABLES: Final = ("flights", "planes", "open")

tables = st.sampled_from(TABLES)
numbers = st.recursive(
    st.sampled_from(["id", "n", "toInt32(name)", "length(name)", "intDiv(60, n)", "3", "toInt64OrNull(note)"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda each: f"ifNull({each}, 0)"),
        inner.map(lambda each: f"arraySum(x -> ifNull(x, 1), [{each}])"),
        tables.map(lambda table: f"(SELECT count() FROM {{d}}.{table})"),
        tables.map(lambda table: f"(SELECT sum(toInt32(name)) FROM {{d}}.{table} WHERE id < 5)"),
    ),
    max_leaves=3,
)
conditions = st.recursive(
    st.one_of(
        st.tuples(numbers, st.sampled_from(["=", "<", ">", "!="]), numbers).map(" ".join),
        st.sampled_from(
            ["name = 'secret'", "name LIKE '1%'", "note IS NULL", "tenant = 'b'", "toInt32(name) > 11", "60 % n = 0"]
        ),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda each: f"NOT ({each})"),
        st.tuples(tables, inner).map(lambda each: f"id IN (SELECT toInt64(id) FROM {{d}}.{each[0]} WHERE {each[1]})"),
        st.tuples(tables, inner).map(lambda each: f"EXISTS (SELECT 1 FROM {{d}}.{each[0]} WHERE {each[1]})"),
    ),
    max_leaves=3,
)
QUERIES = st.one_of(
    st.tuples(tables, conditions).map(lambda each: f"SELECT * FROM {{d}}.{each[0]} WHERE {each[1]}"),
    st.tuples(numbers, tables, conditions).map(
        lambda each: "SELECT {} AS v, id FROM {{d}}.{} AS q WHERE {}".format(*each)
    ),
    st.tuples(numbers, tables, conditions).map(
        lambda each: "SELECT sum({0}), count(), {0} AS k FROM {{d}}.{1} WHERE {2} GROUP BY k".format(*each)
    ),
    st.tuples(tables, tables, conditions).map(
        lambda each: (
            f"SELECT one.id, two.name FROM {{d}}.{each[0]} AS one JOIN (SELECT * FROM {{d}}.{each[1]} WHERE {each[2]}) AS two "
            "ON toInt32(one.name) = toInt32(two.name)"
        )
    ),
    st.tuples(tables, tables).map(
        lambda each: (
            f"SELECT one.id FROM {{d}}.{each[0]} AS one, {{d}}.{each[1]} AS two WHERE toInt32(one.name) = two.id + 10"
        )
    ),
    st.tuples(tables, conditions, tables, conditions).map(
        lambda each: (
            f"WITH some AS (SELECT * FROM {{d}}.{each[0]} WHERE {each[1]}), tenant AS (SELECT 1 AS tenant) "
            f"SELECT id, name FROM some UNION ALL SELECT id, name FROM {{d}}.{each[2]} WHERE {each[3]}"
        )
    ),
    st.tuples(numbers, tables).map(
        lambda each: (
            "SELECT id, sum(toInt32(name)) OVER (PARTITION BY tenant ORDER BY id), {} AS v FROM {{d}}.{}".format(*each)
        )
    ),
    st.tuples(numbers, tables).map(lambda each: "SELECT DISTINCT {} AS v FROM {{d}}.{} ORDER BY v".format(*each)),
    tables.map(lambda table: f"SELECT {{d}}.{table}.id, {table}.name FROM {{d}}.{table} ARRAY JOIN [1, 2] AS twice"),
    tables.map(lambda table: f"SELECT * EXCEPT (id) REPLACE (toInt32(name) AS name) FROM {{d}}.{table}"),
    tables.map(lambda table: f"SELECT COLUMNS('na|id') APPLY(toString) FROM {{d}}.{table}"),
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def policed(template: str) -> str:
    return rewritten(reading(template.format(d="nyc")), OWN, {"nyc"}, 1000)


def bare(template: str) -> str:
    return template.format(d="nyc")


def differing(engine: Engine, sent: Callable[[str], str], number: int) -> list[str]:
    """Of so many random queries those that give something else over the whole table than over the part."""
    found: list[str] = []

    @given(QUERIES)
    @settings(max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def each(template: str) -> None:
        if engine.gives(sent(template)) != engine.gives(template.format(d="seen")):
            found.append(template)

    each()
    return found


@given(QUERIES)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_query_gives_what_it_gives_over_what_somebody_may_see(engine: Engine, template: str) -> None:
    sent = policed(template)
    assert engine.gives(sent) == engine.gives(template.format(d="seen")), sent


def test_the_control_without_the_policy_they_give_more(engine: Engine) -> None:
    assert len(differing(engine, bare, 40)) >= 8


def test_the_control_without_the_barrier_the_engine_computes_of_hidden_rows(engine: Engine) -> None:
    def unprotected(template: str) -> str:
        return policed(template).replace(f" LIMIT {2**64 - 1}", "")

    join = "SELECT count() FROM {d}.planes AS a JOIN (SELECT toInt32(11) AS k) AS b ON toInt32(a.name) = b.k"
    lazy = " SETTINGS query_plan_filter_push_down = 0, query_plan_merge_filters = 0, enable_optimize_predicate_expression = 0"
    assert engine.gives(policed(join) + lazy) == engine.gives(join.format(d="seen")) == ("rows", ["2"])
    assert engine.gives(unprotected(join) + lazy)[0] == "error"

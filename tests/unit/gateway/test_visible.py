"""What somebody sees of a table is what a filtered and masked copy of it has. The engine is the judge."""

import json
from typing import Any

import chdb
import pytest

from headrace.access.policy import Sight
from headrace.sql_guard import RefusedQueryError
from services.gateway.core.visible import visible

TABLE = """(SELECT number AS id, ['EU', 'US', NULL][number % 3 + 1] AS region, concat('p', toString(number)) AS `na``me`,
    [number] AS tags,
    CAST((number, 'x'), 'Tuple(a UInt64, b String)') AS pair, map('k', number) AS attributes, toDate('2026-01-01') AS day
    FROM numbers(6))"""
COLUMNS = ["id", "region", "na`me", "tags", "pair", "attributes", "day"]
EU, FEW = "(region = 'EU')", "(id < 3)"


def rows(sql: str) -> list[dict[str, Any]]:
    lines = str(chdb.query(sql, "JSONEachRow")).splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    "sight",
    [
        Sight(),
        Sight((EU,)),
        Sight((EU, FEW)),
        Sight(()),
        Sight("all", {"na`me": (), "tags": (), "pair": (), "attributes": (), "day": ()}),
        Sight((EU, FEW), {"region": (FEW,), "na`me": (EU,)}),
        Sight("all", {}, frozenset({"id"}), others=()),
    ],
)
def test_it_is_a_filtered_and_masked_copy(sight: Sight) -> None:
    def meets(row: dict[str, Any], where: Any) -> bool:
        true = {EU: row["region"] == "EU", FEW: int(row["id"]) < 3}
        return where == "all" or any(true[condition] for condition in where)

    copy = [
        {name: value if meets(row, sight.of_column(name)) else None for name, value in row.items()}
        for row in rows(f"SELECT * FROM {TABLE}")
        if meets(row, sight.rows)
    ]
    assert rows(f"SELECT * FROM {visible(TABLE, COLUMNS, sight)}") == copy


def test_nothing_is_found_out_by_filtering_by_what_is_hidden() -> None:
    seen = visible(TABLE, COLUMNS, Sight("all", {"na`me": (FEW,)}))
    assert [row["id"] for row in rows(f"SELECT id FROM {seen} WHERE `na``me` >= 'p2' ORDER BY id")] == [2]
    assert len(rows(f"SELECT id FROM {TABLE} WHERE `na``me` >= 'p2'")) == 4  # the control: it would be


def test_a_condition_sees_what_it_hides() -> None:
    """A name in it is the column of the table, not the masked one beside it."""
    seen = visible(TABLE, COLUMNS, Sight((EU,), {"region": ()}))
    assert [(row["id"], row["region"]) for row in rows(f"SELECT * FROM {seen}")] == [(0, None), (3, None)]


def test_a_condition_that_does_not_fit_shows_nothing_whatever_the_query_around_it_names_so() -> None:
    around = "SELECT id FROM {} WHERE (('a' AS tenant) = 'a')"
    with pytest.raises(RefusedQueryError, match=r"nyc\.flights cannot be read"):
        visible("`nyc`.`flights`", COLUMNS, Sight(("(tenant = 'a')",)))
    unchecked = f"(SELECT id FROM (SELECT * FROM {TABLE} WHERE tenant = 'a') LIMIT 100)"
    assert len(rows(around.format(unchecked))) == 6  # the control: the query's own name would answer

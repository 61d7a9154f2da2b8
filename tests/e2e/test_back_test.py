"""What a back-test says would become of rows is what becomes of them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from headrace.client import ApiError, BackTestPart
from tests.stack import Platform

DOCUMENT = """\
dataset: {name}
description: a test of back-tests
owner: {{team: tests}}
source: {{type: http_push}}
{more}
"""
ROWS = [{"id": n, "amount": n - 3, "country": "ch" if n % 2 else "li"} for n in range(20)]


def applied(platform: Platform, name: str, more: str, rows: Sequence[Mapping[str, Any]]) -> str:
    platform.client.datasets.apply(name, DOCUMENT.format(name=name, more=more))
    platform.push(name, rows)
    platform.client.datasets.wait_settled(name, timeout_s=120)
    return name


def named(kind: str) -> str:
    return f"bt.{kind}_{uuid.uuid4().hex[:8]}"


def report(platform: Platform, name: str, more: str, rows: int = 1000) -> BackTestPart:
    *progress, last = platform.client.datasets.back_test(DOCUMENT.format(name=name, more=more), rows)
    assert {part.part for part in progress} <= {"progress"}
    assert last.part == "report", last.message
    return last


@pytest.fixture(scope="module")
def countries(platform: Platform) -> str:
    return applied(platform, named("countries"), "key: [code]\nload: {mode: upsert}", [{"code": "ch"}])


@pytest.fixture(scope="module")
def orders(platform: Platform) -> str:
    return applied(platform, named("orders"), "transform: {sql: 'SELECT *, amount * 2 AS twice FROM input'}", ROWS)


def test_it_says_what_applying_then_does(platform: Platform, countries: str, orders: str) -> None:
    """The control: the live version against itself finds nothing."""
    same = "transform: {sql: 'SELECT *, amount * 2 AS twice FROM input'}"
    nothing = report(platform, orders, same)
    assert (nothing.rows, nothing.moves, nothing.columns) == (20, (), ())

    stricter = f"""\
transform: {{sql: "SELECT *, amount * 3 AS twice FROM input WHERE id != 19"}}
checks:
  - {{name: known, check: references, column: country, dataset: {countries}, to: code}}
  - {{name: positive, check: between, column: amount, min: 0}}
"""
    found = report(platform, orders, stricter)
    fates = {(each.fate, each.rule): (each.before, each.after) for each in found.fates}
    assert fates[("loaded", "")] == (20, 8)
    assert fates[("filtered", "id <> 19")] == (0, 1)
    assert sum(after for (fate, _), (_, after) in fates.items() if fate == "quarantined") == 11
    [column] = found.columns
    assert (column.column, column.rows, found.compared) == ("twice", 7, 8)  # three times nothing is twice nothing
    assert found.version == platform.client.datasets.get(orders).version

    # Under a name of its own: rows that are pushed right behind a new version may still meet the old one.
    books = platform.client.datasets.ledger(applied(platform, named("stricter"), stricter, ROWS))
    assert (books.loaded, sum(books.quarantined.values()), books.filtered_rows) == (8, 11, 1)


def test_only_the_newest_rows_are_put_to_it(platform: Platform) -> None:
    name = applied(platform, named("few"), "partitions: 1", ROWS)
    same = DOCUMENT.format(name=name, more="partitions: 1")
    *_, hour = platform.client.datasets.back_test(same, hours=1)
    *_, bounded = platform.client.datasets.back_test(same, 10, hours=1)
    assert (hour.rows, hour.left_out) == (20, 0)
    assert (bounded.rows <= 10, bounded.left_out >= 10) == (True, True)
    found = report(platform, name, "partitions: 1\nchecks: [{check: between, column: id, max: 17}]", rows=10)
    assert found.rows <= 10
    [move] = found.moves
    assert move.rows == 2


def test_a_column_that_came_later_can_be_named(platform: Platform) -> None:
    name = applied(platform, named("grown"), "partitions: 1", [{"id": 1}])
    platform.push(name, [{"id": 2, "note": "new"}])
    platform.client.datasets.wait_settled(name, timeout_s=120)
    found = report(platform, name, "partitions: 1\ntransform: {sql: 'SELECT id, upper(note) AS note FROM input'}")
    assert (found.rows, [(each.column, each.rows) for each in found.columns]) == (2, [("note", 1)])


def test_what_cannot_be_tried_is_said(platform: Platform, orders: str) -> None:
    wrong = DOCUMENT.format(name=orders, more="transform: {sql: 'SELECT amuont FROM input'}")
    *_, last = platform.client.datasets.back_test(wrong, 10)
    assert last.part == "failure"
    assert "amuont" in last.message
    with pytest.raises(ApiError, match="there is no dataset"):
        list(platform.client.datasets.back_test(DOCUMENT.format(name="bt.nobody", more=""), 10))

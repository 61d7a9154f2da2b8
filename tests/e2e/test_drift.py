"""A source changes without notice: its rows are held, somebody decides, and every value arrives, from the first row on."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from headrace.client import ApiError, Drift, QuarantineOutcome
from headrace.client.groups.drift import DriftAct
from tests.stack import Platform, eventually

DOCUMENT = """\
dataset: {name}
description: a test of drift
owner: {{team: tests}}
source: {{type: http_push}}
schema: {{evolution: quarantine}}
{more}
"""


def made(platform: Platform, rows: Sequence[Mapping[str, Any]], more: str = "") -> str:
    """A dataset whose source has given these rows so far."""
    name = f"drift.t_{uuid.uuid4().hex[:8]}"
    platform.client.datasets.apply(name, DOCUMENT.format(name=name, more=more))
    platform.push(name, rows)
    platform.client.datasets.wait_settled(name, timeout_s=120)
    return name


def drifted(platform: Platform, name: str, rows: int) -> Drift:
    """What is told once so many rows are set aside."""
    eventually(lambda: platform.client.quarantine.get(name).total == rows, 120, f"{rows} rows are set aside")
    return platform.client.drift.get(name)


def decided(platform: Platform, name: str, column: str, act: DriftAct, **choice: Any) -> QuarantineOutcome:
    asked = platform.client.drift.decide(name, column, act=act, because="a test", **choice)
    return platform.client.quarantine.wait(name, asked, timeout_s=120)


def table(platform: Platform, name: str, columns: str) -> list[tuple[Any, ...]]:
    """The rows once the books are settled; they balance, and nothing is in quarantine."""
    books = platform.client.datasets.wait_settled(name, timeout_s=120)
    assert books.balanced
    assert not books.quarantined
    found = platform.client.query(f"SELECT {columns} FROM {name} ORDER BY id").rows
    return [tuple(row) for row in found]


def test_a_new_column_is_accepted_from_its_first_row_on(platform: Platform) -> None:
    name = made(platform, [{"id": 1}])
    platform.push(name, [{"id": 2, "discount": 5}, {"id": 3}, {"id": 4, "discount": 10}])
    [found] = drifted(platform, name, 2).items
    assert (found.column, found.reason, found.rows, found.examples) == ("discount", "unknown_field", 2, (5, 10))
    assert platform.client.quarantine.row(name, found.first).fields is None
    assert decided(platform, name, "discount", "accept").resubmitted == 2
    platform.push(name, [{"id": 5, "discount": 20}])
    assert table(platform, name, "id, discount") == [(1, None), (2, 5), (3, None), (4, 10), (5, 20)]
    assert not platform.client.drift.get(name).items


def test_a_renamed_column_is_mapped(platform: Platform) -> None:
    name = made(platform, [{"id": 1, "price": 1.5}], "key: [id]\nload: {mode: upsert}")
    platform.push(name, [{"id": 2, "price_chf": 2.5}, {"id": 1, "price_chf": 7.5}])
    drifted(platform, name, 2)
    assert decided(platform, name, "price_chf", "map", to="price").resubmitted == 2
    platform.push(name, [{"id": 2, "price_chf": 9.0}, {"id": 2, "price": 9.5}, {"id": 2, "price_chf": 10.5}])
    assert table(platform, name, "id, price") == [(1, 7.5), (2, 10.5)]
    assert platform.client.drift.get(name).decided == {"price_chf": {"rename_to": "price"}}


SQL = """\
transform: {sql: "SELECT id, price * 2 AS twice FROM input"}
checks: [{check: between, column: twice, min: 0, max: 1000}]
"""


def test_columns_that_came_together_are_decided_about_one_after_the_other(platform: Platform) -> None:
    name = made(platform, [{"id": 1, "price": 1.5}])
    platform.push(name, [{"id": 2, "cost": 2.5, "discount": 5}, {"id": 3, "cost": 3.5, "discount": "none"}])
    [found] = drifted(platform, name, 2).items
    assert found.column == "cost"
    assert decided(platform, name, "cost", "map", to="price").refused == 2
    with pytest.raises(ApiError, match="no open row"):
        platform.client.drift.decide(name, "nothing", act="accept", because="a test")
    taken = decided(platform, name, "discount", "accept", type="integer")
    assert (taken.resubmitted, taken.refused) == (1, 1)
    platform.push(name, [{"id": 4, "cost": 4.5, "discount": "twice"}])
    assert {each.column for each in drifted(platform, name, 2).items} == {"cost", "discount"}
    assert decided(platform, name, "discount", "accept", to="words").resubmitted == 2
    assert table(platform, name, "id, price, discount, words") == [
        (1, 1.5, None, None),
        (2, 2.5, 5, None),
        (3, 3.5, None, "none"),
        (4, 4.5, None, "twice"),
    ]


def test_values_of_another_type_are_cast(platform: Platform) -> None:
    name = made(platform, [{"id": 1, "price": 1.5}], SQL)
    platform.push(name, [{"id": 2, "price": "2.5 CHF"}])
    [found] = drifted(platform, name, 1).items
    assert (found.reason, found.hits.columns) == ("wrong_type", ("twice",))
    assert found.hits.checks
    with pytest.raises(ApiError, match="cast it"):
        platform.client.drift.decide(name, "price", act="map", to="cost", because="a test")
    assert decided(platform, name, "price", "cast", expression="replace(price, ' CHF', '')").resubmitted == 1
    platform.push(name, [{"id": 3, "price": "3.5 CHF"}, {"id": 4, "price": 4.5}])
    assert table(platform, name, "id, twice") == [(1, 3.0), (2, 5.0), (3, 7.0), (4, 9.0)]


def test_values_of_another_type_are_kept_as_text(platform: Platform) -> None:
    name = made(platform, [{"id": 1, "price": 1.5}])
    platform.push(name, [{"id": 2, "price": "on demand"}])
    drifted(platform, name, 1)
    assert decided(platform, name, "price", "accept").resubmitted == 1
    platform.push(name, [{"id": 3, "price": "free"}, {"id": 4, "price": 4.5}])
    assert table(platform, name, "id, price, price_text") == [
        (1, 1.5, None),
        (2, None, "on demand"),
        (3, None, "free"),
        (4, 4.5, None),
    ]


def test_what_is_not_wanted_is_left_out_or_given_up(platform: Platform) -> None:
    name = made(platform, [{"id": 1, "price": 1.5}])
    platform.push(name, [{"id": 2, "price": 2.5, "note": "x"}, {"id": 3, "price": "broken"}])
    drifted(platform, name, 2)
    dry = platform.client.drift.decide(name, "note", act="leave-out", because="a test", dry_run=True)
    assert (dry.request, dry.rows, [change.path for change in dry.changes]) == (None, 1, ["source.drift.note"])
    assert decided(platform, name, "note", "leave-out").resubmitted == 1
    assert decided(platform, name, "price", "reject").discarded == 1
    assert table(platform, name, "id, price") == [(1, 1.5), (2, 2.5)]
    with pytest.raises(ApiError, match="no open row"):
        platform.client.drift.decide(name, "price", act="reject", because="a test")


def test_without_a_decision_nothing_is_let_in(platform: Platform) -> None:
    """The control: read anew as they are, the rows stay aside."""
    name = made(platform, [{"id": 1}])
    platform.push(name, [{"id": 2, "discount": 5}])
    drifted(platform, name, 1)
    asked = platform.client.quarantine.resubmit(name, because="a test", column="discount")
    assert platform.client.quarantine.wait(name, asked, timeout_s=120).refused == 1
    assert platform.client.drift.get(name).items

"""Rows that were set aside are read anew, edited or not, or given up: each exactly once, and the books say so."""

import json
import uuid
from typing import Any

import pytest

from headrace.client import Ledger, QuarantineOutcome
from tests.stack import Platform, eventually

DOCUMENT = """\
dataset: {name}
description: a test of quarantine
owner: {{team: tests}}
source: {{type: http_push}}
{more}
"""


def named(kind: str) -> str:
    return f"qt.{kind}_{uuid.uuid4().hex[:8]}"


def applied(platform: Platform, name: str, more: str) -> str:
    platform.client.datasets.apply(name, DOCUMENT.format(name=name, more=more))
    return name


def settled(platform: Platform, name: str) -> Ledger:
    """The books once everything has its fate; they always balance."""
    books = platform.client.datasets.wait_settled(name, timeout_s=120)
    assert books.balanced, books
    for part in books.partitions:
        assert part.balanced, part
    return books


def asked(platform: Platform, name: str, act: Any = "resubmit", **body: Any) -> QuarantineOutcome:
    request = getattr(platform.client.quarantine, act)(name, because="a test", **body)
    return platform.client.quarantine.wait(name, request, timeout_s=120)


def rows(platform: Platform, sql: str) -> list[list[Any]]:
    return [list(row) for row in platform.client.query(sql, limit=10_000).rows]


@pytest.fixture(scope="module")
def parents(platform: Platform) -> str:
    name = applied(platform, named("countries"), "key: [code]\nload: {mode: upsert}")
    platform.push(name, [{"code": "ch"}])
    settled(platform, name)
    return name


def orders(platform: Platform, parents: str) -> str:
    """A dataset of orders, of which those from unknown countries are set aside."""
    check = f"checks: [{{name: country, check: references, column: country, dataset: {parents}, to: code}}]"
    return applied(platform, named("orders"), check)


def test_rows_are_loaded_once_their_parents_are_there(platform: Platform, parents: str) -> None:
    name = orders(platform, parents)
    platform.push(name, [{"id": n, "country": "ch" if n % 2 else "li"} for n in range(10)])
    before = settled(platform, name)
    assert (before.read, before.loaded, before.quarantined) == (10, 5, {"check_references": 5})
    assert asked(platform, name, reason="check_not_null").settled == 0  # a cause that nothing was set aside for

    first = platform.client.quarantine.get(name).items[0]
    assert asked(platform, name, act="assign", reason="check_references", to="ada").assigned == 5
    asked(platform, name, act="assign", ids=[first.id], to="grace")
    assert asked(platform, name, act="assign", all_matching=True, to="ada").assigned == 1  # grace's; ada has the others
    assert asked(platform, name, act="unassign", ids=[first.id]).unassigned == 1
    for who, rows_of in (("ada", 4), ("grace", 0), ("", 1)):
        assert platform.client.quarantine.get(name, assigned_to=who).total == rows_of
    assert [(each.rows, each.assigned) for each in platform.client.quarantine.clusters(name).items] == [(5, 4)]
    assert settled(platform, name).quarantined == {"check_references": 5}

    made = platform.client.quarantine.as_test(name, first.id)
    assert (made.outcome, made.test["ref"]) == ("quarantined by country", {parents: []})

    asked(platform, name, reason="check_references")
    again = settled(platform, name)  # the control: nothing was mended, so they are set aside once more
    assert (again.read, again.loaded, again.quarantined) == (10, 5, {"check_references": 5})
    assert again.resubmitted == {"check_references": 5}

    platform.push(parents, [{"code": "li"}])
    settled(platform, parents)
    assert asked(platform, name, reason="check_references").resubmitted == 5
    books = settled(platform, name)
    assert (books.read, books.loaded, books.quarantined) == (10, 10, {})
    assert books.resubmitted == {"check_references": 10}
    assert sorted(rows(platform, f"SELECT id FROM {name}")) == [[n] for n in range(10)]
    assert platform.client.quarantine.get(name).total == 0
    history = platform.client.quarantine.get(name, everything=True)
    assert {row.state for row in history.items} == {"resubmitted"}
    assert history.total == 10
    assert {(row.acted_by, row.because) for row in history.items} == {("admin", "a test")}
    assert platform.client.quarantine.assign(name, because="late", ids=[first.id], to="ada").rows == 0

    acts = platform.client.quarantine.row(name, first.id).acts
    assert [(act.act, act.assigned_to) for act in acts] == [
        ("quarantined", None), ("assigned", "ada"), ("assigned", "grace"), ("assigned", "ada"), ("unassigned", None),
        ("resubmitted", None), ("quarantined", None), ("resubmitted", None), ("loaded", None),
    ]  # fmt: skip
    assert [act.at for act in acts[:-1]] == sorted(filter(None, (act.at for act in acts)))
    assert {act.row for act in acts[:6]} == {first.id} != {act.row for act in acts[6:]}
    assert platform.client.quarantine.row(name, acts[6].row).acts == acts  # told from either end
    assert platform.client.rows.passport(name, acts[-1].became or "").fate.state == "loaded"
    made = platform.client.rows.as_test(name, acts[-1].became or "")
    assert (made.outcome, made.test["ref"], made.recorded) == ("loaded", {parents: [{"code": "li"}]}, "loaded")


def test_rows_are_edited_by_expressions_and_patches(platform: Platform, parents: str) -> None:
    name = orders(platform, parents)
    platform.push(name, [{"id": 1, "country": "CH"}, {"id": 2, "country": "xx"}, {"id": 3, "country": "Ch"}])
    settled(platform, name)
    by_id = {
        row.fields["id"]: row.id for row in platform.client.quarantine.get(name).items if isinstance(row.fields, dict)
    }
    assert by_id.keys() == {1, 2, 3}

    dry = platform.client.quarantine.resubmit(
        name, because="a test", all_matching=True, dry_run=True, set={"country": "lower(country)"}
    )
    assert (dry.request, dry.rows, dry.tried) == (None, 3, 3)
    verdicts = {(verdict.fate, verdict.reason): verdict for verdict in dry.verdicts}
    assert {cause: verdict.rows for cause, verdict in verdicts.items()} == {
        ("loaded", None): 2,
        ("quarantined", "check_references"): 1,
    }
    assert verdicts["quarantined", "check_references"].example == by_id[2]
    assert settled(platform, name).resubmitted == {}

    wrong = asked(platform, name, ids=[by_id[1]], set={"id": "country"})
    assert (wrong.resubmitted, wrong.refused) == (0, 1)
    assert "is not of type int64" in wrong.refusals[0].detail
    assert asked(platform, name, ids=[by_id[1]], set={"nothing": "1"}).refusals[0].rows == 1
    assert platform.client.quarantine.row(name, by_id[1]).state == "open"

    assert asked(platform, name, ids=[by_id[1], by_id[3]], set={"country": "lower(country)"}).resubmitted == 2
    patch = [{"op": "test", "path": "/id", "value": 2}, {"op": "replace", "path": "/country", "value": "ch"}]
    assert asked(platform, name, all_matching=True, patch=patch).resubmitted == 1
    books = settled(platform, name)
    assert (books.loaded, books.quarantined) == (3, {})
    assert sorted(rows(platform, f"SELECT id, country, _quarantine_id FROM {name}")) == [
        [number, "ch", by_id[number]] for number in (1, 2, 3)
    ]
    assert json.loads(platform.client.quarantine.row(name, by_id[2]).edit or "") == {"patch": patch}


def test_what_never_was_a_record_is_read_anew(platform: Platform) -> None:
    """Rows that ingest set aside: JSON that was pushed, and lines of a CSV file."""
    name = applied(platform, named("prices"), "")
    platform.push(name, [{"id": 1, "price": 10}, {"id": 2, "price": 12}])
    settled(platform, name)
    platform.push(name, [{"id": 3, "price": "13 CHF"}, {"id": 4, "price": "14 CHF"}])
    assert settled(platform, name).quarantined == {"wrong_type": 2}
    assert asked(platform, name, column="price").refused == 2  # the control: as they are they do not fit
    assert asked(platform, name, column="price", set={"price": "split_part(price, ' ', 1)"}).resubmitted == 2
    assert (settled(platform, name).loaded, settled(platform, name).quarantined) == (4, {})
    assert sorted(rows(platform, f"SELECT id, price FROM {name}")) == [[1, 10], [2, 12], [3, 13], [4, 14]]

    name = named("lines")
    file = platform.files / f"{name}.csv"
    file.write_text("id,price,day\n1,10,2026-01-01\n2,12,2026-01-02\n")
    platform.client.datasets.apply(
        name, DOCUMENT.format(name=name, more="").replace("{type: http_push}", f"{{type: file, path: {file.name}}}")
    )
    settled(platform, name)
    with file.open("a") as more:
        more.write("3,13 CHF,2026-01-03\n4,,soon\n")
    eventually(lambda: settled(platform, name).quarantined == {"wrong_type": 2}, 60, "both lines are set aside")
    assert asked(platform, name, column="price", set={"price": "replace(price, ' CHF', '')"}).resubmitted == 1
    assert asked(platform, name, column="day", patch=[{"op": "remove", "path": "/day"}]).resubmitted == 1
    assert (settled(platform, name).loaded, settled(platform, name).quarantined) == (4, {})
    assert sorted(rows(platform, f"SELECT id, price, toString(day) FROM {name}")) == [
        [1, 10, "2026-01-01"],
        [2, 12, "2026-01-02"],
        [3, 13, "2026-01-03"],
        [4, None, None],
    ]


def test_a_row_does_not_replace_a_newer_one_of_its_key(platform: Platform) -> None:
    """Old values of `a` (set aside by a check) and `b` (by ingest); then newer ones, and `c` and `d` of which there are none."""
    name = applied(
        platform,
        named("stock"),
        "key: [item]\nload: {mode: upsert}\nchecks: [{name: known, check: between, column: count, min: 0}]",
    )
    platform.push(name, [{"item": "z", "count": 1}])
    settled(platform, name)
    platform.push(
        name,
        [{"item": item, "count": -7} for item in "ac"] + [{"item": item, "count": "7?"} for item in "bd"],
    )
    assert settled(platform, name).quarantined == {"check_between": 2, "wrong_type": 2}
    platform.push(name, [{"item": "a", "count": 100}, {"item": "b", "count": 200}])
    settled(platform, name)

    assert asked(platform, name, reason="check_between").resubmitted == 2  # as they are: they are set aside once more
    assert settled(platform, name).quarantined == {"check_between": 2, "wrong_type": 2}
    assert asked(platform, name, reason="check_between", set={"count": "-count"}).resubmitted == 2
    assert asked(platform, name, reason="wrong_type", set={"count": "replace(count, '?', '')"}).resubmitted == 2
    assert settled(platform, name).quarantined == {}
    found = sorted(rows(platform, f"SELECT item, count FROM {name}"))
    assert found == [["a", 100], ["b", 200], ["c", 7], ["d", 7], ["z", 1]]
    platform.push(name, [{"item": item, "count": 300} for item in "acd"])  # and newer ones replace them
    settled(platform, name)
    found = sorted(rows(platform, f"SELECT item, count FROM {name}"))
    assert found == [["a", 300], ["b", 200], ["c", 300], ["d", 300], ["z", 1]]


def test_discarded_rows_are_counted_and_gone(platform: Platform, parents: str) -> None:
    name = orders(platform, parents)
    platform.push(name, [{"id": n, "country": "xx"} for n in range(4)] + [{"id": 9, "country": "ch"}])
    settled(platform, name)
    one = platform.client.quarantine.get(name).items[0].id
    assert asked(platform, name, act="discard", ids=[one]).discarded == 1
    books = settled(platform, name)
    assert (books.read, books.loaded) == (5, 1)
    assert (books.quarantined, books.discarded) == ({"check_references": 3}, {"check_references": 1})
    [status] = platform.client.datasets.status(name)
    assert (status.quarantined, status.resubmitted, status.discarded) == (3, 0, 1)
    assert platform.client.quarantine.row(name, one).state == "discarded"
    assert platform.client.quarantine.resubmit(name, because="a test", ids=[one]).rows == 0
    dry = platform.client.quarantine.discard(name, because="a test", all_matching=True, dry_run=True)
    assert (dry.request, dry.rows, dry.clusters[0].reason) == (None, 3, "check_references")
    assert settled(platform, name).quarantined == {"check_references": 3}

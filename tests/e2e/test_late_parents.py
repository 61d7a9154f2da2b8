"""Children that come before their parents wait for them: loaded in order when they are there, set aside when the time is up."""

import uuid

import pytest

from headrace.client import Ledger
from tests.stack import Platform, eventually

DOCUMENT = """\
dataset: {name}
description: a test of late parents
owner: {{team: tests}}
source: {{type: http_push}}
partitions: 1
{more}
"""


def applied(platform: Platform, kind: str, more: str) -> str:
    name = f"lp.{kind}_{uuid.uuid4().hex[:8]}"
    platform.client.datasets.apply(name, DOCUMENT.format(name=name, more=more))
    return name


def settled(platform: Platform, name: str) -> Ledger:
    books = platform.client.datasets.wait_settled(name, timeout_s=120)
    assert books.balanced, books
    return books


def arrived(platform: Platform, name: str, **books: int) -> None:
    """Wait until so many rows have these fates."""
    eventually(
        lambda: all(getattr(platform.client.datasets.ledger(name), fate) == rows for fate, rows in books.items()),
        60,
        f"{books} in {platform.client.datasets.ledger(name)}",
    )


@pytest.fixture(scope="module")
def goods(platform: Platform) -> str:
    name = applied(platform, "goods", "key: [id]\nload: {mode: upsert}")
    platform.push(name, [{"id": "known"}])
    settled(platform, name)
    return name


def check(goods: str, wait: str) -> str:
    return f"checks: [{{name: in_stock, check: references, column: good, dataset: {goods}, to: id, wait: {wait}}}]"


def rows(platform: Platform, sql: str) -> list[list[object]]:
    return [list(row) for row in platform.client.query(sql, limit=1000).rows]


def test_children_wait_for_their_parents_and_are_loaded_in_order(platform: Platform, goods: str) -> None:
    name = applied(platform, "orders", check(goods, "1h"))
    platform.push(name, [{"n": n, "good": "late" if n % 2 else "known"} for n in range(10)])
    arrived(platform, name, parked_rows=5, loaded=5)
    books = platform.client.datasets.ledger(name)
    assert (books.read, books.parked, books.residue, books.balanced) == (10, {"in_stock": 5}, 0, True)
    assert books.waiting_for == (f"5 rows wait for {goods} (in_stock)",)  # complete but for those that wait
    [status] = platform.client.datasets.status(name)
    assert status.parked == 5
    fate = platform.client.rows.passport(name, "0:1").fate
    assert (fate.state, fate.stage) == ("parked", "transformer")
    assert fate.detail.startswith(f"good 'late' is not known to {goods}: it waits for that since 20")
    assert platform.client.rows.passport(name, "0:2").fate.state == "loaded"

    platform.push(goods, [{"id": "late"}])
    books = settled(platform, name)
    assert (books.loaded, books.parked, books.quarantined, books.residue) == (10, {}, {}, 0)
    assert [n for (n,) in rows(platform, f"SELECT n FROM {name} ORDER BY _offset")] == list(range(10))
    table = f"{name}__g1"
    waited = rows(platform, f"SELECT n FROM {table} WHERE _parked_at IS NOT NULL ORDER BY _load_offset")
    assert [n for (n,) in waited] == [1, 3, 5, 7, 9]
    found = platform.client.rows.passport(name, "0:1")
    assert found.fate.state == "loaded"
    assert [leg.done for leg in found.legs] == [True] * 4  # in the topics they stand behind younger rows


def test_an_older_row_that_waited_does_not_take_the_place_of_a_newer_one(platform: Platform, goods: str) -> None:
    late = f"late_{uuid.uuid4().hex[:6]}"
    name = applied(platform, "stock", f"key: [id]\nload: {{mode: upsert}}\n{check(goods, '1h')}")
    platform.push(
        name, [{"id": 1, "good": late, "n": 1}, {"id": 2, "good": late, "n": 2}, {"id": 1, "good": "known", "n": 3}]
    )
    arrived(platform, name, parked_rows=2, loaded=1)
    platform.push(goods, [{"id": late}])
    assert settled(platform, name).loaded == 3
    assert rows(platform, f"SELECT id, n FROM {name} ORDER BY id") == [[1, 3], [2, 2]]
    assert platform.client.rows.passport(name, "0:0").fate.state == "superseded"


def test_rows_that_waited_in_vain_are_loaded_when_they_are_resubmitted(platform: Platform, goods: str) -> None:
    late = f"late_{uuid.uuid4().hex[:6]}"
    name = applied(platform, "returns", check(goods, "1s"))
    platform.push(name, [{"n": 1, "good": late}, {"n": 2, "good": "known"}])
    arrived(platform, name, quarantined_rows=1, loaded=1)
    assert settled(platform, name).quarantined == {"parent_late": 1}
    platform.push(goods, [{"id": late}])
    settled(platform, goods)
    request = platform.client.quarantine.resubmit(name, because="it is there now", reason="parent_late")
    assert platform.client.quarantine.wait(name, request, timeout_s=120).resubmitted == 1
    books = settled(platform, name)
    assert (books.loaded, books.quarantined, books.parked) == (2, {}, {})

"""What people decide by hand, over everything that really moves rows: a hold, a skip, a pin; and no two rows alike."""

import json
import uuid
from typing import Any

import pytest

from headrace.client import ApiError, HeldRow
from tests.e2e.test_flights import headrace
from tests.stack import Platform, eventually

DOCUMENT = """\
dataset: {name}
description: Orders, of which no two may have one number.
owner: {{team: tests}}
source: {{type: http_push}}
schema: {{fields: [{{name: id, logicalType: integer, required: true}}, {{name: amount, logicalType: integer}}]}}
key: [id]
partitions: 1
checks:
  - {{check: unique}}
  - {{name: huge, check: between, column: amount, max: 1000, severity: hold}}
"""


@pytest.fixture(scope="module")
def orders(platform: Platform) -> str:
    name = f"by_hand.orders_{uuid.uuid4().hex[:8]}"
    platform.client.datasets.apply(name, DOCUMENT.format(name=name))
    return name


def loaded(platform: Platform, name: str) -> list[tuple[int, list[str]]]:
    rows = platform.client.query(f"SELECT id, _flags FROM {name} ORDER BY id").rows
    return [(row[0], row[1]) for row in rows]


def row(number: int, amount: int = 1) -> dict[str, Any]:
    return {"id": number, "amount": amount}


def waits(platform: Platform, name: str, after: int = -1) -> HeldRow:
    """The row that the dataset is stopped in front of, once there is one behind the raw offset `after`."""

    def there() -> bool:
        return any(each.offset > after for each in platform.client.overrides.held_rows(name))

    eventually(there, 60, f"a row of {name} is held")
    [held] = platform.client.overrides.held_rows(name)
    return held


def test_rows_are_decided_about_by_hand(platform: Platform, orders: str) -> None:
    name, client = orders, platform.client
    other = f"by_hand.other_{uuid.uuid4().hex[:8]}"
    client.datasets.apply(other, DOCUMENT.format(name=other))
    platform.push(name, [row(1), row(2), row(1), row(3, 5000), row(4)])
    first = waits(platform, name)
    assert (first.rule, first.detail) == ("huge", "amount is 5000, expected at most 1000")

    # What stands in front of it is loaded, what stands behind it waits, and another dataset does not notice.
    platform.push(other, [row(7)])
    assert client.datasets.wait_settled(other, timeout_s=60).loaded == 1
    eventually(lambda: loaded(platform, name) == [(1, []), (2, [])], 60, "the rows in front of it are loaded")
    [status] = client.datasets.status(name)
    assert "held on purpose by the check huge" in status.problems[0]
    shown = json.loads(headrace(platform, "hold", "ls", name, "-o", "json").stdout)["items"]
    assert [each["offset"] for each in shown] == [first.offset]

    # It is let pass. The next one is set aside, with all that are there like it.
    done = headrace(
        platform, "hold", "release", name, "--raw", f"0:{first.offset}", "--pass", "--because", "asked by phone"
    )
    assert done.returncode == 0, done.stderr
    platform.push(name, [row(5, 6000), row(6), row(8, 7000)])
    second = waits(platform, name, first.offset)
    eventually(lambda: len(client.datasets.tail(name, stage="raw", limit=50)) == 8, 60, "all are in the raw topic")
    with pytest.raises(
        ApiError, match=f"0:{first.offset} is not held any more: pass by admin at .* Held now: 0:{second.offset}"
    ):
        client.overrides.release_hold(name, [f"0:{first.offset}"], "quarantine", "meant for the row before")
    client.overrides.release_hold(
        name, [f"0:{second.offset}"], "quarantine", "a till that counts twice", all_like_this=True
    )
    books = client.datasets.wait_settled(name, timeout_s=60)
    assert loaded(platform, name) == [(1, []), (2, []), (3, ["huge"]), (4, []), (6, [])]
    assert (books.read, books.quarantined, books.residue) == (8, {"check_unique": 1, "check_between": 2}, 0)
    aside = {each.reason: each.detail for each in client.quarantine.get(name).items}
    assert aside["check_unique"].startswith("id = 1, as in the row before it of raw partition 0, offset ")
    assert "set aside by admin at " in aside["check_between"]
    assert "because: a till that counts twice" in aside["check_between"]
    assert client.overrides.held_rows(name) == []

    # Rows that stop the transformer are skipped with their neighbours: they are counted, and say by whom.
    platform.push(name, [row(200, 9000), *(row(number) for number in range(100, 130))])
    third = waits(platform, name, second.offset)
    stretch = ("--partition", "0", "--from", str(third.offset), "--to", str(third.offset + 10))
    assert headrace(platform, "skip", name, *stretch, "--because", "a test of the till").returncode == 0
    books = client.datasets.wait_settled(name, timeout_s=60)
    skipped = books.filtered["skipped"]
    assert 1 <= skipped <= 11
    assert (books.read, books.loaded, books.residue) == (39, 36 - skipped, 0)
    passport = client.rows.passport(name, f"0:{third.offset}")
    assert (passport.fate.state, passport.fate.rule) == ("filtered", "skipped")
    assert "skipped by admin at " in passport.fate.detail
    assert "because: a test of the till" in passport.fate.detail
    assert [each.act for each in client.overrides.list(name)] == ["pass", "quarantine", "skip"]


def test_a_pinned_version_stays(platform: Platform, orders: str) -> None:
    name, client = orders, platform.client
    changed = DOCUMENT.format(name=name).replace("may have one number", "may share a number")
    assert headrace(platform, "pin", name, "--because", "the books are closed").returncode == 0
    with pytest.raises(ApiError, match=f"{name} is pinned by admin at .* because: the books are closed") as refused:
        client.datasets.apply(name, changed)
    assert refused.value.status == 409
    assert not client.datasets.apply(name, DOCUMENT.format(name=name)).changed
    assert "because: the books are closed" in client.datasets.status(name)[0].pinned
    assert [each.code for each in client.datasets.plan(changed).refusals] == ["pinned"]
    client.overrides.unpin(name, "they are open")
    assert client.datasets.apply(name, changed).version == 2

"""Changes go on to the raw topic while the worker of Kafka Connect is killed: none is lost, none comes twice."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.local import stack as local
from tests.integration.ingest.cdc.captured import KINDS, Captured
from tests.integration.ingest.running import Platform, ingest, until
from tests.stack import Stack

LONG = bool(os.environ.get("HEADRACE_TEST_LONG"))
SNAPSHOT = 5_000
CHANGES, KILLS = (100_000, 3) if LONG else (2_000, 1)
BATCH = 200 if LONG else 20
PAUSE_S = 0.02

Change = tuple[str, int, str | None]
"""What happened, to which row, and the name it had then: each change has a name of its own."""


def planned(count: int) -> list[Change]:
    """Updates, deletes and inserts of which each is to be seen once."""
    found: list[Change] = []
    for number in range(count):
        if number % 4 == 3:
            found.append(("delete", number, None))
        elif number % 4 == 2:
            found.append(("insert", 10_000_000 + number, f"i{number}"))
        else:
            found.append(("update", number % 4, f"u{number}"))
    return found


def statement(table: str, change: Change) -> str:
    op, number, name = change
    match op:
        case "delete":
            return f"DELETE FROM {table} WHERE id = {number}"
        case "insert":
            return f"INSERT INTO {table} (id, name) VALUES ({number}, '{name}')"
        case _:
            return f"UPDATE {table} SET name = '{name}' WHERE id = {number}"


def write(table: Captured, changes: Sequence[Change]) -> None:
    """Commit changes, some at a time, for a while."""
    for start in range(0, len(changes), BATCH):
        table.execute("BEGIN")
        for change in changes[start : start + BATCH]:
            table.execute(statement(table.name, change))
        table.execute("COMMIT")
        time.sleep(PAUSE_S)


def off(expected: Sequence[Change], found: Sequence[Change]) -> tuple[int, int]:
    """How many changes are missing, and how many too many."""
    wanted, got = Counter(expected), Counter(found)
    return (wanted - got).total(), (got - wanted).total()


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.timeout(1800 if LONG else 300)
def test_nothing_is_lost_and_nothing_comes_twice(
    platform: Platform, capturing: Stack, kind: str, request: pytest.FixtureRequest, tmp_path: Path, port: int
) -> None:
    of, server = KINDS[kind]
    table = of(request.getfixturevalue(server), capturing)
    rows = max(SNAPSHOT, CHANGES)  # so many that each delete finds one
    table.insert(0, rows)
    changes = planned(CHANGES)
    source = table.settings()
    platform.apply(table.dataset, source, key=["id"], load={"mode": "upsert"})
    settings = capturing.settings
    more: dict[str, Any] = {"connect_url": settings.connect_url, "connect_secrets": settings.connect_secrets}
    try:
        with ingest(platform, port, tmp_path, **more):
            until(_reached(platform, table.dataset, rows), "the snapshot is read", 240)
            writer = threading.Thread(target=write, args=(table, changes))
            writer.start()
            for kill in range(1, KILLS + 1):
                share = CHANGES * kill // (KILLS + 1)
                until(_reached(platform, table.dataset, rows + share), f"{share} changes are read", 300)
                local.kill(settings, "connect")
                local.up(settings, only=["connect"])
            writer.join()
            until(_reached(platform, table.dataset, rows + CHANGES), "every change is read", 300)
            last = table.content()
            table.execute(f"INSERT INTO {table.name} (id, name) VALUES (99999999, 'the last')")
            until(_reached(platform, table.dataset, rows + CHANGES + 1), "what comes behind them is read", 120)
    finally:
        platform.retire(table.dataset)
    found = platform.rows(table.dataset).to_pylist()
    assert Counter(row["_op"] for row in found) == Counter(op for op, *_ in changes) + Counter(snapshot=rows, insert=1)
    seen = [_change(row) for row in found if row["_op"] != "snapshot" and row["id"] != 99999999]
    assert off(changes, seen) == (0, 0)
    assert off(changes, seen[1:]) == (1, 0), "the control: one that is missing shows"
    assert off(changes, [*seen, seen[0]]) == (0, 1), "the control: one that came twice shows"
    assert _folded(found) == {row["id"]: row["name"] for row in last}
    table.close()


def _reached(platform: Platform, dataset: str, rows: int) -> Callable[[], bool]:
    return lambda: platform.rows_read(dataset) >= rows


def _change(row: dict[str, Any]) -> Change:
    """What a row says happened. Some databases also log the name that a deleted row had; each is deleted once."""
    return row["_op"], row["id"], None if row["_op"] == "delete" else row["name"]


def _folded(found: Sequence[dict[str, Any]]) -> dict[int, str]:
    """The table that the records lead to: those of a key are in one partition, in their order."""
    state: dict[int, str] = {}
    for row in found:
        if row["_op"] == "delete":
            del state[row["id"]]
        elif row["id"] != 99999999:
            state[row["id"]] = row["name"]
    return state

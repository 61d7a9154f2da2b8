"""Rows of a stretch of time are read once more by the cursor of a table, and where it tells no time, that is said."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.connector import Ranged, Stretch, Surroundings, opened
from headrace.connector.conformance import rows_of
from headrace.errors import Fatal
from services.ingest.connectors.sql.settings import SqlSource
from services.ingest.connectors.sql.stretch import bounds
from tests.unit.ingest.test_sql_text import BETWEEN, reading

JANUARY = Stretch(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
MORNING = Stretch(datetime(2026, 1, 1, 6, tzinfo=UTC), datetime(2026, 1, 2, 12, tzinfo=UTC))


def shop(folder: Path, days: Sequence[str]) -> None:
    with sqlite3.connect(folder / "shop.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, day TEXT NOT NULL, number INTEGER NOT NULL)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(n, day, n) for n, day in enumerate(days)])


def connector(folder: Path, batch_rows: int = 2, **settings: Any) -> Ranged:
    found = {"type": "sql", "database": "sqlite", "name": "shop.db", "table": "orders", "cursor": "day", "key": ["id"]}
    source = SqlSource.model_validate({**found, **settings})
    made = opened(source, Surroundings("a.b", folder=folder, batch_rows=batch_rows))
    assert isinstance(made, Ranged)
    return made


DAYS = ("2025-12-31", "2026-01-01", "2026-01-15T07:00:00", "2026-01-31 23:59:59", "2026-01-31 23:59:59", "2026-02-01")


def test_the_rows_of_a_stretch_are_read_and_no_others(tmp_path: Path) -> None:
    shop(tmp_path, DAYS)
    assert [row["id"] for row in rows_of(connector(tmp_path).read_range(JANUARY, None))] == [1, 2, 3, 4]


def test_after_any_step_another_process_reads_on_with_the_next_row(tmp_path: Path) -> None:
    shop(tmp_path, DAYS)
    steps = list(connector(tmp_path).read_range(JANUARY, None))
    assert len(steps) == 2
    left = [[row["id"] for row in rows_of(connector(tmp_path).read_range(JANUARY, at))] for _, at in steps]
    assert left == [[3, 4], []]


def test_an_empty_table_and_an_empty_stretch_have_no_rows(tmp_path: Path) -> None:
    shop(tmp_path, [])
    assert list(connector(tmp_path).read_range(JANUARY, None)) == []
    (tmp_path / "shop.db").unlink()
    shop(tmp_path, ["2020-01-01"])
    assert list(connector(tmp_path).read_range(JANUARY, None)) == []


@pytest.mark.parametrize(
    ("settings", "stretch", "said"),
    [({"cursor": "number"}, JANUARY, "does not tell dates or times"), ({}, MORNING, "give whole days")],
)
def test_a_cursor_that_cannot_tell_is_said(tmp_path: Path, settings: Any, stretch: Stretch, said: str) -> None:
    shop(tmp_path, DAYS)
    with pytest.raises(Fatal, match=said):
        list(connector(tmp_path, **settings).read_range(stretch, None))


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        (pa.timestamp("us"), ("2026-01-01 06:00:00", "2026-01-02 12:00:00")),
        (pa.timestamp("us", "UTC"), ("2026-01-01 06:00:00+00:00", "2026-01-02 12:00:00+00:00")),
        (pa.date32(), ("2026-01-02", "2026-01-03")),
    ],
)
def test_the_bounds_are_written_as_the_column_has_them(type: pa.DataType, expected: tuple[str, str]) -> None:
    assert bounds("at", type, None, MORNING) == expected
    east = timezone(timedelta(hours=9))
    assert bounds("at", type, None, Stretch(MORNING.since.astimezone(east), MORNING.until.astimezone(east))) == expected


@pytest.mark.parametrize("dialect", BETWEEN)
def test_a_stretch_bounds_the_first_column_whatever_was_read(dialect: type[Any]) -> None:
    within = replace(reading(dialect()), stretch=("2024-01-01 00:00:00", "2024-02-01 00:00:00"))
    sql, values = within.between(["2024-01-05 00:00:00", 7], None, 5)
    assert values == ["2024-01-05 00:00:00", 7, "2024-01-01 00:00:00", "2024-02-01 00:00:00"]
    assert sql.index(">=") < sql.rindex(" < ") < sql.index("ORDER BY")
    every, none = within.between(None, None)
    assert len(none) == 2
    assert "WHERE" in every

"""What is read of quarantined rows to ask for them: as much as is needed, page by page."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from headrace.stream.runs import Run
from services.gateway.adapters.quarantine import Quarantine
from services.gateway.adapters.quarantine_sql import Chosen
from services.gateway.adapters.warehouse import Answer, QueryError, Warehouse

ROWS = 4500


class Pages:
    """A warehouse with so many rows in one partition, which notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self._found: list[dict[str, Any]] = []

    def query(self, sql: str, limit: int, parameters: dict[str, Any]) -> "Pages":
        self.asked.append((sql, limit))
        first = parameters["offset"] + 1
        self._found = [{"_load_partition": 0, "_load_offset": at} for at in range(first, min(first + limit, ROWS))]
        return self

    def records(self) -> list[dict[str, Any]]:
        return self._found


@pytest.mark.parametrize(("most", "sizes"), [(None, [2000] * 3), (200, [200]), (3000, [2000, 1000])])
def test_no_more_rows_are_read_than_are_asked_for(most: int | None, sizes: list[int]) -> None:
    pages = Pages()
    found = list(Quarantine(cast(Warehouse, pages), lambda _: None).every("d.t", Chosen(), most=most))
    assert [row["_load_offset"] for row in found] == list(range(ROWS if most is None else most))
    assert [limit for _, limit in pages.asked] == sizes


def test_their_bytes_are_read_only_for_what_is_written_anew() -> None:
    pages = Pages()
    quarantine = Quarantine(cast(Warehouse, pages), lambda _: None)
    assert list(quarantine.every("d.t", Chosen(), most=1, whole=False))
    assert list(quarantine.every("d.t", Chosen(), most=1))
    discarded, resubmitted = (sql.partition(" FROM ")[0] for sql, _ in pages.asked)
    assert "`value`, `fields`" not in discarded
    assert "`value`, `fields`" in resubmitted


class Older:
    """A warehouse whose table lacks columns that came later, which notes what it was asked."""

    def __init__(self, lacks: str) -> None:
        self.asked: list[str] = []
        self._lacks = lacks

    def query(self, sql: str, limit: int, parameters: dict[str, Any]) -> Answer:
        self.asked.append(sql)
        if f"CAST(NULL AS Nullable(String)) AS {self._lacks}" not in sql:
            raise QueryError("no such column", 47)
        return Answer([("rows", "UInt64")], [[3]], truncated=False, elapsed_ms=1)


@pytest.mark.parametrize(("lacks", "asks"), [("assigned_to", 2), ("act", 3)])
def test_a_table_that_was_made_before_is_read_as_if_nothing_had_been_done(lacks: str, asks: int) -> None:
    older = Older(lacks)
    assert Quarantine(cast(Warehouse, older), lambda _: None).count("d.t", Chosen(causes={"assigned_to": ""})) == 3
    assert len(older.asked) == asks
    assert "CAST(NULL AS Nullable(String)) AS act," not in older.asked[1]  # what the table has is not hidden


def test_a_column_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(QueryError, match="no such column"):
        Quarantine(cast(Warehouse, Older("nothing")), lambda _: None).count("d.t", Chosen())


class Noted:
    """A warehouse without a row, which notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def query(self, sql: str, limit: int, parameters: dict[str, Any]) -> Answer:
        self.asked.append((sql, parameters))
        return Answer([], [], truncated=False, elapsed_ms=1)


def test_a_run_that_is_shown_again_has_no_rows_of_those_after_it() -> None:
    noted, at = Noted(), datetime(2026, 1, 1, tzinfo=UTC)
    quarantine = Quarantine(cast(Warehouse, noted), lambda _: None)
    first = Run("d.t", 1, "shown", at + timedelta(days=9), begun_at=at, starts=(0,), ends=(5,))
    quarantine.of_run("d.t", first, replace(first, run=2, begun_at=at + timedelta(days=1)))
    quarantine.of_run("d.t", first)
    (until_next, parameters), (alone, _) = noted.asked
    assert "quarantined_at < {next:DateTime64(6, 'UTC')}" in until_next
    assert parameters["next"] == at + timedelta(days=1)
    assert "{next:" not in alone

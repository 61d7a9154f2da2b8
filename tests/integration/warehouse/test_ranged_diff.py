"""A generation of a range is compared with the live one within the range: no row outside of it makes a difference."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.gateway.adapters.warehouse import Warehouse as Reader
from services.gateway.core.generation_diff import Side
from tests.integration.warehouse.server import Warehouse
from tests.integration.warehouse.test_generation_diff import (
    Given,
    Row,
    compared,
    found,
    reader,  # noqa: F401  # fixture
    sides,
)

TYPES = {"id": "Int64", "v": "Int64", "_ingested_at": "DateTime64(6, 'UTC')"}
#: The range: the third and the fourth of the month.
BEGIN, END = (datetime(2026, 1, day, tzinfo=UTC) for day in (3, 5))


def row(id: int, day: int, offset: int, v: int = 1) -> Row:
    moment = f"'2026-01-0{day} 00:00:00'"
    place: dict[str, Any] = {"_partition": 0, "_offset": offset, "_seq": 0, "_deleted": False}
    return {"id": (str(id), id), "v": (str(v), v), "_ingested_at": (moment, day), **place}


#: By key: 1 is older than the range, 2 changes in it, 3 is in it, 4 is newer by now, 5 is newer, 6 was in the table before.
LIVE = [
    row(1, 1, 0),
    row(2, 1, 1),
    row(6, 2, 2),
    row(2, 3, 3),
    row(3, 3, 4),
    row(4, 4, 5),
    row(6, 4, 6),
    row(4, 5, 7),
    row(5, 6, 8),
]


def ranged(side: Side) -> Side:
    return replace(side, ingested_from=BEGIN, ingested_to=END)


def of_range(rule: int) -> list[Row]:
    """What a replay of the range makes: key 3 has another value by the rule, the others have the same."""
    kept = [each for each in LIVE if BEGIN.day <= each["_ingested_at"][1] < END.day]
    return [each | {"v": (str(rule), rule)} if each["id"][1] == 3 else each for each in kept]


@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_only_rows_of_the_range_are_compared(
    warehouse: Warehouse,
    database: str,
    reader: Reader,  # noqa: F811
    mode: str,
) -> None:
    before = Given(TYPES, ["id"], mode, rows=LIVE)
    after = replace(before, rows=of_range(7))
    live, candidate = sides(warehouse, database, before, after)
    report = compared(reader, live, ranged(candidate))
    rows = 3 if mode == "upsert" else 4  # key 4 is newer by now: who keeps the newest row cannot compare it
    assert found(report) == {"rows": [rows, rows], "columns": {"v": 1}, "added": 0, "removed": 0, "changed": 1}
    assert (report["ingested_from"], report["ingested_to"]) == (BEGIN.isoformat(), END.isoformat())
    assert report["quarantine"] == report["filtered"] == []

    control = compared(reader, live, candidate)  # without the range, all that the candidate never held is missed
    assert control["removed"]

"""The flights under another rule: the dataset file for it, and what must differ, as DuckDB computes it from the CSV files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml

#: Text of the dataset file -> what it becomes. Rows come (unknown airports are only flagged), go (short flights are filtered,
#: late ones set aside), and change (the speed is rounded to whole miles an hour, and a gain that is not known is none).
CHANGED: Mapping[str, str] = {
    "WHERE dep_time IS NOT NULL": "WHERE dep_time IS NOT NULL AND distance >= 200",
    "round(distance * 60.0 / air_time, 1) AS speed_mph": "round(distance * 60.0 / air_time) AS speed_mph",
    "dep_delay - arr_delay AS gained_min": "coalesce(dep_delay - arr_delay, 0) AS gained_min",
    "    to: faa\n": "    to: faa\n    severity: flag\n",
    "    max: 720\n    severity: flag\n    description: More": "    max: 300\n    description: More",
}
NOT_TRUE_ANY_MORE = (
    "an overnight arrival",
    "a cancelled flight is left out",
    "a flight to an unknown airport is set aside",
)
BOTH = "was AND becomes"
FLIGHTS = f"""
    WITH flights AS (SELECT * FROM read_csv('{{folder}}/flights.csv', nullstr=['', 'NA'])),
    airports AS (SELECT faa FROM read_csv('{{folder}}/airports.csv', nullstr=['', 'NA'])),
    measured AS (
        SELECT *, dep_time IS NOT NULL AS flew, faa IS NOT NULL AS known,
            distance * 60.0 / air_time AS speed, dep_delay - arr_delay AS gained
        FROM flights LEFT JOIN airports ON faa = dest
    ),
    judged AS (
        SELECT *, flew AND known AS was, flew AND distance >= 200 AND dep_delay <= 300 AS becomes FROM measured
    )
    SELECT
        count(*) FILTER (becomes AND NOT was) AS added,
        count(*) FILTER (was AND NOT becomes) AS removed,
        count(*) FILTER ({BOTH} AND (round(speed, 1) IS DISTINCT FROM round(speed) OR gained IS NULL)) AS changed,
        count(*) FILTER ({BOTH} AND round(speed, 1) IS DISTINCT FROM round(speed)) AS speed_mph,
        count(*) FILTER ({BOTH} AND gained IS NULL) AS gained_min,
        count(*) FILTER ({BOTH} AND round(speed, 1) BETWEEN 60 AND 650 <> round(speed) BETWEEN 60 AND 650) AS _flags,
        count(*) FILTER (was) AS rows_before, count(*) FILTER (becomes) AS rows_after,
        sum(distance) FILTER (was) AS distance_before, sum(distance) FILTER (becomes) AS distance_after,
        sum(gained) FILTER (was) AS gained_before, sum(coalesce(gained, 0)) FILTER (becomes) AS gained_after,
        count(*) FILTER (flew AND NOT known) AS unknown_before,
        count(*) FILTER (flew AND distance >= 200 AND dep_delay > 300) AS late_after,
        count(*) FILTER (was AND distance >= 200 AND NOT becomes) AS removed_by_quarantine,
        count(*) FILTER (becomes AND NOT was) AS added_from_quarantine,
        count(*) FILTER (NOT flew) AS cancelled, count(*) FILTER (flew AND distance < 200) AS short
    FROM judged
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What must differ between the two generations: figures by name."""

    figures: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.figures[name]


def expected(folder: Path) -> Expected:
    """The figures, computed from the files alone."""
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(FLIGHTS.format(folder=folder))
        names = [column[0] for column in found.description or ()]
        [row] = found.fetchall()
    return Expected({name: int(value) for name, value in zip(names, row, strict=True)})


def changed(document: str) -> str:
    """The dataset file under the other rule. The test of what is not true any more is left out."""
    for before, after in CHANGED.items():
        assert document.count(before) == 1 or before.startswith("WHERE"), before
        document = document.replace(before, after, 1)
    parsed: dict[str, Any] = yaml.safe_load(document)
    parsed["tests"] = [test for test in parsed["tests"] if test["name"] not in NOT_TRUE_ANY_MORE]
    return yaml.safe_dump(parsed, sort_keys=False)

"""The rows that a row of a model was made of: over these alone the model gives that very row."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import chdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.contract.contributing import Contributing
from headrace.contract.schedule import Schedule
from services.ingest.connectors.model.contributors import contributing
from services.ingest.connectors.model.query import model_query
from services.ingest.connectors.model.settings import ModelSource
from services.ingest.connectors.model.values import equals

COLUMNS = (
    "k Nullable(String), l Int32, v Nullable(Int64), at DateTime('UTC'), xs Array(Int32), "
    "_partition Int32, _offset Int64, _seq Int32, _version Int32, _ingested_at DateTime64(6, 'UTC')"
)
#: Each is told to the row: over the rows that contributed the query gives that row and no other.
EXACT = (
    "SELECT k, l, count() AS n, sum(v) AS s FROM ref('a.b') GROUP BY k, l",
    "SELECT upper(k) AS k, count() AS n, arraySort(groupArray(v)) AS vs FROM ref('a.b') WHERE k <> 'y' GROUP BY k HAVING n > 1",
    "SELECT toDate(at) AS day, 1, sum(v) / count() AS mean, mean * 2 AS twice, count() AS n FROM ref('a.b') GROUP BY 1, 2",
    "SELECT toYYYYMM(at) AS month, k, count() AS n FROM ref('a.b') GROUP BY ALL",
    "SELECT count() AS n, max(v) AS m FROM ref('a.b') WHERE l > 1",
    "SELECT DISTINCT k, l FROM ref('a.b')",
    "WITH d AS (SELECT * FROM ref('a.b') WHERE l > 0), 2 AS two SELECT k, count() * two AS n FROM d GROUP BY k",
    "WITH d AS (SELECT *, l + 1 AS m FROM ref('a.b')), e AS (SELECT * FROM d WHERE m > 1) "
    "SELECT m, count() AS n, sum(v) AS s FROM e GROUP BY m",
    "SELECT l, max(n) AS most, sum(n) AS every FROM (SELECT k, l, count() AS n FROM ref('a.b') GROUP BY k, l) GROUP BY l",
    "WITH per AS (SELECT k, l, sum(v) AS s FROM ref('a.b') GROUP BY k, l HAVING s > 2) "
    "SELECT per.k AS k, count() AS n, sum(s) AS total FROM per GROUP BY per.k",
    "SELECT b.l AS l, count() AS n, sum(c.v) AS s FROM ref('a.b') AS b INNER JOIN ref('a.c') AS c ON c.l = b.l GROUP BY b.l",
    "SELECT l, count() AS n, sum(w) AS s FROM ref('a.b') AS b LEFT JOIN (SELECT l, max(v) AS w FROM ref('a.c') GROUP BY l) AS c "
    "USING (l) GROUP BY l",
    "SELECT l, count() AS n FROM (SELECT l, v FROM ref('a.b') UNION ALL SELECT l, v FROM ref('a.c')) GROUP BY l",
)
#: The rows that contributed to a row have a part in others, too: the row is among those that the query gives over them.
SHARED = (
    "SELECT x, count() AS n FROM ref('a.b') ARRAY JOIN xs AS x GROUP BY x",
    "SELECT one.l AS l, count() AS n FROM ref('a.b') AS one INNER JOIN ref('a.b') AS two ON one.v = two.l GROUP BY one.l",
)
#: Of these, others may be among the rows that are told; the row is among those that the query gives over them.
WIDER = (
    "SELECT k, l + 1 AS m FROM ref('a.b')",
    "SELECT * FROM ref('a.b') WHERE l > 0",
    "SELECT k, count() AS n FROM ref('a.b') GROUP BY k ORDER BY n DESC, k LIMIT 1",
    "SELECT k, row_number() OVER (PARTITION BY l ORDER BY _offset) AS at, l FROM ref('a.b')",
    "SELECT count() AS n FROM ref('a.b') GROUP BY k",
    "SELECT k, count() AS n FROM ref('a.b') GROUP BY ROLLUP(k)",
    "SELECT k AS name, 'b' AS kind, count() AS n FROM ref('a.b') GROUP BY k "
    "UNION ALL SELECT k, 'c', count() FROM ref('a.c') GROUP BY k",
    "SELECT k, count() AS n FROM ref('a.b') WHERE l IN (SELECT l FROM ref('a.c')) GROUP BY k",
    "SELECT k, l FROM ref('a.b') ORDER BY _offset LIMIT 1 BY k",
)

Row = tuple[Any, ...]
ROWS = st.lists(
    st.tuples(st.sampled_from(["x", "y", "it's", None]), st.integers(0, 3), st.none() | st.integers(0, 5), st.integers(0, 2)),
    max_size=9,
)  # fmt: skip


def text(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "\\'") + "'"


class Engine:
    """ClickHouse in this process, with the tables of two datasets."""

    def __init__(self) -> None:
        self._session = chdb.connect(":memory:")
        self._run("CREATE DATABASE IF NOT EXISTS a")
        for name in ("b", "c"):
            self._run(f"CREATE OR REPLACE TABLE a.{name} ({COLUMNS}) ENGINE = Memory")

    def _run(self, sql: str) -> None:
        self._session.query(sql)

    def fill(self, table: str, rows: list[Any]) -> None:
        self._run(f"TRUNCATE TABLE {table}")
        values = ", ".join(
            f"({text(k)}, {level}, {'NULL' if v is None else v}, '2026-01-{day + 1:02} 10:00:00', "
            f"[{level}, {day}], {offset % 2}, {offset}, 0, 1, '2026-02-01 00:00:00')"
            for offset, (k, level, v, day) in enumerate(rows)
        )
        if values:
            self._run(f"INSERT INTO {table} VALUES {values}")

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """What is published of the rows of a query."""
        table = self._session.query(f"SELECT * FROM ({sql}) AS m", "ArrowTable")
        return [{name: value for name, value in row.items() if not name.startswith("_")} for row in table.to_pylist()]

    def given(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a model."""
        return self.rows(model_query(sql).text)

    def over(self, found: tuple[Contributing, ...], sql: str, but: str = "0") -> list[dict[str, Any]]:
        """The rows of a model over those alone that contributed, and without those that `but` is true for."""
        query = model_query(sql).text
        for each in found:
            name = each.dataset.partition(".")[2]
            offsets = [row["o"] for row in self.rows(f"SELECT _offset AS o FROM ({each.sql})")]
            query = query.replace(
                f"`a`.`{name}`", f"(SELECT * FROM a.{name} WHERE has({offsets}, _offset) AND NOT {but})"
            )
        return self.rows(query)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


EXAMPLES = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("sql", EXACT, ids=range(len(EXACT)))
@given(b=ROWS, c=ROWS)
@EXAMPLES
def test_over_what_contributed_alone_the_model_gives_that_row_alone(
    engine: Engine, sql: str, b: list[Any], c: list[Any]
) -> None:
    engine.fill("a.b", b)
    engine.fill("a.c", c)
    for row in engine.given(sql):
        found = contributing(sql, row)
        assert not any(each.notes for each in found if "UNION" not in sql)
        assert engine.over(found, sql) == [row], found


@pytest.mark.parametrize("sql", [*SHARED, *WIDER], ids=range(len(SHARED) + len(WIDER)))
@given(b=ROWS, c=ROWS)
@EXAMPLES
def test_what_is_wider_says_so_and_has_all_that_contributed(
    engine: Engine, sql: str, b: list[Any], c: list[Any]
) -> None:
    engine.fill("a.b", b)
    engine.fill("a.c", c)
    for row in engine.given(sql):
        found = contributing(sql, row)
        assert any(each.notes for each in found) or sql in SHARED
        assert cut(sql) or row in engine.over(found, sql), found


def cut(sql: str) -> bool:
    """Whether the rows over which a model is asked anew decide which it gives: then the same need not be among them."""
    return "LIMIT 1" in sql


def test_the_control_with_one_row_less_the_model_gives_another_row(engine: Engine) -> None:
    engine.fill("a.b", [("x", 1, 5, 0), ("x", 1, 4, 0), ("y", 1, 3, 0), ("x", 2, 2, 0)])
    engine.fill("a.c", [])
    sql, row = EXACT[0], {"k": "x", "l": 1, "n": 2, "s": 9}
    found = contributing(sql, row)
    assert engine.over(found, sql) == [row]
    for offset in (0, 1):
        assert engine.over(found, sql, but=f"_offset = {offset}") != [row]


@pytest.mark.parametrize(
    ("expression", "value", "other"),
    [
        ("toDate('2013-01-31')", date(2013, 1, 31), date(2013, 1, 30)),
        ("toDateTime('2013-01-31 12:30:00', 'Europe/Zurich')", datetime(2013, 1, 31, 11, 30, tzinfo=UTC), None),
        ("toDateTime64('2013-01-31 12:30:00.25', 3, 'UTC')", datetime(2013, 1, 31, 12, 30, 0, 250_000, tzinfo=UTC), None),
        ("toDateTime64('2013-01-31 12:30:00.000000123', 9, 'UTC')", datetime(2013, 1, 31, 12, 30, tzinfo=UTC), None),
        ("toDecimal64(1.25, 2)", Decimal("1.25"), Decimal("1.26")),
        ("CAST('a' AS Enum8('a' = 1, 'b' = 2))", "a", "b"),
        ("toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')", "61f0c404-5cb3-11e7-907b-a6006ad3dba0", None),
        ("toInt256('57896044618658097711785492504343953926634992332820282019728792003956564819967')",
         "57896044618658097711785492504343953926634992332820282019728792003956564819967", "5"),
        ("toFloat32(0.1)", 0.10000000149011612, 0.1),
        ("0.1 + 0.2", 0.30000000000000004, 0.3),
        ("toFloat64('nan')", float("nan"), 1.0),
        ("toFloat64('-inf')", float("-inf"), float("inf")),
        ("CAST(NULL AS Nullable(Int64))", None, 0),
        ("toLowCardinality('it''s \\\\')", "it's \\", "its"),
        ("toUInt64(7)", 7, -7),
        ("['a', 'b']", ["a", "b"], ["a"]),
        ("true", True, False),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_is_written_so_that_it_equals_what_it_was(
    engine: Engine, expression: str, value: Any, other: Any
) -> None:
    assert engine.rows(f"SELECT {equals('c', value)} AS e FROM (SELECT {expression} AS c)") == [{"e": 1}]
    assert engine.rows(f"SELECT {equals('c', other)} AS e FROM (SELECT {expression} AS c)") != [{"e": 1}]


def test_what_a_query_cannot_say_is_no_condition() -> None:
    assert [equals("c", value) for value in (b"x", {"a": 1}, [[1]], [None])] == [None] * 4
    [found] = contributing("SELECT k, count() AS n FROM ref('a.b') GROUP BY k", {"k": {"a": 1}, "n": 1})
    assert found.notes == ("by k nothing is told: its value is not known, or cannot be compared",)


def test_the_window_of_an_incremental_model_is_open_to_the_past() -> None:
    sql = "SELECT k FROM ref('a.b') WHERE at >= {since:DateTime64(6, 'UTC')} AND at < {until:DateTime}"
    source = ModelSource(type="model", sql=sql, schedule=Schedule(every="1h"))
    [found] = source.contributors({"k": "x"}, datetime(2026, 1, 2, tzinfo=UTC))
    assert "1970-01-01" in found.sql
    assert "2026-01-02" in found.sql
    assert "window" in found.notes[-1]


def test_what_is_read_in_a_condition_besides_is_said() -> None:
    named = "WITH d AS (SELECT k, l FROM ref('a.b')) SELECT x.k AS k, count() AS n "
    twice = named + "FROM d AS x JOIN d AS y ON x.k = y.l {}GROUP BY k"
    row = {"k": "x", "n": 1}
    [found] = contributing(twice.format(""), row)
    assert not any("also read" in note for note in found.notes)
    [found] = contributing(twice.format("WHERE x.l IN (SELECT l FROM ref('a.b')) "), row)
    assert any("also read" in note for note in found.notes)

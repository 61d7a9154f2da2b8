"""A partitioned model gives what its query gives, and asks it for the partitions alone whose rows have changed."""

import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import chdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headrace.contract import ContractError, load
from services.ingest.connectors.model import partitioned
from services.ingest.connectors.model.columns import Given, exported
from services.ingest.connectors.model.columns import text as quoted_text
from services.ingest.connectors.model.partition_setting import STATE, Partition, mentioned, parts
from services.ingest.connectors.model.partitioned import Own, Partitioned, Read
from services.ingest.connectors.model.query import model_query
from services.ingest.connectors.model.settings import ModelSource

GROUPED = "SELECT toDate(at) AS day, k, count() AS n, sum(v) AS s FROM ref('a.b') WHERE l < 3 GROUP BY day, k"
JOINED = (
    "SELECT toDate(x.at) AS day, x.k AS k, any(y.v) AS w, count() AS n FROM ref('a.b') AS x LEFT JOIN ref('a.c') AS y "
    "ON x.l = y.l GROUP BY day, k, x.l HAVING n > 1"
)
#: (the query, by what, of which datasets it is said)
MODELS: dict[str, tuple[str, str, dict[str, str]]] = {
    "grouped": (GROUPED, "day", {}),
    "a key that may be missing": ("SELECT k, max(v) AS m, uniq(l) AS u FROM ref('a.b') GROUP BY k", "k", {}),
    "an hour": ("SELECT toStartOfHour(at) AS hour, groupArray(v) AS vs FROM (SELECT * FROM ref('a.b') ORDER BY v) GROUP BY hour",
                "hour", {"a.b": "toStartOfHour(at)"}),
    "row by row": ("SELECT l, k, v FROM ref('a.b')", "l", {}),
    "joined with what has no partitions": (JOINED, "day", {}),
    "two that have": ("SELECT toDate(at) AS day, 'b' AS kind, count() AS n FROM ref('a.b') GROUP BY day UNION ALL "
                      "SELECT toDate(at), 'c', sum(v) FROM ref('a.c') GROUP BY 1",
                      "day", {"a.b": "toDate(at)", "a.c": "toDate(at)"}),
    "what is no row of any": ("SELECT toDate(at) AS day, count() AS n FROM ref('a.b') GROUP BY day UNION ALL "
                              "SELECT toDate('1999-01-01'), count() FROM ref('a.c')", "day", {"a.b": "toDate(at)"}),
}  # fmt: skip
COLUMNS = "id Int32, k Nullable(String), l Int32, v Nullable(Int64), at DateTime('UTC')"
KEYED = "ENGINE = ReplacingMergeTree(version, gone) ORDER BY id"


class Engine:
    """ClickHouse in this process, with the tables of two datasets, one of them loaded by a key, and of the model."""

    def __init__(self) -> None:
        self._session = chdb.connect(":memory:")
        self.version = 0
        self.run("CREATE DATABASE IF NOT EXISTS a")

    def empty(self) -> None:
        for name in ("b", "c"):
            self.run(f"CREATE OR REPLACE TABLE a.{name}_rows ({COLUMNS}, version UInt64, gone UInt8) {KEYED}")
            self.run(f"CREATE OR REPLACE VIEW a.{name} AS SELECT id, k, l, v, at FROM a.{name}_rows FINAL")
        self.run("DROP TABLE IF EXISTS a.model")

    def run(self, sql: str) -> None:
        self._session.query(sql)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._session.query(sql, "ArrowTable").to_pylist()
        return found

    def columns(self, sql: str) -> list[Given]:
        return [Given(row["name"], row["type"]) for row in self.rows(f"DESCRIBE TABLE ({sql})")]

    def put(self, table: str, *rows: tuple[int, tuple[Any, ...] | None]) -> None:
        """Rows of a dataset as they are from now on; None when one is gone."""
        values = []
        for id, row in rows:
            self.version += 1
            k, level, v, hour = row or ("x", 0, None, 0)
            at = f"toDateTime('2026-01-01 00:00:00', 'UTC') + {hour} * 7200"
            values.append(f"({id}, {text(k)}, {level}, {text(v)}, {at}, {self.version}, {int(row is None)})")
        if values:
            self.run(f"INSERT INTO a.{table}_rows VALUES {', '.join(values)}")


def text(value: str | int | None) -> str:
    return "NULL" if value is None else quoted_text(value) if isinstance(value, str) else str(value)


class Model:
    """A model that is run again and again."""

    def __init__(self, engine: Engine, sql: str, column: str, of: dict[str, str], *, counting: bool = False) -> None:
        self.engine = engine
        query, partition = model_query(sql), Partition(column=column, of=of)
        told = parts(partition, sql, query)
        reads = [
            Read(
                name,
                [] if counting else mentioned(sql, [each.name for each in engine.columns(f"SELECT * FROM {name}")]),
                told.get(name, ""),
            )
            for name in query.references
        ]
        given = engine.columns(query.text)
        leaving = engine.columns(f"SELECT {exported(given)} FROM ({query.text}) AS m")
        self._made = Partitioned(query.text, column, given, leaving, reads, sql)
        self.has_run = False

    @property
    def made(self) -> Partitioned:
        names = {each.name: each.name for each in self._made.leaving}
        return replace(self._made, own=Own("a.model", names) if self.has_run else None)

    def full(self) -> list[dict[str, Any]]:
        return self.engine.rows(f"SELECT {exported(self.made.given)} FROM ({self.made.query}) AS m")

    def run(self, lost: str = "0") -> list[dict[str, Any]]:
        """What a run gives. It shows from then on, but for rows that were set aside."""
        engine = self.engine
        engine.run(f"CREATE OR REPLACE TABLE a.given ENGINE = Memory AS {self.made.rows()}")
        engine.run(f"CREATE OR REPLACE TABLE a.model ENGINE = Memory AS SELECT * FROM a.given WHERE NOT ({lost})")
        self.has_run = True
        return engine.rows(f"SELECT * EXCEPT {STATE} FROM a.given")

    def follow(self, key: Sequence[str], *, deleting: bool = True, first: int = 1000) -> list[dict[str, Any]]:
        """What shows after a run whose rows replace those of the same key, and which breaks off behind its first rows."""
        engine, columns = self.engine, [each.name for each in self.made.leaving]
        given = f"SELECT * FROM ({self.made.changes(key)}) ORDER BY ALL LIMIT {first}"
        engine.run(f"CREATE OR REPLACE TABLE a.given ENGINE = Memory AS {given}")
        by = ", ".join(key)
        given = f"SELECT {by} FROM a.given WHERE _op = 'insert' OR {int(deleting)}"
        before = f"SELECT * FROM a.model WHERE ({by}) NOT IN ({given})"
        after = f"SELECT * EXCEPT _op FROM a.given WHERE _op = 'insert' {f'UNION ALL {before}' if self.has_run else ''}"
        engine.run(f"CREATE OR REPLACE TABLE a.next ENGINE = Memory AS {after}")
        engine.run("CREATE OR REPLACE TABLE a.model ENGINE = Memory AS SELECT * FROM a.next")
        self.has_run = True
        return engine.rows(f"SELECT {', '.join(columns)} FROM a.model")

    def kept(self) -> set[str]:
        """The partitions that the query is not asked for."""
        return {str(row["__p"]) for row in self.engine.rows(self.made.kept())}


def counted(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(repr(sorted(row.items(), key=lambda item: item[0])) for row in rows)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


ROW = st.tuples(
    st.sampled_from(["x", "y", "it's", None]), st.integers(0, 3), st.none() | st.integers(0, 5), st.integers(0, 20)
)
CHANGES = st.lists(
    st.lists(st.tuples(st.sampled_from("bbbc"), st.integers(0, 6), st.none() | ROW), max_size=5), min_size=2, max_size=3
)
EXAMPLES = settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("name", MODELS)
@given(changes=CHANGES)
@EXAMPLES
def test_after_any_changes_a_run_gives_what_the_query_gives(engine: Engine, name: str, changes: list[Any]) -> None:
    engine.empty()
    model = Model(engine, *MODELS[name])
    for change in changes:
        for table in "bc":
            engine.put(table, *((id, row) for at, id, row in change if at == table))
        expected = counted(model.full())
        assert counted(model.run()) == expected
    assert counted(model.run()) == expected, "nothing has changed since"


FIRST = [(1, ("x", 1, 1, 0)), (2, ("x", 1, 2, 0)), (3, ("y", 2, 3, 12)), (4, ("y", 2, 4, 12))]


def filled(engine: Engine, name: str, *, counting: bool = False) -> Model:
    """A model that has run over the rows of two days."""
    engine.empty()
    engine.put("b", *FIRST)
    model = Model(engine, *MODELS[name], counting=counting)
    model.run()
    return model


FIRST_DAY, SECOND_DAY = "('2026-01-01')", "('2026-01-02')"


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ([], {FIRST_DAY, SECOND_DAY}),
        ([(5, ("z", 0, 1, 1))], {SECOND_DAY}),
        ([(6, ("z", 0, 1, 40))], {FIRST_DAY, SECOND_DAY}),
        ([(1, ("x", 1, 9, 0))], {SECOND_DAY}),
        ([(1, ("x", 1, 1, 12))], set()),
        ([(1, None)], {SECOND_DAY}),
        ([(1, None), (2, None)], {SECOND_DAY}),
        ([(1, ("x", 1, 1, 0))], {FIRST_DAY, SECOND_DAY}),
    ],
    ids=["none", "a row came", "a new day", "a value", "it moved", "it was deleted", "a day is gone", "sent again"],
)
def test_the_partitions_that_changed_are_made_anew_and_no_others(engine: Engine, change: Any, kept: set[str]) -> None:
    model = filled(engine, "grouped")
    engine.put("b", *change)
    assert model.kept() == kept
    assert counted(model.run()) == counted(model.full())


def test_rows_of_the_partitions_that_are_kept_are_those_of_the_table(engine: Engine) -> None:
    """So what makes a partition twice, or takes an old one for a new, would be seen."""
    model = filled(engine, "grouped")
    engine.run("CREATE OR REPLACE TABLE a.marked ENGINE = Memory AS SELECT * REPLACE(s + 1000 AS s) FROM a.model")
    engine.put("b", (1, ("x", 1, 5, 0)))
    names = {each.name: each.name for each in model.made.leaving}
    rows = engine.rows(replace(model.made, own=Own("a.marked", names)).rows())
    assert sorted(row["s"] for row in rows) == [7, 1007]


def test_a_dataset_without_partitions_concerns_all_of_them(engine: Engine) -> None:
    model = filled(engine, "joined with what has no partitions")
    assert model.kept() == {FIRST_DAY, SECOND_DAY}
    engine.put("c", (1, ("x", 2, 1, 0)))
    assert model.kept() == set()


def test_a_partition_of_which_rows_were_set_aside_is_made_again(engine: Engine) -> None:
    model = filled(engine, "grouped")
    expected = counted(model.full())
    engine.run("DROP TABLE a.model")
    model.has_run = False
    model.run(lost="k = 'y'")
    engine.put("b", (9, ("w", 0, 1, 12)))
    engine.put("b", (9, None))
    assert model.kept() == {FIRST_DAY}
    assert counted(model.run()) == expected


def test_another_query_makes_all_partitions_anew(engine: Engine) -> None:
    filled(engine, "grouped")
    sql, column, of = MODELS["grouped"]
    other = Model(engine, sql.replace("sum(v)", "sum(v) * 2"), column, of)
    other.has_run = True
    assert other.kept() == set()
    assert counted(other.run()) == counted(other.full())


def test_the_controls_what_counts_rows_alone_or_keeps_what_is_short_gives_something_else(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = filled(engine, "grouped", counting=True)
    engine.put("b", (1, ("x", 1, 9, 0)))
    assert counted(model.run()) != counted(model.full())
    monkeypatch.setattr(partitioned, "SAME", "startsWith(o.__s, s.__s)")
    model = filled(engine, "grouped")
    engine.put("b", (5, ("z", 0, 1, 1)))
    model.run(lost="k = 'z'")
    assert counted(model.run()) != counted(model.full())


#: Of models each row of which has a key.
KEYS = {
    "grouped": ["day", "k"],
    "a key that may be missing": ["k"],
    "an hour": ["hour"],
    "two that have": ["day", "kind"],
    "what is no row of any": ["day"],
}


@pytest.mark.parametrize("name", KEYS)
@given(changes=CHANGES, cuts=st.lists(st.integers(0, 3), min_size=4, max_size=4))
@EXAMPLES
def test_what_changed_and_what_is_gone_by_key_makes_of_the_table_what_the_query_gives(
    engine: Engine, name: str, changes: list[Any], cuts: list[int]
) -> None:
    """Also behind runs that broke off anywhere."""
    engine.empty()
    model = Model(engine, *MODELS[name])
    for change, cut in zip(changes, cuts, strict=False):
        for table in "bc":
            named = ((id, row and (row[0] or "none", *row[1:])) for at, id, row in change if at == table)
            engine.put(table, *named)  # a key is not missing
        model.follow(KEYS[name], first=cut)
        assert counted(model.follow(KEYS[name])) == counted(model.full())


def test_by_key_the_partitions_that_changed_are_given_and_no_others(engine: Engine) -> None:
    model = filled(engine, "grouped")
    engine.put("b", (1, None), (2, ("z", 1, 2, 0)))
    given = {(row["k"], row["_op"]) for row in engine.rows(model.made.changes(["day", "k"]))}
    assert given == {("x", "delete"), ("z", "insert")}
    model.follow(["day", "k"])
    assert engine.rows(model.made.changes(["day", "k"])) == []


def test_the_control_without_deletions_rows_stay_that_the_query_gives_no_more(engine: Engine) -> None:
    for deleting in (True, False):
        model = filled(engine, "grouped")
        engine.put("b", (1, None), (2, None))
        assert (counted(model.follow(["day", "k"], deleting=deleting)) == counted(model.full())) is deleting


def test_a_run_that_broke_off_is_ended_by_the_next_and_the_control_without_counting_loses_rows(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for counting in (True, False):
        if not counting:
            monkeypatch.setattr(partitioned, "SAME", "startsWith(o.__s, s.__s)")
        model = filled(engine, "grouped")
        engine.put("b", (7, ("x", 1, 2, 40)), (8, ("y", 1, 2, 40)))
        model.follow(["day", "k"], first=1)
        assert (counted(model.follow(["day", "k"])) == counted(model.full())) is counting


def test_a_row_that_comes_behind_the_run_after_it_is_gone_with_the_next(engine: Engine) -> None:
    """A run does not wait until the rows of the one before are in the table."""
    model = filled(engine, "grouped")
    engine.put("b", (5, ("late", 0, 1, 1)))
    [late] = engine.rows("SELECT * FROM a.model WHERE 0 UNION ALL SELECT * EXCEPT _op FROM ("
                         f"{model.made.changes(['day', 'k'])}) WHERE k = 'late'")  # fmt: skip
    engine.put("b", (5, None))
    model.follow(["day", "k"])
    engine.run(f"INSERT INTO a.model SELECT day, 'late', n, s, '{late[STATE]}' FROM a.model LIMIT 1")
    assert counted(engine.rows(f"SELECT * EXCEPT {STATE} FROM a.model")) != counted(model.full())
    assert counted(model.follow(["day", "k"])) == counted(model.full())


def test_a_state_is_of_the_very_rows_that_the_partition_was_made_of(engine: Engine) -> None:
    """While a statement runs, rows come and change. An older state beside newer rows could be met again, and keep these."""
    engine.empty()
    model = Model(engine, "SELECT toDate(at) AS day, count() AS n, sum(v) AS s FROM ref('a.b') GROUP BY day", "day", {})
    changes = [(id % 5, ("x", id, id, 0)) for id in range(1, 11)]

    def seen() -> set[tuple[int, int, str]]:
        return {(row["n"], row["s"], row[STATE]) for row in engine.rows(model.made.rows())}

    def write() -> None:
        for change in changes:
            writer.put("b", change)

    writer, found = Engine(), set()
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        while not written.done():
            found |= seen()
        written.result()
    engine.empty()
    one_by_one = set()
    for change in changes:
        engine.put("b", change)
        one_by_one |= seen()
    assert found <= one_by_one
    assert found


@pytest.mark.parametrize(
    ("sql", "column", "found"),
    [
        (GROUPED, "day", {"a.b": "(toDate(at))"}),
        (JOINED, "day", {"a.b": "(toDate(at))"}),
        ("SELECT k, sum(v) AS s FROM ref('a.b') GROUP BY k", "k", {"a.b": "(k)"}),
    ],
)
def test_of_which_rows_a_partition_is_made_follows_from_a_plain_query(
    sql: str, column: str, found: dict[str, str]
) -> None:
    assert dict(parts(Partition(column=column), sql, model_query(sql))) == found


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT toDate(at) AS day, at FROM ref('a.b') ORDER BY at LIMIT 9", "cannot be told"),
        ("SELECT toDate(at) AS day, row_number() OVER (ORDER BY at) AS n FROM ref('a.b')", "cannot be told"),
        ("SELECT toDate(max(at)) AS day FROM ref('a.b')", "cannot be told"),
        ("SELECT toDate(at) AS day FROM ref('a.b') AS x JOIN ref('a.c') AS y ON x.l = y.l", "cannot be told"),
        ("SELECT toDate(x.at) AS day FROM ref('a.b') AS x RIGHT JOIN ref('a.c') AS y ON x.l = y.l", "cannot be told"),
        ("SELECT toDate(x.at) AS day FROM ref('a.b') AS x LEFT JOIN ref('a.b') AS y ON x.l = y.l", "cannot be told"),
        ("SELECT toDate(l) AS day, l + 1 AS l FROM ref('a.b')", "cannot be told"),
        ("SELECT day FROM (SELECT toDate(at) AS day FROM ref('a.b'))", "cannot be told"),
        ("SELECT toDate(at) AS day FROM ref('a.b') WHERE l IN (SELECT max(l) FROM ref('a.b'))", "cannot be told"),
        ("SELECT toDate(at) AS day, count() AS n FROM ref('a.b') GROUP BY ROLLUP(day)", "cannot be told"),
        ("SELECT *, toDate(at) AS day FROM ref('a.b')", re.escape("in the place of `*`")),
        ("SELECT toDate(at) AS month FROM ref('a.b')", re.escape("that the query gives (month)")),
        ("SELECT toDate(at) AS day, now() AS made FROM ref('a.b')", "now"),
        ("SELECT toDate(at) AS day, 1 AS partition_state FROM ref('a.b')", "partition_state"),
        ("SELECT toDate(at) AS day FROM ref('a.b') WHERE at >= {since:DateTime} AND at < {until:DateTime}", "since"),
    ],
)
def test_what_cannot_be_partitioned_says_why(sql: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parts(Partition(column="day"), sql, model_query(sql, frozenset({"since", "until"})))


@pytest.mark.parametrize(
    ("of", "why"),
    [
        ({"a.z": "toDate(at)"}, "a.z"),
        ({"a.b": "max(at)"}, "without aggregates"),
        ({"a.b": "now()"}, "without aggregates"),
        ({"a.b": "1"}, "over the columns"),
        ({"a.b": "(SELECT 1)"}, "over the columns"),
        ({"a.b": "1) FROM system.tables --"}, "over the columns"),
        ({"a.b": "file('/etc/passwd', at)"}, "over the columns"),
    ],
)
def test_a_partition_is_an_expression_over_one_row(of: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parts(Partition(column="day", of=of), GROUPED, model_query(GROUPED))


FILE = """
dataset: a.m
description: d
owner: {{team: t}}
source: {{type: model, partition: {{column: day}}, sql: "SELECT toDate(at) AS day, k FROM ref('a.b')"{source}}}
load: {{mode: {mode}}}
key: [day, k]
{more}
"""


@pytest.mark.parametrize(
    ("source", "mode", "more", "why"),
    [
        ("", "append", "", "`replace` or `upsert`"),
        ("", "upsert", "", "`replace`, or a source.schedule"),
        (", schedule: {trigger: upstream}", "upsert", "", "`replace`, or a source.schedule"),
        ("", "replace", "transform: {sql: SELECT * FROM input}", "taken from the dataset itself"),
    ],
)
def test_how_a_partitioned_model_is_loaded_fits_it(source: str, mode: str, more: str, why: str) -> None:
    with pytest.raises(ContractError, match=why):
        load(FILE.format(source=source, mode=mode, more=more))


def test_a_partitioned_model_is_loaded_in_runs_or_by_key() -> None:
    whole = load(FILE.format(source=", schedule: {trigger: upstream}", mode="replace", more=""))
    assert list(whole.source.gives) == ["day", "k", STATE]
    load(FILE.format(source=", schedule: {every: 1h}", mode="upsert", more=""))
    with pytest.raises(ContractError, match=re.escape("that the query gives (day, k)")):
        load(
            FILE.format(source=", schedule: {every: 1h}", mode="upsert", more="").replace(
                "column: day", "column: month"
            )
        )


def test_a_column_that_tells_the_partition_is_read() -> None:
    sql = "SELECT day, k FROM (SELECT toDate(at) AS day, k FROM ref('a.b'))"
    source = ModelSource(
        type="model", sql=sql, partition=Partition(column="day", of={"a.b": "toDate(coalesce(seen, at))"})
    )
    assert [name for name in ("at", "k", "seen", "v") if source.reads("a.b", name)] == ["at", "k", "seen"]
    assert not source.reads("a.c", "seen")


def test_a_column_of_a_tuple_is_one_that_the_query_depends_on() -> None:
    sql = "SELECT t.x AS x, count() AS n FROM ref('a.b') GROUP BY x"
    assert mentioned(sql, ["t", "y"]) == ["t"]

"""A model is one query that only reads, over datasets that it names by ref; everything else is refused with what to write."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from headrace.connector import ReadingFailed
from headrace.contract import ContractError, cycle, load, readers_of
from headrace.sql_guard import RefusedQueryError
from services.ingest.connectors.model.columns import Given, exported, sorted_by
from services.ingest.connectors.model.query import model_query
from services.ingest.connectors.model.settings import ModelSource

GUIDE = Path(__file__).parents[3] / "docs/models.md"
WINDOW = "x >= {since:DateTime} AND x < {until:DateTime}"

FINE = {
    "SELECT * FROM ref('a.b')": "SELECT * FROM `a`.`b`",
    "SELECT x FROM REF ( 'a.b' ) AS y -- why\n;": "SELECT x FROM `a`.`b` AS y",
    "WITH t AS (SELECT 1 AS x) SELECT x FROM t JOIN ref('a.b') AS b USING x": (
        "WITH t AS (SELECT 1 AS x) SELECT x FROM t JOIN `a`.`b` AS b USING x"
    ),
    "SELECT x FROM ref('a.b') UNION ALL SELECT y FROM ref('c.d')": "SELECT x FROM `a`.`b` UNION ALL SELECT y FROM `c`.`d`",
    "SELECT 'ref(''a.b'')' AS ref FROM ref('c.d')": "SELECT 'ref(\\'a.b\\')' AS ref FROM `c`.`d`",
    "SELECT x FROM ref('a.b') ARRAY JOIN xs AS x": "SELECT x FROM `a`.`b` ARRAY JOIN xs AS x",
}

REFUSED = {
    "SELECT 1": "at least one dataset",
    "SELECT * FROM a.b": r"write ref\('a.b'\)",
    "SELECT * FROM b": "by ref alone",
    "SELECT * FROM system.tables JOIN ref('a.b') USING x": "by ref alone",
    "SELECT * FROM ref('a.b'), file('/etc/passwd')": "table functions",
    "SELECT * FROM ref('a.b') UNION ALL SELECT * FROM url('http://10.0.0.1', 'CSV')": "table functions",
    "SELECT * FROM ref('a.b') WHERE x IN (SELECT y FROM remote('host', 'a', 'b'))": "table functions",
    "SELECT * FROM s3('s3://b/k') AS s JOIN ref('a.b') USING x": "table functions",
    "SELECT * FROM merge('a', 'b') AS s JOIN ref('a.b') USING x": "table functions",
    "SELECT * FROM ref('a.b') JOIN (VALUES (1)) AS v ON 1": "rows cannot come from",
    "SELECT file('x') FROM ref('a.b')": "function file",
    "SELECT sleep(3) FROM ref('a.b')": "function sleep",
    "SELECT * FROM ref('a.b') SETTINGS max_memory_usage = 0": "SETTINGS",
    "SELECT * FROM (SELECT * FROM ref('a.b') SETTINGS max_threads = 99)": "SETTINGS",
    "SELECT * FROM ref('a.b') FORMAT CSV": "FORMAT",
    "SELECT ref('a.b') FROM ref('a.b')": "after FROM or JOIN",
    "SELECT * FROM ref(a.b)": "names no dataset",
    "SELECT * FROM ref('a.b', 'c.d')": "names no dataset",
    "SELECT * FROM ref('a`.`b')": "names no dataset",
    "SELECT * FROM ref('a.b') WHERE x > {other:Int64}": "query parameters",
    "INSERT INTO a.b SELECT * FROM ref('a.b')": "only SELECT",
    "DROP TABLE a.b": "only SELECT",
    "SELECT 1 FROM ref('a.b'); SELECT 2": "one query",
    f"SELECT {'x, ' * 20_000} x FROM ref('a.b')": "characters",
}


@pytest.mark.parametrize(("sql", "sent"), FINE.items())
def test_a_reference_is_sent_as_the_view_of_its_dataset(sql: str, sent: str) -> None:
    assert model_query(sql).text == sent


@pytest.mark.parametrize(("sql", "why"), REFUSED.items(), ids=range(len(REFUSED)))
def test_anything_else_is_refused(sql: str, why: str) -> None:
    with pytest.raises(RefusedQueryError, match=why):
        model_query(sql)
    with pytest.raises(ValidationError, match=why):
        ModelSource(type="model", sql=sql)


def test_what_a_model_reads_is_told_once_each() -> None:
    source = ModelSource(type="model", sql="SELECT 1 FROM ref('a.b') x JOIN ref('c.d') y ON 1 JOIN ref('a.b') z ON 1")
    assert list(source.references) == ["a.b", "c.d"]


DOCUMENT = """
dataset: {}
description: d
owner: {{team: t}}
source: {{type: model, sql: "{}"}}
load: {{mode: replace}}
"""


def test_what_depends_on_a_column_is_followed_through_models() -> None:
    contracts = {
        each.dataset: each
        for each in (
            load(
                DOCUMENT.format(
                    "a.daily", "SELECT day, count() AS flights, avg(delay) AS mean FROM ref('a.b') GROUP BY day"
                )
            ),
            load(DOCUMENT.format("a.worst", "SELECT max(mean) AS worst FROM ref('a.daily')")),
            load(DOCUMENT.format("a.all", "SELECT * FROM ref('a.b')")),
        )
    }
    found = {each.dataset: each for each in readers_of("a.b", ["delay"], contracts)}
    assert found.keys() == {"a.daily", "a.worst", "a.all"}
    assert found["a.worst"].via == "a.daily"
    assert found["a.daily"].outputs.unsure == ("day", "flights", "mean")
    assert {each.dataset for each in readers_of("a.b", ["other"], contracts)} == {"a.all"}


def test_a_circle_of_models_is_found_and_one_of_transforms_alone_is_not() -> None:
    contracts = {
        each.dataset: each
        for each in (
            load(DOCUMENT.format("a.one", "SELECT * FROM ref('a.two')")),
            load(DOCUMENT.format("a.two", "SELECT * FROM ref('a.one')")),
            load(DOCUMENT.format("a.three", "SELECT * FROM ref('a.one')")),
            load(DOCUMENT.format("a.self", "SELECT * FROM ref('a.self')")),
        )
    }
    assert cycle("a.one", contracts) == ["a.one", "a.two", "a.one"]
    assert cycle("a.self", contracts) == ["a.self", "a.self"]
    assert cycle("a.three", contracts) == []


def test_the_files_of_the_guide_are_valid() -> None:
    whole, incremental, partitioned = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert load(whole).source.references == ("nyc.flights",)
    head = "dataset: nyc.daily\ndescription: d\nowner: {team: t}\n"
    assert load(head + incremental).source.why_no_backfill("upsert") == ""
    assert "partition_state" in load(head + partitioned).source.gives
    assert load(head + incremental).source.at_once, "in slices its query would run once for each of them"


@pytest.mark.parametrize(
    ("sql", "load_mode", "why"),
    [
        ("SELECT * FROM ref('a.b')", "append", "every row in each run"),
        (f"SELECT * FROM ref('a.b') WHERE {WINDOW}", "replace", "what is new"),
    ],
)
def test_how_a_model_is_loaded_fits_its_query(sql: str, load_mode: str, why: str) -> None:
    text = DOCUMENT.format("a.m", sql).replace("replace", load_mode).replace('"}', '", schedule: {every: 1h}}')
    with pytest.raises(ContractError, match=why):
        load(text)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        (f"SELECT * FROM ref('a.b') WHERE {WINDOW}", "a schedule"),
        ("SELECT * FROM ref('a.b') WHERE x > {since:DateTime}", "both"),
    ],
)
def test_an_incremental_model_says_from_when_to_when_and_how_often(sql: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ModelSource(type="model", sql=sql)


def test_columns_leave_the_warehouse_in_types_that_arrive() -> None:
    given = [
        Given("n", "UInt64"),
        Given("d", "Nullable(Date)"),
        Given("_offset", "Int64"),
        Given("xs", "Array(String)"),
    ]
    assert exported(given) == "accurateCast(m.`n`, 'Nullable(Int64)') AS `n`, toDate32(m.`d`) AS `d`, m.`xs` AS `xs`"
    assert sorted_by(given) == "`n`, `d`"


@pytest.mark.parametrize(
    ("type", "leaves"),
    [
        ("Array(DateTime('UTC'))", "arrayMap(x0 -> toDateTime64(x0, 6, 'UTC'), m.`c`)"),
        ("Array(Array(Nullable(UUID)))", "arrayMap(x0 -> arrayMap(x1 -> toString(x1), x0), m.`c`)"),
        ("Array(LowCardinality(Enum8('a' = 1)))", "arrayMap(x0 -> toString(x0), m.`c`)"),
        ("Array(UInt64)", "m.`c`"),
        ("Array(DateTime64(6, 'UTC'))", "arrayMap(x0 -> toDateTime64(x0, 6, 'UTC'), m.`c`)"),
        ("Map(String, Array(Float64))", "m.`c`"),
        ("Tuple(a DateTime64(3, 'UTC'), b String)", "m.`c`"),
        ("Decimal(20, 2)", "m.`c`"),
    ],
)
def test_values_within_an_array_leave_as_they_would_alone(type: str, leaves: str) -> None:
    """Times came as numbers, and so did enumerations; UUIDs stopped the dataset."""
    assert exported([Given("c", type)]) == f"{leaves} AS `c`"


@pytest.mark.parametrize("type", ["Map(String, DateTime)", "Tuple(UUID, String)", "Array(Tuple(a IPv4))"])
def test_what_would_arrive_as_something_else_ends_the_run(type: str) -> None:
    with pytest.raises(ReadingFailed, match="the model's column c has values of type"):
        exported([Given("c", type)])


@pytest.mark.parametrize("table", ["system.users", "information_schema.tables", "default.t"])
def test_the_tables_of_the_warehouse_itself_are_no_datasets(table: str) -> None:
    """Where somebody only looks at a source, nobody asks whether there is such a dataset."""
    with pytest.raises(RefusedQueryError, match="is no dataset"):
        model_query(f"SELECT (SELECT any(name) FROM ref('{table}')) AS n FROM ref('a.b')")

"""A model is one query that only reads, over datasets that it names by ref; everything else is refused with what to write."""

import pytest
from pydantic import ValidationError

from headrace.sql_guard import RefusedQueryError
from services.ingest.connectors.model.columns import Given, exported, sorted_by
from services.ingest.connectors.model.query import model_query
from services.ingest.connectors.model.settings import ModelSource

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


def test_columns_leave_the_warehouse_in_types_that_arrive() -> None:
    given = [
        Given("n", "UInt64"),
        Given("d", "Nullable(Date)"),
        Given("_offset", "Int64"),
        Given("xs", "Array(String)"),
    ]
    assert exported(given) == "accurateCast(m.`n`, 'Nullable(Int64)') AS `n`, toDate32(m.`d`) AS `d`, m.`xs` AS `xs`"
    assert sorted_by(given) == "`n`, `d`"

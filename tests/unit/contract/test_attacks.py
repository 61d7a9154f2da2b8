"""No SQL of a dataset file, a check or an edit reaches a file, the network, another dataset, or the machine: it is refused."""

import logging

import duckdb
import pytest

from headrace.contract import examine_expression
from headrace.contract.sql import examine, examine_condition

#: Functions that give a table. `FROM` one, and a join with one, are refused whichever they are, by no list.
TABLES = [
    *(
        "read_csv('/etc/passwd')",
        "read_csv_auto('/etc/passwd')",
        "sniff_csv('/etc/passwd')",
        "read_parquet('s3://x/y')",
    ),
    *(
        "parquet_scan('x')",
        "parquet_metadata('x')",
        "parquet_schema('x')",
        "read_json('x')",
        "read_json_auto('https://x')",
    ),
    *("read_ndjson('x')", "read_text('/etc/passwd')", "read_blob('/etc/passwd')", "glob('/*')", "read_duckdb('x.db')"),
    *(
        "sqlite_scan('x.db', 't')",
        "postgres_scan('host=x', 'public', 't')",
        "mysql_scan('x', 't')",
        "iceberg_scan('x')",
    ),
    *("delta_scan('x')", "st_read('x')", "query('SELECT 1')", "query_table('ref_nyc__airports')", "seq_scan('input')"),
    *("json_execute_serialized_sql('x')", "duckdb_settings()", "duckdb_secrets()", "duckdb_tables()", "duckdb_logs()"),
    *("pragma_database_list()", "pragma_table_info('input')", "which_secret('a', 'b')", "arrow_scan(1, 2, 3)"),
    *(
        "pandas_scan(1)",
        "range(1000000000000)",
        "generate_series(1, 1000000000000)",
        "repeat_row(1, num_rows=1000000000)",
    ),
    *(
        "'x.csv'",
        "'https://x/y.parquet'",
        '"x.csv"',
        "ref_nyc__airports",
        "main.input",
        "pg_catalog.pg_class",
        "sqlite_master",
    ),
    *("information_schema.tables", "system.information_schema.tables", "ref('/etc/passwd')", "ref('../x')", "ref(i.a)"),
    *("ref('a.' || 'b')", "ref('nyc.airports; DROP TABLE x')", "(SELECT 1)", "(FROM read_text('/etc/passwd'))"),
]

STATEMENTS = [
    *(
        "COPY (SELECT 1) TO '/tmp/x'",
        "COPY input FROM '/etc/passwd'",
        "COPY input TO 's3://x'",
        "EXPORT DATABASE '/tmp/x'",
    ),
    *("IMPORT DATABASE '/tmp/x'", "ATTACH 'x.db'", "ATTACH 'host=x' AS p (TYPE postgres)", "DETACH x", "USE x"),
    *("INSTALL httpfs", "FORCE INSTALL httpfs", "LOAD httpfs", "PRAGMA database_list", "PRAGMA memory_limit='1TB'"),
    *("SET memory_limit='1TB'", "SET GLOBAL threads=64", "RESET memory_limit", "CHECKPOINT", "CALL pragma_version()"),
    *("CREATE SECRET s (TYPE s3)", "CREATE MACRO f() AS 1", "CREATE VIEW input AS SELECT 1", "DROP TABLE input"),
    *("ALTER TABLE input ADD COLUMN x INT", "UPDATE input SET a = 1", "DELETE FROM input", "TRUNCATE input"),
    *("EXPLAIN SELECT a FROM input", "DESCRIBE input", "SUMMARIZE input", "SHOW TABLES", "VACUUM", "BEGIN", "COMMIT"),
    *("PREPARE p AS SELECT 1", "EXECUTE p", "SELECT a FROM input; ATTACH 'x'", "SELECT a FROM input --\n; ATTACH 'x'"),
    *("SELECT a INTO OUTFILE '/tmp/x' FROM input", "FROM input SELECT a; COPY input TO '/tmp/x'"),
    "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM t) SELECT a FROM t",
    "WITH t AS (FROM read_text('/etc/passwd')) SELECT a FROM t",
    "WITH t AS MATERIALIZED (SELECT * FROM 'x.csv') SELECT a FROM t",
    "SELECT a FROM input, LATERAL (SELECT 1) AS b",
    "SELECT a FROM input UNION ALL FROM read_text('/etc/passwd')",
]

#: Values that are not of the row.
VALUES = [
    *("getenv('HOME')", "GetEnv('HOME')", "main.getenv('HOME')", "system.main.getenv('HOME')", "'HOME'.getenv()"),
    *(
        "[getenv(x) FOR x IN ['HOME']]",
        "list_transform(['HOME'], lambda x: getenv(x))",
        "current_setting('memory_limit')",
    ),
    *("pg_catalog.current_setting('x')", "getvariable('x')", "read_text('/etc/passwd')", "'/etc/passwd'.read_text()"),
    *(
        "glob('/*')",
        "query('SELECT 1')",
        "current_database()",
        "current_schemas(true)",
        "current_query()",
        "txid_current()",
    ),
    *(
        "json_execute_serialized_sql('x')",
        "sleep(10)",
        "sleep_ms(10)",
        "pg_sleep(10)",
        "write_log('x')",
        "nextval('x')",
    ),
    *(
        "(FROM read_text('/etc/passwd'))",
        "(SELECT 1)",
        "ARRAY(SELECT * FROM range(1000000000000))",
        "EXISTS (FROM 'x.csv')",
    ),
    *("a IN (SELECT content FROM read_text('/etc/passwd'))", "(SELECT count(*) FROM range(1000000000)) > 1"),
    *("set_config('a', 'b', false)", "add_parquet_key('a', 'b')", "enable_logging()", "force_checkpoint()"),
]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "sqlglot")  # it warns of statements that it only half understands


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_not_the_datasets_rows_or_a_ref_is_refused(table: str) -> None:
    for sql in (
        f"SELECT a FROM {table}",
        f"SELECT i.a FROM input AS i JOIN {table} AS r ON r.a = i.a",
        f"SELECT i.a FROM input AS i, {table} AS r",
        f"WITH t AS (SELECT a FROM {table}) SELECT a FROM t",
    ):
        issues = examine(sql).issues
        assert issues, sql
        assert all(issue.expected for issue in issues)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_that_is_not_one_select_over_the_rows_is_refused(statement: str) -> None:
    assert examine(statement).issues


@pytest.mark.parametrize("value", VALUES)
def test_a_value_that_is_not_of_the_row_is_refused_wherever_it_stands(value: str) -> None:
    for sql in (
        f"SELECT {value} AS a FROM input",
        f"SELECT a FROM input WHERE {value} IS NOT NULL",
        f"SELECT CASE WHEN a THEN {value} END AS a FROM input",
        f"SELECT i.a FROM input AS i JOIN ref('x.y') AS r ON r.a = {value}",
    ):
        assert examine(sql).issues, sql
    assert examine_condition(f"{value} IS NOT NULL", None)
    assert examine_expression(value)


def test_no_function_of_duckdb_that_gives_a_table_can_be_read_from() -> None:
    """Whichever there are in the version that is installed, and those of extensions that it has loaded."""
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro', 'pragma')"
        ).fetchall()
    assert len(found) > 50
    assert [name for (name,) in found if not examine(f"SELECT a FROM {name}('x')").issues] == []


@pytest.mark.parametrize("sql", ["SELECT a FROM input", "SELECT i.a FROM input AS i JOIN ref('x.y') AS r ON r.a = i.a"])
def test_the_rows_and_a_ref_can_be_read(sql: str) -> None:
    """The control."""
    assert not examine(sql).issues

"""The reader reads the warehouse. It writes nothing, and reaches neither the machine's files nor the network."""

from pathlib import Path

import httpx
import pytest

from tests.integration.warehouse.server import Warehouse

SECRET = "only for the owner of this file"


@pytest.fixture
def table(warehouse: Warehouse, database: str) -> str:
    name = f"{database}.t"
    warehouse.value(f"CREATE TABLE {name} (id Int64) ENGINE = MergeTree ORDER BY id")
    warehouse.value(f"INSERT INTO {name} VALUES (1), (2)")
    return name


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret.csv"
    file.write_text(SECRET)
    return file


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count() FROM {table}",
        "SELECT id FROM {table} WHERE id IN (SELECT number FROM numbers(10))",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "SHOW TABLES FROM {database}",
        "DESCRIBE TABLE {table}",
        "EXISTS TABLE {table}",
        "EXPLAIN SELECT * FROM {table}",
        "SELECT id FROM {table} SETTINGS max_threads = 1",
        "SELECT name FROM system.columns WHERE database = '{database}'",
    ],
)
def test_reads(warehouse: Warehouse, table: str, database: str, sql: str) -> None:
    answer = warehouse.post(sql.format(table=table, database=database), user="reader", max_execution_time="10")
    assert answer.is_success, answer.text
    assert answer.text.strip()


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO {table} VALUES (3)",
        "INSERT INTO {table} SELECT 3",
        "WITH x AS (SELECT 3) INSERT INTO {table} SELECT * FROM x",
        "SELECT 1; INSERT INTO {table} VALUES (3)",
        "DROP TABLE {table}",
        "TRUNCATE TABLE {table}",
        "ALTER TABLE {table} DELETE WHERE 1",
        "CREATE TABLE {database}.u (a Int8) ENGINE = Memory",
        "CREATE OR REPLACE VIEW {database}.v AS SELECT 1",
        "CREATE TEMPORARY TABLE u (a Int8)",
        "OPTIMIZE TABLE {table}",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
        "SELECT 1 PARALLEL WITH INSERT INTO {table} SELECT 3",
    ],
)
def test_writes_are_refused(warehouse: Warehouse, table: str, database: str, sql: str) -> None:
    answer = warehouse.post(sql.format(table=table, database=database), user="reader")
    assert answer.is_error
    assert warehouse.value(f"SELECT count() FROM {table}") == "2"
    assert warehouse.value(f"SELECT count() FROM system.tables WHERE database = '{database}'") == "1"


def test_an_insert_with_rows_is_refused(warehouse: Warehouse, table: str) -> None:
    assert warehouse.post(f"INSERT INTO {table} FORMAT CSV", user="reader", body=b"3\n").status_code == 403
    through = f"INSERT INTO {table} SELECT a FROM input('a Int64') FORMAT CSV"
    assert warehouse.post(through, user="reader", body=b"3\n").status_code == 403
    assert warehouse.value(f"SELECT count() FROM {table}") == "2"


WAYS_OUT = [
    "SELECT * FROM file('{file}', 'LineAsString')",
    "SELECT file('{file}')",
    "SELECT /* harmless */ `file`('{file}')",
    "SELECT * FROM `{file}`",
    "SELECT * FROM default.`{file}`",
    "DESCRIBE TABLE file('{file}', 'LineAsString')",
    "SELECT * FROM view(SELECT * FROM file('{file}', 'LineAsString'))",
    "SELECT 1 WHERE '' IN (SELECT * FROM file('{file}', 'LineAsString', 'line String'))",
    "WITH x AS (SELECT * FROM file('{file}', 'LineAsString')) SELECT * FROM x",
    "SELECT * FROM loop(file('{file}', 'LineAsString'))",
    "SELECT 1 UNION ALL SELECT 2 FROM url('{url}', 'LineAsString', 'a String')",
    "SELECT * FROM s3('{url}', 'LineAsString', 'a String')",
    "SELECT * FROM remote('127.0.0.1', 'system', 'one')",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT * FROM Python(engine)",
    "SELECT * FROM sqlite('{file}', 't')",
    "SELECT * FROM icebergLocal('{file}')",
]


@pytest.mark.parametrize("sql", WAYS_OUT)
def test_ways_out_are_closed(warehouse: Warehouse, secret: Path, sql: str) -> None:
    answer = warehouse.post(sql.format(file=secret, url=f"{warehouse.url}/ping"), user="reader")
    assert answer.is_error, answer.text
    assert SECRET not in answer.text


def test_the_way_out_exists(warehouse: Warehouse, secret: Path) -> None:
    """The control: without the check the file would be read, as it is for the writer."""
    assert warehouse.value(f"SELECT * FROM file('{secret}', 'LineAsString')") == SECRET


def test_no_file_is_written(warehouse: Warehouse, tmp_path: Path) -> None:
    for sql in (
        "SELECT 1 INTO OUTFILE '{}'",
        "SHOW TABLES INTO OUTFILE '{}'",
        "INSERT INTO FUNCTION file('{}') SELECT 1",
    ):
        target = tmp_path / "written.csv"
        assert warehouse.post(sql.format(target), user="reader").is_error
        assert not target.exists()


def test_a_reader_cannot_lift_the_restriction(warehouse: Warehouse, table: str) -> None:
    write = f"INSERT INTO {table} VALUES (3)"
    assert warehouse.post(write, user="reader", readonly="0").is_error
    assert warehouse.post(f"SELECT 1 SETTINGS readonly = 0; {write}", user="reader").is_error
    assert warehouse.post("SELECT 1", user="reader", dialect="prql").is_error
    assert warehouse.value(f"SELECT count() FROM {table}") == "2"


def test_a_get_request_changes_nothing(warehouse: Warehouse, table: str) -> None:
    params = {"query": f"INSERT INTO {table} VALUES (3)", "user": "headrace", "password": "writes"}
    assert httpx.get(warehouse.url, params=params).is_error
    assert warehouse.value(f"SELECT count() FROM {table}") == "2"


def test_strangers_are_refused(warehouse: Warehouse) -> None:
    for auth in (None, ("headrace", "reads"), ("default", ""), ("nobody", "writes")):
        answer = httpx.post(warehouse.url, content="SELECT 1", auth=auth)
        assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")

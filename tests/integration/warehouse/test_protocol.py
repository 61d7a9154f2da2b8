"""clickhouse-connect, unmodified, must not notice that there is no ClickHouse server."""

import io
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.integration.warehouse.server import Warehouse
from tests.stack import eventually

ROWS = 200_000


@pytest.fixture
def table(warehouse: Warehouse, database: str) -> str:
    name = f"{database}.t"
    warehouse.value(f"CREATE TABLE {name} (id Int64, name String) ENGINE = MergeTree ORDER BY id")
    return name


def arrow_file(rows: int) -> bytes:
    data = pa.table({"id": pa.array(range(rows), pa.int64()), "name": [f"name {n}" for n in range(rows)]})
    target = io.BytesIO()
    with pa.ipc.new_file(target, data.schema) as writer:
        writer.write_table(data)
    return target.getvalue()


def guarded_insert(table: str, guard: str) -> str:
    return (
        f"INSERT INTO {table} (id, name) SELECT id, name FROM input('id Int64, name String') "
        f"WHERE throwIf(NOT ({guard}), 'fence moved') = 0 FORMAT Arrow"
    )


def test_insert_and_query(warehouse: Warehouse, table: str) -> None:
    client = warehouse.client()
    assert client.insert(table, [[1, "a"], [2, "b"]], column_names=["id", "name"]).written_rows == 2
    assert client.insert_arrow(table, pa.table({"id": [3], "name": ["c"]})).written_rows == 1
    found = client.query(
        f"SELECT id, name FROM {table} WHERE id > {{least:Int64}} ORDER BY id",
        parameters={"least": 1},
        settings={"max_threads": 1},
    )
    assert found.result_rows == [(2, "b"), (3, "c")]
    assert client.query_arrow(f"SELECT count() AS n FROM {table}").to_pydict() == {"n": [3]}


def test_insert_with_the_statement_in_the_body(warehouse: Warehouse, table: str) -> None:
    body = f"INSERT INTO {table} (id, name) FORMAT CSV\n1,one\n2,two\n".encode()
    assert warehouse.post("", body=body).is_success
    through_input = guarded_insert(table, "1").encode() + b"\n" + arrow_file(3)
    assert warehouse.post("", body=through_input).is_success
    assert warehouse.value(f"SELECT count() FROM {table}") == "5"


def test_guarded_insert(warehouse: Warehouse, table: str) -> None:
    client, data = warehouse.client(), arrow_file(1000)
    client.command(guarded_insert(table, f"(SELECT count() FROM {table}) = 0"), data=data)
    assert client.command(f"SELECT count() FROM {table}") == 1000
    with pytest.raises(DatabaseError, match="fence moved"):
        client.command(guarded_insert(table, f"(SELECT count() FROM {table}) = 0"), data=data)
    assert client.command(f"SELECT count() FROM {table}") == 1000


def test_the_summary_counts_the_rows_written(warehouse: Warehouse, table: str) -> None:
    """... and not those the guard has read."""
    guard = "(SELECT sum(number) FROM numbers(1000)) > 0"
    answer = warehouse.post(guarded_insert(table, guard), body=arrow_file(10))
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "10"
    copied = warehouse.post(f"INSERT INTO {table} SELECT * FROM {table} WHERE id < 3")
    assert json.loads(copied.headers["X-ClickHouse-Summary"])["written_rows"] == "3"


def test_a_large_guarded_insert_is_one_part(warehouse: Warehouse, table: str) -> None:
    warehouse.value(f"SYSTEM STOP MERGES {table}")
    assert warehouse.post(guarded_insert(table, "1"), body=arrow_file(ROWS)).is_success
    database, _, name = table.partition(".")
    parts = f"SELECT count(), sum(rows) FROM system.parts WHERE active AND database = '{database}' AND table = '{name}'"
    assert warehouse.value(parts) == f"1\t{ROWS}"


def test_a_write_waits_for_the_write_before_it(warehouse: Warehouse, table: str) -> None:
    """The fence of a new owner must not overtake an insert that is running under the old one."""
    slow = f"INSERT INTO {table} (id, name) SELECT number + sleepEachRow(0.02), 'slow' FROM numbers(50)"
    running = f"SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO {table}%sleepEachRow%'"
    with ThreadPoolExecutor() as pool:
        first = pool.submit(warehouse.post, slow)
        eventually(lambda: warehouse.value(running) == "1", 30, "the slow insert runs")
        fence = warehouse.post(f"INSERT INTO {table} SELECT 1000, toString((SELECT count() FROM {table}))")
        assert fence.is_success, fence.text
        assert first.result().is_success
    assert warehouse.value(f"SELECT name FROM {table} WHERE id = 1000") == "50"


def test_reads_do_not_wait_for_writes(warehouse: Warehouse, table: str) -> None:
    slow = f"INSERT INTO {table} (id, name) SELECT sleepEachRow(0.05), 'slow' FROM numbers(50)"
    with ThreadPoolExecutor() as pool:
        insert = pool.submit(warehouse.post, slow)
        eventually(lambda: "sleepEachRow(0.05)" in warehouse.value("SELECT query FROM system.processes"), 30, "it runs")
        assert warehouse.value(f"SELECT count() FROM {table}") == "0"
        assert not insert.done()
        assert insert.result().is_success


def test_a_body_that_stops_half_way_leaves_nothing_and_blocks_nobody(warehouse: Warehouse, table: str) -> None:
    whole = b"".join(b"%d,row\n" % n for n in range(10_000))
    head = f"POST /?query=INSERT%20INTO%20{table}%20FORMAT%20CSV&user=headrace&password=writes HTTP/1.1\r\n"
    with socket.create_connection(("127.0.0.1", warehouse.port)) as client:
        client.sendall(f"{head}Host: x\r\nContent-Length: {len(whole)}\r\n\r\n".encode() + whole[: len(whole) // 2])
        assert warehouse.post(f"INSERT INTO {table} FORMAT CSV", body=b"-1,whole\n").is_success
    assert warehouse.post(f"INSERT INTO {table} FORMAT CSV", body=b"-2,whole\n").is_success
    assert warehouse.value(f"SELECT groupArray(id) FROM (SELECT id FROM {table} ORDER BY id)") == "[-2,-1]"


def test_a_result_is_streamed(warehouse: Warehouse) -> None:
    """The first rows arrive long before the query could have ended."""
    endless = "SELECT number FROM system.numbers FORMAT TSV"
    with httpx.stream("POST", warehouse.url, content=endless, auth=("headrace", "writes"), timeout=30) as answer:
        assert next(answer.iter_lines()) == "0"
    running = (
        "SELECT count() FROM system.processes WHERE query LIKE '%system.numbers%' AND query NOT LIKE '%processes%'"
    )
    eventually(lambda: warehouse.value(running) == "0", 30, "the query of a client that went away is cancelled")


def test_an_error_amid_a_result_reaches_the_client(warehouse: Warehouse) -> None:
    with pytest.raises(DatabaseError, match="too late"):
        warehouse.client().query("SELECT throwIf(number = 5000000, 'too late') FROM numbers(6000000)")


def test_errors_are_those_of_clickhouse(warehouse: Warehouse, database: str) -> None:
    unknown = warehouse.post(f"SELECT * FROM {database}.nothing")
    assert (unknown.status_code, unknown.headers["X-ClickHouse-Exception-Code"]) == (404, "60")
    wrong = warehouse.post("SELEKT 1")
    assert (wrong.status_code, wrong.headers["X-ClickHouse-Exception-Code"]) == (400, "62")
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        warehouse.client().query(f"SELECT * FROM {database}.nothing")


def test_settings_do_not_outlive_their_request(warehouse: Warehouse) -> None:
    value = "SELECT getSetting('max_block_size')"
    before = warehouse.value(value)
    assert warehouse.post(value, max_block_size="4321").text.strip() == "4321"
    assert warehouse.value(value) == before
    refused = warehouse.post("SET max_block_size = 1")
    assert refused.status_code == 501


def test_many_at_once(warehouse: Warehouse, table: str) -> None:
    failures: list[str] = []

    def work(worker: int) -> None:
        for turn in range(5):
            row = f"{worker},{turn}\n".encode()
            for answer in (warehouse.post(f"INSERT INTO {table} FORMAT CSV", body=row), warehouse.post("SELECT 1")):
                if not answer.is_success:
                    failures.append(answer.text)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert warehouse.value(f"SELECT count() FROM {table}") == "60"


def test_only_loopback_listens(warehouse: Warehouse) -> None:
    with socket.create_server(("127.0.0.2", warehouse.port)):
        pass  # taken, if the server listened on every address
    assert warehouse.value("SELECT 1") == "1"

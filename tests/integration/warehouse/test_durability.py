"""What was acknowledged is there, however the server ended; what was not is there whole or not at all."""

import os
import subprocess
import sys
import threading

import httpx
import pytest

from tests.integration.warehouse.server import Warehouse
from tests.stack import eventually

BATCH = 500


def load_until_refused(warehouse: Warehouse, worker: int, acknowledged: set[tuple[int, int]]) -> None:
    """Inserts batch after batch, and keeps the numbers of those the server acknowledged."""
    for batch in range(100_000):
        rows = b"".join(b"%d,%d,%d\n" % (worker, batch, row) for row in range(BATCH))
        try:
            answer = warehouse.post("INSERT INTO default.t FORMAT CSV", body=rows)
        except httpx.HTTPError:
            return
        if not answer.is_success:
            return
        acknowledged.add((worker, batch))


@pytest.mark.parametrize("turns", [2])
def test_kill_under_load_loses_nothing_acknowledged(own_warehouse: Warehouse, turns: int) -> None:
    own_warehouse.value(
        "CREATE TABLE default.t (worker Int32, batch Int32, row Int32) ENGINE = MergeTree ORDER BY tuple()"
    )
    acknowledged: set[tuple[int, int]] = set()
    for turn in range(turns):
        wanted = len(acknowledged) + 40
        workers = [
            threading.Thread(target=load_until_refused, args=(own_warehouse, turn * 10 + n, acknowledged))
            for n in range(3)
        ]
        for each in workers:
            each.start()
        eventually(lambda wanted=wanted: len(acknowledged) >= wanted, 60, "batches are acknowledged")  # type: ignore[misc]
        own_warehouse.kill()
        for each in workers:
            each.join()
        own_warehouse.start_again()
    found = own_warehouse.value("SELECT worker, batch, count(), uniqExact(row) FROM default.t GROUP BY worker, batch")
    batches = [tuple(int(value) for value in line.split("\t")) for line in found.splitlines()]
    assert acknowledged <= {(worker, batch) for worker, batch, _, _ in batches}
    assert {(rows, different) for _, _, rows, different in batches} == {(BATCH, BATCH)}


def test_data_survives_a_graceful_stop(own_warehouse: Warehouse) -> None:
    own_warehouse.value("CREATE DATABASE nyc")
    for table in ("nyc.t", "default.t"):
        own_warehouse.value(f"CREATE TABLE {table} (a Int8) ENGINE = MergeTree ORDER BY a")
        own_warehouse.value(f"INSERT INTO {table} VALUES (1)")
    own_warehouse.value("CREATE VIEW nyc.v AS SELECT a FROM nyc.t")
    for _ in range(2):
        assert own_warehouse.terminate() == 0
        own_warehouse.start_again()
        assert own_warehouse.value("SELECT count() FROM nyc.v") == "1"
        assert own_warehouse.value("SELECT count() FROM default.t") == "1"


def test_a_graceful_stop_finishes_the_insert_that_runs(own_warehouse: Warehouse) -> None:
    own_warehouse.value("CREATE TABLE default.t (a Int32) ENGINE = MergeTree ORDER BY a")
    slow = "INSERT INTO default.t SELECT number + sleepEachRow(0.02) FROM numbers(100)"
    answers: list[httpx.Response] = []
    insert = threading.Thread(target=lambda: answers.append(own_warehouse.post(slow)))
    insert.start()
    eventually(lambda: "sleepEachRow" in own_warehouse.value("SELECT query FROM system.processes"), 30, "it runs")
    assert own_warehouse.terminate() == 0
    insert.join()
    assert answers[0].is_success
    own_warehouse.start_again()
    assert own_warehouse.value("SELECT count() FROM default.t") == "100"


def test_a_second_server_on_the_same_data_is_refused(own_warehouse: Warehouse) -> None:
    second = Warehouse(own_warehouse.path)
    _, complaint = second.process.communicate(timeout=60)
    assert second.process.returncode == 1
    assert f"in use by process {own_warehouse.process.pid}" in complaint
    assert own_warehouse.value("SELECT 1") == "1"


def test_a_taken_port_is_said_in_a_sentence(own_warehouse: Warehouse) -> None:
    path = own_warehouse.path.with_name("other")
    command = [sys.executable, "-m", "deploy.local.warehouse", "--path", str(path), "--port", str(own_warehouse.port)]
    result = subprocess.run(command, env=os.environ.copy(), capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert f"cannot start on port {own_warehouse.port}" in result.stderr
    assert "Traceback" not in result.stderr


def test_nothing_is_left_of_a_body_the_server_never_had_whole(own_warehouse: Warehouse) -> None:
    spool = own_warehouse.path / "spool"
    assert list(spool.iterdir()) == []
    own_warehouse.value("CREATE TABLE default.t (a Int32) ENGINE = MergeTree ORDER BY a")
    assert own_warehouse.post("INSERT INTO default.t FORMAT CSV", body=b"1\n" * 1000).is_success
    own_warehouse.kill()
    assert list(spool.iterdir()) == []

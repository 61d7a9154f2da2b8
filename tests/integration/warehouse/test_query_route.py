"""Queries over a real warehouse, whose reader holds to what it is told. Nothing else is within reach."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.bootstrap import build, serve
from services.gateway.core.completeness import Completeness
from services.gateway.gateway import Gateway
from services.gateway.queries import Queries
from services.gateway.settings import GatewaySettings
from tests.integration.warehouse.server import PASSWORDS, Warehouse
from tests.unit.gateway.accesses import bearer, headers, with_memory
from tests.unit.gateway.conftest import ADMIN, NOWHERE
from tests.unit.gateway.test_datasets import live

TRIPS = """
dataset: asked.trips
description: Trips.
owner: {team: lab}
source: {type: file, path: trips.csv}
schema:
  fields:
    - {name: id, logicalType: integer}
    - {name: city, logicalType: string}
    - {name: note, logicalType: string, classification: restricted}
"""
AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
ROWS = 300_000
PER_CITY = ROWS // 3


@pytest.fixture(scope="module")
def filled(warehouse: Warehouse) -> Warehouse:
    warehouse.value("CREATE DATABASE IF NOT EXISTS asked")
    warehouse.value(
        "CREATE TABLE asked.trips__g1 ENGINE = MergeTree ORDER BY id AS SELECT toInt64(number) AS id, "
        "['Basel', '=Bern', 'Chur'][number % 3 + 1] AS city, 'note ' || toString(number) AS note "
        f"FROM numbers({ROWS})"
    )
    warehouse.value("CREATE VIEW asked.trips AS SELECT * FROM asked.trips__g1")
    return warehouse


@pytest.fixture
def gateway(filled: Warehouse, tmp_path: Path) -> Iterator[Gateway]:
    settings = GatewaySettings(
        gateway_admin_token=SecretStr(ADMIN),
        data_dir=tmp_path,
        bootstrap_servers=NOWHERE,
        registry_url=f"http://{NOWHERE}",
        warehouse_url=f"http://127.0.0.1:{filled.port}",
        warehouse_reader_password=SecretStr(PASSWORDS["reader"]),
        query_read_rows=ROWS,
        query_timeout_s=5,
    )
    made = with_memory(build(settings), ADMIN)
    with made.engine.begin() as connection:
        fold_datasets(connection, live(TRIPS).items())
    state = Completeness(None, AT, 7, ("the stager reads",))
    queries = Queries(made.warehouse, made.datasets, made.assets, lambda _: state, settings.query_limits)
    yield replace(made, queries=queries)
    made.engine.dispose()


@pytest.fixture
def ask(gateway: Gateway) -> Any:
    """Asks as somebody who sees the rows of Bern, without notes."""
    token = bearer(gateway, "ana", "analyst", rows="(city = '=Bern')")
    client = TestClient(serve(gateway), headers=headers(token), raise_server_exceptions=False)

    def asked(sql: str, path: str = "/api/v1/query", accept: str = "*/*", **more: Any) -> Any:
        return client.post(path, json={"sql": sql, **more}, headers={"Accept": accept})

    return asked


def test_a_stream_of_every_format_has_the_rows_that_are_seen_and_tells_how_complete_they_are(ask: Any) -> None:
    sql = "select id, city, note from asked.trips order by id"
    lines = ask(sql, accept="application/x-ndjson")
    rows = [json.loads(line) for line in lines.text.splitlines()]
    assert len(rows) == PER_CITY
    assert rows[1] == {"id": 4, "city": "=Bern", "note": None}
    written = ask(sql, format="csv")
    assert list(csv.reader(io.StringIO(written.text)))[:2] == [["id", "city", "note"], ["1", "'=Bern", ""]]
    table = pa.ipc.open_stream(ask(sql, format="arrow", limit=70_000).content).read_all()
    assert (table.num_rows, table.column("city")[0].as_py()) == (70_000, "=Bern")
    for answer in (lines, written):
        assert answer.headers["x-headrace-datasets"] == answer.headers["x-headrace-partial"] == "asked.trips"
        assert answer.headers["x-headrace-waiting-for"] == "asked.trips: the stager reads"
        assert answer.headers["x-headrace-rows-in-flight"] == "7"
        assert "x-headrace-complete-through" not in answer.headers


def test_parameters_are_values_and_never_text(ask: Any) -> None:
    sql = "select count() from asked.trips where city = {city:String} and id in {ids:Array(Int64)}"
    assert ask(sql, parameters={"city": "=Bern", "ids": [1, 4, 5]}).json()["rows"] == [[2]]
    assert ask(sql, parameters={"city": "' or 1 = 1 or '", "ids": [1]}).json()["rows"] == [[0]]
    missing = ask(sql, parameters={"city": "x"})
    assert "ids has none" in missing.json()["detail"]
    assert ask("select 1 where 'it''s 100 %s' = {x:String}", parameters={"x": "it's 100 %s"}).json()["rows"] == [[1]]


def test_limits_are_the_engines(ask: Any) -> None:
    twice = ask("select count() from asked.trips as one cross join asked.trips as two")
    assert twice.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert twice.json()["detail"].startswith(("TOO_MANY_ROWS, code 158: it would read too many rows", "TIMEOUT"))
    assert "at most 100,000" in ask("select 1", limit=100_001).json()["detail"]


def test_what_a_query_would_read_is_told_before(ask: Any) -> None:
    found = ask("select count() from asked.trips", path="/api/v1/query/estimate")
    assert found.status_code == HTTPStatus.OK, found.text
    assert found.json()["rows"] >= ROWS // 2
    assert found.json()["datasets"] == ["asked.trips"]
    refused = ask("select * from asked.trips__g1", path="/api/v1/query/estimate")
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_the_reader_can_ask_for_more_than_the_gateway_lets_anybody_ask(filled: Warehouse) -> None:
    """The control: what is hidden above is in the warehouse, and the reader's account reads it."""
    assert filled.client("reader").query("SELECT uniqExact(city) FROM asked.trips").result_rows == [(3,)]

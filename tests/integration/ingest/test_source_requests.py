"""A source is looked at through the gateway, by ingest, before anything is saved of it."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.accounts import token_of
from tests.integration.ingest.running import Ingest, Platform


@pytest.fixture
def ingest(platform: Platform, port: int, tmp_path: Path) -> Iterator[Ingest]:
    running = Ingest(platform, port, tmp_path).wait()
    yield running
    running.kill()


def asked(gateway: TestClient, act: str, source: dict[str, Any]) -> list[dict[str, Any]]:
    response = gateway.post(f"/api/v1/sources/{act}", json={"document": json.dumps({"source": source})})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_source_is_checked_and_described(ingest: Ingest, gateway: TestClient, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id,mail,paid\n1,a@x.org,2.5\n2,b@x.org,\n")
    source = {"type": "file", "path": "orders.csv"}
    checked = asked(gateway, "check", source)
    assert [part["part"] for part in checked] == ["step"] * (len(checked) - 1) + ["end"]
    assert all(part["ok"] for part in checked)
    assert all(part["took_s"] >= 0 for part in checked)
    (stream,) = (part for part in asked(gateway, "discover", source) if part["part"] == "stream")
    assert [column["name"] for column in stream["columns"]] == ["id", "mail", "paid"]
    assert (stream["rows_sampled"], stream["keys"][0]) == (2, "id")
    assert stream["columns"][1]["personal"]["what"] == "email address"

    missing = asked(gateway, "check", {"type": "file", "path": "none.csv"})
    assert [part["ok"] for part in missing] == [False, False]
    assert (missing[0]["field"], missing[0]["remedy"]) == ("source.path", "correct the path, or put a file there")

    outside = asked(gateway, "check", {"type": "file", "path": "/etc/passwd", "format": "csv"})
    assert "HEADRACE_SOURCE_ROOTS" in outside[0]["message"]


def test_what_is_wrong_with_the_question_is_said_at_once(gateway: TestClient) -> None:
    wrong = gateway.post("/api/v1/sources/check", json={"document": "source: {type: file, pth: a.csv}"})
    assert wrong.status_code == 422
    assert [problem["path"] for problem in wrong.json()["problems"]] == ["source.pth"]
    pushed = gateway.post("/api/v1/sources/check", json={"document": "source: {type: http_push}"})
    assert (pushed.status_code, "there is nothing to look at" in pushed.json()["detail"]) == (422, True)


def test_only_who_may_edit_lets_ingest_connect(gateway: TestClient) -> None:
    token = token_of(gateway, "analyst")
    asking = {"document": "source: {type: file, path: a.csv}"}
    denied = gateway.post("/api/v1/sources/check", json=asking, headers={"Authorization": f"Bearer {token}"})
    assert denied.status_code == 403


def test_where_no_ingest_runs_it_is_said(gateway: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.adapters.http.sources._PATIENCE_S", 1.0)
    alone = gateway.post("/api/v1/sources/check", json={"document": "source: {type: file, path: a.csv}"})
    assert alone.status_code == 503
    assert "ingest does not answer" in alone.json()["detail"]


def test_a_database_says_what_there_is_to_choose(ingest: Ingest, gateway: TestClient, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.executescript(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY); CREATE VIEW today AS SELECT * FROM orders"
        )
    parts = asked(gateway, "discover", {"type": "sql", "database": "sqlite", "name": "shop.db"})
    assert all(part["ok"] for part in parts if part["part"] != "stream")
    streams = [(part["name"], part["kind"]) for part in parts if part["part"] == "stream"]
    assert streams == [("orders", "table"), ("today", "view")]
    refused = gateway.post("/api/v1/plan", json={"document": "source: {type: sql, database: sqlite, name: shop.db}"})
    assert refused.status_code == 422

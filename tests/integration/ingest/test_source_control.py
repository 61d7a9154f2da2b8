"""A source rests when somebody wants it to, whatever restarts; it is read out of turn, or again; its status says which it is."""

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from tests.integration.ingest.running import Ingest, Platform, ingest, until

MANY = 50_000


def asked(gateway: TestClient, dataset: str, act: str, **body: Any) -> Any:
    return gateway.post(f"/api/v1/datasets/{dataset}/source/{act}", json=body or None)


def source(gateway: TestClient, dataset: str) -> dict[str, Any]:
    (status,) = gateway.get("/api/v1/status", params={"dataset": dataset}).json()["items"]
    found: dict[str, Any] = status["source"]
    return found


def known(gateway: TestClient, dataset: str) -> bool:
    return bool(gateway.get(f"/api/v1/datasets/{dataset}").status_code == 200)


def a_paused_push_takes_nothing_and_loses_nothing(
    platform: Platform, gateway: TestClient, running: Ingest, dataset: str
) -> None:
    platform.apply(dataset, {"type": "http_push"})
    until(lambda: known(gateway, dataset), "the gateway knows the dataset")
    assert running.push_when_ready(dataset, '{"id": 1}\n').status_code == 202
    asked(gateway, dataset, "pause", because="the schema changes")
    until(lambda: running.push(dataset, '{"id": 2}\n', key="two").status_code == 503, "pushes are not taken")
    denied = running.push(dataset, '{"id": 2}\n', key="two")
    assert "paused by admin since" in denied.json()["detail"]
    assert "the schema changes" in denied.json()["detail"]
    assert int(denied.headers["Retry-After"]) > 0
    asked(gateway, dataset, "resume")
    until(lambda: running.push(dataset, '{"id": 2}\n', key="two").status_code == 202, "the sender's row is taken now")
    assert set(platform.column(dataset, "id")) == {1, 2}
    assert asked(gateway, dataset, "run").status_code == 409, "there is nothing to read"
    platform.retire(dataset)


def a_source_stops_behind_the_step_it_is_at(
    platform: Platform, gateway: TestClient, running: Ingest, dataset: str, folder: Path
) -> None:
    (folder / "many.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(MANY)))
    platform.apply(dataset, {"type": "file", "path": "many.csv"})
    until(lambda: known(gateway, dataset), "the gateway knows the dataset")
    until(lambda: platform.rows_read(dataset) > 0, "it is being read")
    asked(gateway, dataset, "pause", because="it is too much now")
    until(lambda: "it is too much now" in running.log(), "the pause is heard")
    assert platform.rows_read(dataset) < MANY, "amid its reading, not behind its end"
    asked(gateway, dataset, "resume")
    until(lambda: platform.caught_up(dataset, MANY), "it goes on to its end")
    assert platform.column(dataset, "id") == list(range(MANY))
    platform.retire(dataset)


def test_a_source_rests_and_goes_on_and_is_read_out_of_turn(
    platform: Platform, dataset: str, gateway: TestClient, port: int, tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": 1}\n')
    platform.apply(dataset, {"type": "file", "path": "rows.jsonl", "schedule": {"every": "1d"}})
    until(lambda: known(gateway, dataset), "the gateway knows the dataset")
    with ingest(platform, port, tmp_path, max_batch_rows=100) as running:
        a_source_stops_behind_the_step_it_is_at(platform, gateway, running, f"{dataset}_many", tmp_path)
        until(lambda: platform.caught_up(dataset, 1), "it is read once")
        until(lambda: source(gateway, dataset)["state"] == "quiet", "and is quiet then")
        file.write_text('{"id": 1}\n{"id": 2}\n')
        assert asked(gateway, dataset, "run").status_code == 202
        until(lambda: platform.caught_up(dataset, 2), "it is read out of turn")

        paused = asked(gateway, dataset, "pause", because="the disk is moved")
        assert (paused.status_code, paused.json()["by"]) == (200, "admin")
        found = source(gateway, dataset)
        assert (found["state"], found["by"], found["because"]) == ("paused", "admin", "the disk is moved")
        refused = asked(gateway, dataset, "run")
        assert (refused.status_code, "paused by admin since" in refused.json()["detail"]) == (409, True)

    file.write_text('{"id": 1}\n{"id": 2}\n{"id": 3}\n')
    platform.apply(
        dataset, {"type": "file", "path": "rows.jsonl"}, version=2
    )  # without a schedule: it would be read at once
    with ingest(platform, port, tmp_path) as again:
        until(
            lambda: f"{dataset}" in again.log() and "paused by admin" in again.log(), "a new process knows of the pause"
        )
        assert platform.rows_read(dataset) == 2
        a_paused_push_takes_nothing_and_loses_nothing(platform, gateway, again, f"{dataset}_pushed")
        assert asked(gateway, dataset, "resume").status_code == 200
        until(lambda: platform.caught_up(dataset, 3), "it goes on from where it was")
    assert platform.column(dataset, "id") == [1, 2, 3]
    assert source(gateway, dataset)["state"] != "paused"


ORDERS = {"type": "sql", "database": "sqlite", "name": "shop.db", "table": "orders", "cursor": "day", "key": ["id"]}
DAYS, PER_DAY = 12, 50


def runs(gateway: TestClient, dataset: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = gateway.get(f"/api/v1/datasets/{dataset}/runs").json()["items"]
    return items


def backfill(gateway: TestClient, dataset: str, first: int, end: int, **more: Any) -> Any:
    body = {"from": f"2026-01-{first:02}T00:00:00Z", "to": f"2026-01-{end:02}T00:00:00Z", **more}
    return gateway.post(f"/api/v1/datasets/{dataset}/backfills", json=body)


def test_a_stretch_of_time_is_read_once_more_whatever_is_killed(
    platform: Platform, dataset: str, gateway: TestClient, port: int, tmp_path: Path
) -> None:
    def changed(sql: str) -> None:
        with sqlite3.connect(tmp_path / "shop.db") as database:
            database.executescript(sql)

    changed("CREATE TABLE orders (id INTEGER PRIMARY KEY, day TEXT NOT NULL, name TEXT)")
    for day in range(1, DAYS + 1):
        first = day * PER_DAY
        values = ", ".join(f"({number}, '2026-01-{day:02}', 'old')" for number in range(first, first + PER_DAY))
        changed(f"INSERT INTO orders VALUES {values}")
    platform.apply(dataset, ORDERS, key=["id"], load={"mode": "upsert"}, partitions=2)
    until(lambda: known(gateway, dataset), "the gateway knows the dataset")
    with ingest(platform, port, tmp_path, max_batch_rows=20) as running:
        until(lambda: platform.caught_up(dataset, DAYS * PER_DAY), "all is read")
        changed("UPDATE orders SET name = 'new'")  # their cursor says nothing of it
        assert backfill(gateway, dataset, 2, 12).status_code == 202
        until(lambda: bool(runs(gateway, dataset)) and runs(gateway, dataset)[0]["rows"] > 0, "it is read again")
        assert backfill(gateway, dataset, 1, 2).status_code == 409, "one at a time"
        running.kill()
    changed("INSERT INTO orders VALUES (9, '2026-01-31', 'fresh')")
    with ingest(platform, port, tmp_path, max_batch_rows=20):
        until(lambda: runs(gateway, dataset)[0]["state"] == "ended", "it goes on to its end")
        until(lambda: platform.caught_up(dataset, DAYS * PER_DAY + 1), "and what is new is read beside it")

        asked(gateway, dataset, "pause", because="to cancel what has not begun")
        assert backfill(gateway, dataset, 1, 12).status_code == 202
        assert gateway.post(f"/api/v1/datasets/{dataset}/runs/cancel").json()["run"] == 2
        asked(gateway, dataset, "resume")
        until(lambda: runs(gateway, dataset)[0]["run"] == 2, "it is seen to")
        until(lambda: runs(gateway, dataset)[0]["state"] == "cancelled", "it is cancelled")
    assert runs(gateway, dataset)[1]["rows"] == 10 * PER_DAY
    rows = platform.rows(dataset)
    again = Counter(rows.column("id").to_pylist())
    assert {number for number, count in again.items() if count == 2} == set(range(2 * PER_DAY, 12 * PER_DAY))
    assert max(again.values()) == 2
    assert Counter(rows.column("name").to_pylist()) == {"old": DAYS * PER_DAY, "new": 10 * PER_DAY, "fresh": 1}
    assert gateway.post(f"/api/v1/datasets/{dataset}/runs/cancel").status_code == 409

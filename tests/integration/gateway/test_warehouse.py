"""Queries and quarantine over a real warehouse."""

import base64
import json
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from fastapi.testclient import TestClient

from headrace.contract import load
from headrace.stream.codec import Codec
from headrace.stream.control import schema_text
from services.loader.core.table import LOAD_FIELDS, create_table, quarantined, shape
from tests.integration.gateway.conftest import MakeGateway
from tests.integration.gateway.test_apply import airports, put


@pytest.fixture
def client(make_gateway: MakeGateway, writer: Client, domain: str) -> TestClient:
    client = make_gateway()
    assert put(client, f"{domain}.airports", airports(domain))[0] == HTTPStatus.OK
    writer.command(f"CREATE DATABASE IF NOT EXISTS {domain}")
    return client


def query(client: TestClient, sql: str, **more: Any) -> dict[str, Any]:
    response = client.post("/api/v1/query", json={"sql": sql, **more})
    assert response.status_code == HTTPStatus.OK, response.text
    body: dict[str, Any] = response.json()
    return body


def test_rows_come_back_in_order_and_cut_to_the_limit(client: TestClient, writer: Client, domain: str) -> None:
    writer.command(f"CREATE TABLE {domain}.airports (n UInt64, name String) ENGINE = MergeTree ORDER BY n")
    writer.command(f"INSERT INTO {domain}.airports SELECT number, toString(number) FROM numbers(5000)")
    answer = query(client, f"select n, name from {domain}.airports order by n desc", limit=2)
    assert answer["columns"] == [{"name": "n", "type": "UInt64"}, {"name": "name", "type": "String"}]
    assert (answer["rows"], answer["row_count"], answer["truncated"]) == ([[4999, "4999"], [4998, "4998"]], 2, True)
    whole = query(client, f"select n from {domain}.airports where n < 2 order by n union all select 7", limit=10)
    assert (sorted(whole["rows"]), whole["truncated"]) == ([[0], [1], [7]], False)
    assert query(client, f"with a as (select * from {domain}.airports) select count() from a")["rows"] == [[5000]]


@pytest.mark.parametrize(
    ("expression", "kind", "shown"),
    [
        ("toUInt64(18446744073709551615)", "UInt64", 18446744073709551615),
        ("toInt256('-99999999999999999999')", "Int256", "-99999999999999999999"),
        ("toDecimal64(1.25, 4)", "Decimal(18, 4)", "1.2500"),
        ("nan", "Float64", "NaN"),
        ("-inf", "Float64", "-Infinity"),
        ("toDate32('2013-01-01')", "Date32", "2013-01-01"),
        ("toDateTime64('2013-01-01 05:15:00.5', 6, 'UTC')", "DateTime64(6, 'UTC')", "2013-01-01T05:15:00.500000+00:00"),
        ("toUUID('00000000-0000-0000-0000-000000000001')", "UUID", "00000000-0000-0000-0000-000000000001"),
        ("[1, null]", "Array(Nullable(UInt8))", [1, None]),
        ("map('a', 1)", "Map(String, UInt8)", {"a": 1}),
        ("unhex('ff00')", "String", "ff00"),
        ("null", "Nullable(Nothing)", None),
        ("true", "Bool", True),
    ],
)
def test_values_lose_nothing_on_the_way(client: TestClient, expression: str, kind: str, shown: object) -> None:
    answer = query(client, f"select {expression} as v")
    assert (answer["columns"], answer["rows"]) == ([{"name": "v", "type": kind}], [[shown]])


@pytest.mark.parametrize(
    ("sql", "type_", "said"),
    [
        ("drop table {d}.airports", "refused-query", "only SELECT"),
        ("select * from system.tables", "refused-query", "not a dataset's table"),
        ("select nope from (select 1 as a)", "failed-query", "nope"),
        ("select * from {d}.planes", "refused-query", "planes"),
        ("select * from {d}.airports", "failed-query", "airports"),
        ("select throwIf(1, 'stop here')", "refused-query", "throwIf"),
        ("select toInt8('stop here')", "failed-query", "stop here"),
    ],
)
def test_what_is_refused_is_told_in_words(client: TestClient, domain: str, sql: str, type_: str, said: str) -> None:
    response = client.post("/api/v1/query", json={"sql": sql.format(d=domain)})
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    body = response.json()
    assert body["type"] == f"urn:headrace:problem:{type_}"
    assert said in body["detail"]
    assert "DB::Exception" not in body["detail"]


def rejected(offset: int, **fields: Any) -> dict[str, Any]:
    """A row of the quarantine table."""
    return {
        "dataset": "", "generation": 1, "version": 1, "stage": "transformer", "reason": "check_references",
        "detail": "dest SJU is not known", "rule": "references_dest", "column": "dest", "topic": "t", "partition": 0,
        "offset": offset, "raw_offset": offset, "seq": 0, "schema_id": 7, "value": b"\xff\x00", "source": None,
        "fields": '{"dest": "SJU", "delay": NaN}',
        "quarantined_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC) + timedelta(seconds=offset),
        "_load_partition": 1, "_load_offset": offset, "act": "quarantined",
    } | fields  # fmt: skip


def test_quarantined_rows_are_clustered_by_the_shape_of_the_value_at_fault(
    client: TestClient, writer: Client, domain: str
) -> None:
    path = f"/api/v1/datasets/{domain}.airports/quarantine"
    assert client.get(f"{path}/clusters").json() == {"hours": 24, "total": 0, "items": []}
    assert client.get(f"{path}/export").text == ""
    schema = pa.schema([*Codec(schema_text("quarantined")).arrow_schema, *LOAD_FIELDS])
    table = quarantined(load(airports(domain)))
    writer.command(create_table(table, shape(schema)))
    values = ["SJU", "BQN", "sju", "s-1", "s-22", 7, -1.5, None, True, {"a": 1}, "Zürich 8001"]
    now = datetime.now(UTC)
    rows = [
        rejected(at, fields=json.dumps({"dest": value}), quarantined_at=now - timedelta(hours=at))
        for at, value in enumerate(values)
    ]
    rows.append(rejected(90, fields="{}", quarantined_at=now))
    rows.append(rejected(91, column=None, quarantined_at=now))
    rows.append(rejected(92, fields=None, quarantined_at=now))
    raw = b'{"dest": "AB12"}'
    rows.append(rejected(93, stage="ingest", reason="wrong_type", fields=None, value=raw, quarantined_at=now))
    rows.append(rejected(94, fields='{"dest": ""}', quarantined_at=now))
    writer.insert_arrow(table.id, pa.Table.from_pylist(rows, schema))

    answer = client.get(f"{path}/clusters", params={"hours": 48}).json()
    assert answer["total"] == len(rows)
    items = answer["items"]
    found = {(item["column"], item["shape"]): item for item in items}
    shapes = {form: item["rows"] for (column, form), item in found.items() if column}
    assert shapes == {
        "A": 2, "a": 1, "a-9": 2, "9": 1, "-9.9": 1, "null": 1, "true": 1, '{"a":9}': 1, "Aa 9": 1, None: 2, "A9": 1, "": 1,
    }  # fmt: skip
    assert found[None, None]["rows"] == 1
    capitals = found["dest", "A"]
    assert (capitals["examples"], capitals["ids"]) == (["BQN", "SJU"], ["1-1", "1-0"])
    assert capitals["trend"] == [0] * 23 + [2]
    assert found["dest", "a-9"]["trend"] == [0] * 21 + [1, 1, 0], "three and four hours ago"

    some = client.get(f"{path}/export", params={"column": "dest", "shape": "a-9"}).text.splitlines()
    assert [json.loads(line)["id"] for line in some] == ["1-3", "1-4"]
    every = [json.loads(line) for line in client.get(f"{path}/export").text.splitlines()]
    assert len(every) == len(rows)
    assert every[0]["fields"] == {"dest": "SJU"}
    chosen = {"shape": "a-9", "because": "a test", "dry_run": True}
    assert client.post(f"{path}/discard", json=chosen).json()["rows"] == 2


def test_quarantine_is_empty_before_the_first_row_and_then_clustered_by_cause(
    client: TestClient, writer: Client, domain: str
) -> None:
    path = f"/api/v1/datasets/{domain}.airports/quarantine"
    assert client.get(path).json() == {"total": 0, "clusters": [], "items": []}
    schema = pa.schema([*Codec(schema_text("quarantined")).arrow_schema, *LOAD_FIELDS])
    table = quarantined(load(airports(domain)))
    writer.command(create_table(table, shape(schema)))
    rows = [rejected(offset) for offset in range(3)]
    rows.append(rejected(3, reason="undecodable", rule=None, column=None, fields=None, raw_offset=None))
    writer.insert_arrow(table.id, pa.Table.from_pylist(rows, schema))

    found = client.get(path, params={"limit": 2}).json()
    assert found["total"] == 4
    assert [(c["reason"], c["rule"], c["column"], c["rows"]) for c in found["clusters"]] == [
        ("check_references", "references_dest", "dest", 3), ("undecodable", None, None, 1),
    ]  # fmt: skip
    assert [item["id"] for item in found["items"]] == ["1-3", "1-2"]
    assert found["items"][0]["fields"] is None
    assert found["items"][1]["fields"] == {"dest": "SJU", "delay": "NaN"}

    one = client.get(path, params={"reason": "undecodable"}).json()
    assert (one["total"], [item["id"] for item in one["items"]]) == (1, ["1-3"])
    shown = client.get(f"{path}/1-2").json()
    [act] = shown.pop("acts")
    assert (act["act"], act["detail"]) == ("quarantined", shown["detail"])
    assert shown == found["items"][1]
    assert base64.b64decode(shown["value"]) == b"\xff\x00"
    for unknown in ("1-99", "9-1", "x", "1-2-3", "99999999999-1"):
        assert client.get(f"{path}/{unknown}").status_code == HTTPStatus.NOT_FOUND

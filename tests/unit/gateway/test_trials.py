"""The gateway runs the tests of a dataset file itself before the file can go live, unless it is told why not."""

import io
import json
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Any

import fastavro
import pytest
from fastapi.testclient import TestClient

from headrace.stream.control import Controls, schema_text
from headrace.stream.kafka import Connection
from headrace.stream.memory import MemorySchemas
from services.gateway.adapters.dataset_log import DatasetLog
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.gateway import Gateway
from tests.unit.gateway.test_datasets import AT, proposed

ORDERS = """
dataset: shop.orders
description: Orders.
owner: {team: shop}
source: {type: file, path: orders.csv}
transform: {sql: "SELECT id, price * 2 AS total FROM input"}
tests:
  - name: doubled
    given: [{id: 1, price: 2}]
    expect: {rows: [{id: 1, total: 4}]}
"""
WRONG = ORDERS.replace("total: 4", "total: 5")


def put(client: TestClient, document: str, **more: Any) -> dict[str, Any]:
    response = client.put("/api/v1/datasets/shop.orders", json={"document": document, **more})
    body: dict[str, Any] = response.json()
    assert body["status"] == response.status_code
    return body


def test_a_file_whose_test_fails_is_refused_with_every_difference(client: TestClient) -> None:
    body = put(client, WRONG)
    assert body["status"] == HTTPStatus.UNPROCESSABLE_ENTITY
    assert body["type"] == "urn:headrace:problem:failed-tests"
    assert body["detail"] == "1 of 1 tests failed, first 'doubled': row 1, total: expected 5, got 4"
    [fault] = body["problems"]
    assert (fault["test"], fault["column"], fault["expected"], fault["got"]) == ("doubled", "total", "5", "4")


@pytest.mark.parametrize(("document", "more"), [(ORDERS, {}), (WRONG, {"skip_tests": "the test is out of date"})])
def test_one_whose_tests_pass_or_are_skipped_goes_on_to_kafka(
    client: TestClient, document: str, more: dict[str, str]
) -> None:
    assert put(client, document, **more)["status"] == HTTPStatus.SERVICE_UNAVAILABLE, "Kafka is not there"


def test_a_reason_has_to_say_something(client: TestClient) -> None:
    body = put(client, WRONG, skip_tests="")
    assert body["type"] == "urn:headrace:problem:invalid-request"


def test_the_reason_stays_with_the_version(client: TestClient, lonely: Gateway) -> None:
    skipped = proposed(WRONG).successor(AT, "ada", "the test is out of date")
    with lonely.engine.begin() as connection:
        fold_datasets(connection, [("shop.orders", skipped)])
    assert client.get("/api/v1/datasets/shop.orders").json()["tests_skipped"] == "the test is out of date"
    mended = proposed(ORDERS, {"shop.orders": skipped}).successor(AT, "ada")
    assert (mended.version, mended.tests_skipped) == (2, "")


def test_there_is_no_reason_where_there_is_no_test() -> None:
    without = ORDERS.partition("tests:")[0]
    assert proposed(without).successor(AT, "ada", "in a hurry").tests_skipped == ""


def test_the_record_carries_the_reason_and_one_written_before_there_were_reasons_is_read() -> None:
    schemas = MemorySchemas()
    controls = Controls(schemas)
    log = DatasetLog(Connection("127.0.0.1:1"), controls)
    version = proposed(WRONG).successor(AT, "ada", "the test is out of date")
    assert log._version(controls.encode("dataset", asdict(version))) == version
    earlier = json.loads(schema_text("dataset"))
    earlier["fields"] = [field for field in earlier["fields"] if field["name"] != "tests_skipped"]
    body = io.BytesIO(b"\0" + schemas.register("earlier", json.dumps(earlier)).to_bytes(4, "big"))
    body.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(body, fastavro.parse_schema(earlier), asdict(version))
    assert log._version(body.getvalue()) == replace(version, tests_skipped="")

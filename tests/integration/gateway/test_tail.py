"""The newest records of a topic, decoded."""

from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.registry import Registry
from tests.integration.gateway.conftest import MakeGateway
from tests.integration.gateway.test_apply import airports, put

SCHEMA = pa.schema([pa.field("faa", pa.string()), pa.field("city", pa.string())])


@pytest.fixture
def client(make_gateway: MakeGateway, domain: str) -> TestClient:
    client = make_gateway()
    assert put(client, f"{domain}.airports", airports(domain))[0] == HTTPStatus.OK
    return client


@pytest.fixture
def writer(connection: Connection, domain: str) -> Iterator[TransactionalWriter]:
    writer = TransactionalWriter(connection, f"test-{domain}")
    yield writer
    writer.close()


def tail(client: TestClient, domain: str, **params: Any) -> list[dict[str, Any]]:
    response = client.get(f"/api/v1/datasets/{domain}.airports/tail", params=params)
    assert response.status_code == HTTPStatus.OK, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def test_it_shows_the_newest_committed_records_of_all_partitions(
    client: TestClient, writer: TransactionalWriter, registry: Registry, domain: str
) -> None:
    topic = topics.validated(f"{domain}.airports", 1)
    avro = avro_schema(SCHEMA, "airports")
    schema_id = registry.register(topics.subject(topic), avro)
    for number in range(12):
        rows = pa.RecordBatch.from_pylist([{"faa": f"A{number}", "city": None}], SCHEMA)
        with writer.transaction() as transaction:
            transaction.produce(topic, Codec(avro).encode(rows, schema_id), partition=number % 3)
    with suppress(KeyError), writer.transaction() as aborted:
        aborted.produce(topic, [b"nobody may see this"] * 500, partition=0)
        raise KeyError
    assert [item["fields"] for item in tail(client, domain, limit=5)] == [
        {"faa": f"A{number}", "city": None} for number in range(7, 12)
    ]
    assert len(tail(client, domain, limit=500)) == 12
    assert tail(client, domain, stage="raw") == []


def test_a_record_that_cannot_be_decoded_says_why(client: TestClient, writer: TransactionalWriter, domain: str) -> None:
    topic = topics.raw(f"{domain}.airports")
    with writer.transaction() as transaction:
        transaction.produce(topic, [b"junk", b"\0\x7f\xff\xff\xff!"], partition=0)
    first, second = tail(client, domain, stage="raw")
    assert first["fields"] is second["fields"] is None
    assert first["error"]
    assert second["error"]

"""The route that compares generations, over a real warehouse. Nothing else is within reach."""

import json
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from headrace.cli.generation_diff import shown
from headrace.client import Client
from headrace.client.results.generation_diffs import DiffPart
from headrace.errors import Transient
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.generation_sides import StoredSides, side_of
from services.gateway.adapters.generations_compared import GenerationDiffs
from services.gateway.bootstrap import build, serve
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.generation_diff import Side
from services.gateway.gateway import Gateway
from services.gateway.settings import GatewaySettings
from tests.integration.warehouse.server import PASSWORDS, Warehouse
from tests.unit.gateway.conftest import ADMIN, NOWHERE
from tests.unit.gateway.test_datasets import AIRPORTS, live

PATH = "/api/v1/datasets/nyc.airports/generations"


def table(warehouse: Warehouse, generation: int, rows: str) -> None:
    name = f"nyc.airports__g{generation}"
    warehouse.value("CREATE DATABASE IF NOT EXISTS nyc")
    warehouse.value(f"DROP TABLE IF EXISTS {name}")
    columns = "faa String, name Nullable(String), alt Int64, _partition Int32, _offset Int64, _seq Int32, _flags Array(String)"
    keep = "_row_version UInt64, _is_deleted UInt8"
    warehouse.value(
        f"CREATE TABLE {name} ({columns}, {keep}) ENGINE = ReplacingMergeTree(_row_version, _is_deleted) ORDER BY faa"
    )
    warehouse.value(f"INSERT INTO {name} VALUES {rows}")


@pytest.fixture
def parts(warehouse: Warehouse, tmp_path: Path) -> Gateway:
    """A gateway that knows nyc.airports, whose generation 1 is live, and a generation 2 in the warehouse."""
    settings = GatewaySettings(
        gateway_admin_token=SecretStr(ADMIN),
        data_dir=tmp_path,
        bootstrap_servers=NOWHERE,
        registry_url=f"http://{NOWHERE}",
        warehouse_url=warehouse.url,
        warehouse_reader_password=SecretStr(PASSWORDS["reader"]),
    )
    gateway = build(settings)
    with gateway.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS + "load: {mode: upsert}\n").items())
    table(warehouse, 1, "('JFK', 'Kennedy', 13, 0, 0, 0, [], 0, 0), ('EWR', 'Newark', 18, 1, 0, 0, [], 0, 0)")
    table(warehouse, 2, "('JFK', NULL, 13, 0, 0, 0, [], 0, 0), ('LGA', 'La Guardia', 22, 1, 0, 0, [], 0, 0)")
    known = StoredSides(gateway.datasets, lambda _: {0: 9, 1: 9})

    def sides(dataset: DatasetVersion, generation: int) -> Side | None:
        found = known(dataset, generation)
        candidate = side_of(replace(dataset, generation=2, version=5), {0: 9, 1: 9})
        return candidate if found is None and generation == candidate.generation else found

    return replace(gateway, diffs=GenerationDiffs(gateway.warehouse, sides, lambda *_: {}, 60))


@pytest.fixture
def client(parts: Gateway) -> TestClient:
    return TestClient(serve(parts), headers={"Authorization": f"Bearer {ADMIN}"})


def test_two_generations_are_compared_from_the_client_to_the_warehouse(client: TestClient) -> None:
    answer = client.get(f"{PATH}/2/diff")
    assert answer.status_code == HTTPStatus.OK, answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [each["part"] for each in lines[:1] + lines[-1:]] == ["progress", "report"]
    told = DiffPart.model_validate(lines[-1])
    assert (told.added, told.removed, told.changed, told.matched_by, told.key) == (1, 1, 1, "key", ("faa",))
    assert {each.column: each.rows for each in told.columns if each.rows} == {"name": 1}
    assert {each.kind: each.key["faa"] for each in told.samples} == {"added": "LGA", "removed": "EWR", "changed": "JFK"}
    assert next(each for each in told.sums if each.column == "alt").after == "35"
    assert list(shown(told))


def test_the_client_reads_it(client: TestClient) -> None:
    def handed_on(request: httpx.Request) -> httpx.Response:
        answer = client.get(request.url.raw_path.decode())
        return httpx.Response(answer.status_code, content=answer.content)

    with Client("http://gateway.test", ADMIN, transport=httpx.MockTransport(handed_on)) as reading:
        last = list(reading.generations.diff("nyc.airports", 2, against=1, sample=1))[-1]
    assert (last.part, last.added) == ("report", 1)


@pytest.mark.parametrize(
    ("path", "status", "code", "said"),
    [
        (f"{PATH}/3/diff", HTTPStatus.NOT_FOUND, "not-found", "no generation 3"),
        (f"{PATH}/2/diff?against=7", HTTPStatus.NOT_FOUND, "not-found", "no generation 7"),
        (f"{PATH}/1/diff", HTTPStatus.CONFLICT, "same-generation", "against"),
        ("/api/v1/datasets/nyc.nothing/generations/2/diff", HTTPStatus.NOT_FOUND, "not-found", "nyc.nothing"),
        (f"{PATH}/0/diff", HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "generation"),
    ],
)
def test_what_cannot_be_compared_is_a_problem(
    client: TestClient, path: str, status: HTTPStatus, code: str, said: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.json()["type"].endswith(code)
    assert said in answer.json()["detail"]


def test_one_at_a_time_and_an_unreachable_warehouse_are_problems_too(client: TestClient, parts: Gateway) -> None:
    dataset = parts.datasets.get("nyc.airports")
    assert dataset is not None
    running: Iterator[Any] = parts.diffs.parts(dataset, 2, 1, 5)
    next(running)
    refused = client.get(f"{PATH}/2/diff")
    assert (refused.status_code, refused.json()["type"]) == (HTTPStatus.CONFLICT, "urn:headrace:problem:diff-running")
    assert list(running)[-1].kind == "report"
    assert client.get(f"{PATH}/2/diff").status_code == HTTPStatus.OK


def test_where_the_warehouse_is_away_it_says_so(parts: Gateway) -> None:
    away = build(
        GatewaySettings(
            gateway_admin_token=SecretStr(ADMIN),
            bootstrap_servers=NOWHERE,
            registry_url=f"http://{NOWHERE}",
            warehouse_url=f"http://{NOWHERE}",
        )
    )
    dataset = parts.datasets.get("nyc.airports")
    assert dataset is not None
    desk = GenerationDiffs(
        away.warehouse, lambda one, number: side_of(replace(one, generation=number), None), lambda *_: {}, 60
    )
    with pytest.raises(Transient):
        next(desk.parts(dataset, 2, 1, 5))
    with pytest.raises(Transient):  # the first has not left the dataset busy
        next(desk.parts(dataset, 2, 1, 5))

"""Secrets as the API has them with nothing else within reach, and what is known of them without their values."""

from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from headrace.contract import load
from headrace.secrets.keys import new_key
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.secret_store import SecretStore, fold_secrets
from services.gateway.bootstrap import build, serve
from services.gateway.core.secrets import SecretEntry, named_by, users, warnings
from services.gateway.gateway import Gateway
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.accesses import bearer, headers, with_memory
from tests.unit.gateway.conftest import ADMIN, NOWHERE
from tests.unit.gateway.test_api_alone import problem
from tests.unit.gateway.test_datasets import AIRPORTS, live

AT = datetime(2026, 1, 2, tzinfo=UTC)
ORDERS = """
dataset: shop.orders
description: Orders.
owner: {team: shop}
source: {type: sql, database: postgresql, name: shop, user: reader, password: secret://shop.password, table: orders, key: [id]}
"""
PASSWORD = SecretEntry("shop.password", 3, "2026-11", AT, "admin")
CALLS = (("PUT", "/secrets/a"), ("GET", "/secrets"), ("DELETE", "/secrets/a"), ("POST", "/secrets/rotate"))


@pytest.fixture
def keyed(tmp_path: Path) -> Gateway:
    """A gateway with a master key, whose Kafka, registry and warehouse are all down."""
    settings = GatewaySettings(
        gateway_admin_token=SecretStr(ADMIN),
        master_key=new_key(),
        data_dir=tmp_path,
        bootstrap_servers=NOWHERE,
        registry_url=f"http://{NOWHERE}",
        warehouse_url=f"http://{NOWHERE}",
    )
    return with_memory(build(settings), ADMIN)


@pytest.fixture
def keeper(keyed: Gateway) -> TestClient:
    """The administrator's client of that gateway, which knows a secret and a dataset that names it."""
    with keyed.engine.begin() as connection:
        fold_secrets(connection, [(PASSWORD.name, PASSWORD)])
        fold_datasets(connection, live(AIRPORTS, ORDERS).items())
    return TestClient(serve(keyed), headers={"Authorization": f"Bearer {ADMIN}"}, raise_server_exceptions=False)


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_without_a_master_key_it_says_what_to_do_and_all_else_runs(client: TestClient, method: str, path: str) -> None:
    body = {"value": "hunter2"} if method == "PUT" else None
    answer = problem(client.request(method, f"/api/v1{path}", json=body), HTTPStatus.SERVICE_UNAVAILABLE)
    assert answer["type"] == "urn:headrace:problem:no-master-key"
    assert "headrace secret new-key" in answer["detail"]
    assert client.get("/api/v1/datasets").status_code == HTTPStatus.OK


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_only_the_administrator_deals_with_secrets(keyed: Gateway, keeper: TestClient, method: str, path: str) -> None:
    theirs = headers(bearer(keyed, "ada", "engineer"))
    body = {"value": "hunter2"} if method == "PUT" else None
    problem(keeper.request(method, f"/api/v1{path}", json=body, headers=theirs), HTTPStatus.FORBIDDEN)


def test_the_list_says_all_but_the_value(keeper: TestClient) -> None:
    (listed,) = keeper.get("/api/v1/secrets").json()["items"]
    assert listed == {
        "name": "shop.password",
        "version": 3,
        "key_id": "2026-11",
        "set_at": "2026-01-02T00:00:00Z",
        "set_by": "admin",
        "kept_for": None,
        "datasets": ["shop.orders"],
    }


def test_a_secret_that_a_dataset_names_stays_unless_forced(keeper: TestClient) -> None:
    refused = problem(keeper.delete("/api/v1/secrets/shop.password"), HTTPStatus.CONFLICT)
    assert refused["type"] == "urn:headrace:problem:secret-in-use"
    assert "shop.orders" in refused["detail"]
    # Kafka is down: that it is asked shows that the removal was let through.
    problem(keeper.delete("/api/v1/secrets/shop.password?force=true"), HTTPStatus.SERVICE_UNAVAILABLE)


def test_a_value_over_the_limit_is_refused_and_no_refusal_shows_it(keeper: TestClient) -> None:
    path = "/api/v1/secrets/shop.password"
    value = "é" * (32 << 10)
    over = keeper.put(path, json={"value": value + "x"})
    problem(over, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    at_the_limit = keeper.put(path, json={"value": value})
    problem(at_the_limit, HTTPStatus.SERVICE_UNAVAILABLE)  # it was let through to Kafka
    for body in (
        '{"value": ""}',
        '{"value": ["hunter2"]}',
        '{"hunter2": 1}',
        '{"value": "hunter2\\ud800"}',
        '{"value": "hunter2',
    ):
        answer = keeper.put(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert "hunter2" not in answer.text or body == '{"hunter2": 1}'  # the name of a field is no value


@pytest.mark.parametrize("name", ["Shop", "a/b", "a b", "-a", "a" * 129])
def test_a_name_no_file_could_refer_to_is_refused(keeper: TestClient, name: str) -> None:
    answer = keeper.put(f"/api/v1/secrets/{name}", json={"value": "hunter2"})
    assert answer.status_code in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND)


def test_plan_warns_of_a_secret_nobody_has_set_and_does_not_refuse(keeper: TestClient) -> None:
    known = keeper.post("/api/v1/plan", json={"document": ORDERS}).json()
    assert known["warnings"] == []
    unknown = keeper.post("/api/v1/plan", json={"document": ORDERS.replace("shop.password", "shop.passwort")}).json()
    assert unknown["refusals"] == []
    (warning,) = unknown["warnings"]
    assert "headrace secret set shop.passwort" in warning


def test_the_database_holds_no_sealed_value(keyed: Gateway) -> None:
    store = SecretStore(keyed.engine)
    with keyed.engine.begin() as connection:
        fold_secrets(connection, [("a", PASSWORD), (PASSWORD.name, PASSWORD), ("a", None)])
    assert store.all() == {"shop.password": PASSWORD}
    assert {"wrapped_key", "payload"}.isdisjoint(SecretEntry.__dataclass_fields__)


def test_who_names_what() -> None:
    versions = live(AIRPORTS, ORDERS)
    assert users(versions.values()) == {"shop.password": ["shop.orders"]}
    assert named_by(load(AIRPORTS)) == frozenset()
    assert warnings(load(ORDERS), {"shop.password"}) == []
    hashing = ORDERS + "transform: {sql: SELECT tokenise(id) AS id FROM input, hash_key: secret://shop.personal}\n"
    assert named_by(load(hashing)) == {"shop.password", "shop.personal"}
    (warning,) = warnings(load(hashing), {"shop.password"})
    assert warning.startswith("there is no secret shop.personal: the transformer begins once it is set")

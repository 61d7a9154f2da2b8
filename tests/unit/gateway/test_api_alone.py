"""The API with nothing else within reach: it starts, serves what it can, and says what is down."""

import json
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.gateway import openapi
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.holding_store import fold_holdings
from services.gateway.adapters.incident_store import fold_incidents
from services.gateway.core.holdings import HoldingEntry
from services.gateway.gateway import Gateway
from tests.unit.gateway.conftest import NOWHERE
from tests.unit.gateway.test_datasets import AIRPORTS, AT, FLIGHTS, live
from tests.unit.gateway.test_incidents import stopped

AIRPORTS_PATH = "/api/v1/datasets/nyc.airports"


def problem(response: Any, status: HTTPStatus) -> Mapping[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: Mapping[str, Any] = response.json()
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    return body


@pytest.fixture
def airports(lonely: Gateway) -> None:
    """A dataset in the projection, as if it had been folded before everything went down."""
    with lonely.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS).items())


def test_it_says_what_it_cannot_reach_and_serves_on(client: TestClient) -> None:
    response = client.get("/healthz")
    assert response.status_code == HTTPStatus.OK
    body = response.json()
    assert body["status"] == "degraded"
    assert {part for part, state in body["parts"].items() if state["ok"]} == {"database"}
    assert NOWHERE in body["parts"]["warehouse"]["detail"]
    assert client.get("/api/v1/version").json() == {"name": "headrace", "version": "0.1.0"}
    assert client.get("/api/v1/datasets").json() == {"items": []}


@pytest.mark.usefixtures("airports")
def test_what_needs_a_part_that_is_down_is_answered_503_with_its_name(client: TestClient) -> None:
    query = problem(client.post("/api/v1/query", json={"sql": "select 1"}), HTTPStatus.SERVICE_UNAVAILABLE)
    assert NOWHERE in query["detail"]
    assert "warehouse" in problem(client.get(f"{AIRPORTS_PATH}/quarantine"), HTTPStatus.SERVICE_UNAVAILABLE)["detail"]


@pytest.mark.usefixtures("airports")
@pytest.mark.parametrize(
    ("edit", "code", "said"),
    [
        ({"patch": [{"op": ["add"], "path": "/faa", "value": 1}]}, "bad-patch", "is no operation"),
        ({"patch": [{"op": "add", "path": "faa", "value": 1}]}, "bad-patch", "must start with /"),
        ({"set": {"faa": "unnest([1, 2])"}}, "bad-expression", "unnest"),
    ],
)
def test_an_edit_that_is_none_is_refused_before_anything_is_asked(
    client: TestClient, edit: dict[str, Any], code: str, said: str
) -> None:
    body = {"because": "a test", "all_matching": True}
    path = f"{AIRPORTS_PATH}/quarantine/resubmit"
    found = problem(client.post(path, json=body | edit), HTTPStatus.UNPROCESSABLE_ENTITY)
    assert found["type"].endswith(code)
    assert said in found["detail"]
    good = {"patch": [{"op": "add", "path": "/faa", "value": "x"}]}
    assert "warehouse" in problem(client.post(path, json=body | good), HTTPStatus.SERVICE_UNAVAILABLE)["detail"]


@pytest.mark.usefixtures("airports")
def test_books_and_status_come_from_the_database_and_say_why_they_are_not_settled(client: TestClient) -> None:
    (status,) = client.get("/api/v1/status").json()["items"]
    assert (status["dataset"], status["settled"]) == ("nyc.airports", False)
    assert status["waiting_for"]
    assert [stage["stage"] for stage in status["stages"]] == ["ingest", "stager", "transformer", "quality", "loader"]
    ledger = client.get(f"{AIRPORTS_PATH}/ledger").json()
    assert (ledger["read"], ledger["residue"], ledger["settled"]) == (0, 0, False)


@pytest.mark.usefixtures("airports")
def test_a_service_that_has_stopped_is_a_problem_of_the_dataset(client: TestClient, lonely: Gateway) -> None:
    incident = stopped("ingest", AT, "nyc.airports")
    with lonely.engine.begin() as connection:
        fold_incidents(connection, [("1", incident)])
    (status,) = client.get("/api/v1/status").json()["items"]
    assert status["problems"] == [incident.message]
    assert incident.message in status["waiting_for"]
    assert client.get(f"{AIRPORTS_PATH}/ledger").json()["problems"] == [incident.message]
    with lonely.engine.begin() as connection:
        fold_incidents(connection, [("1", replace(incident, state="resolved"))])
    assert client.get(f"{AIRPORTS_PATH}/ledger").json()["problems"] == []


@pytest.mark.usefixtures("airports")
def test_plan_shows_changes_and_what_stands_against_them(client: TestClient) -> None:
    same = client.post("/api/v1/plan", json={"document": AIRPORTS}).json()
    assert (same["current_version"], same["next_version"], same["changes"]) == (1, 1, [])
    other = client.post("/api/v1/plan", json={"document": AIRPORTS.replace("[faa]", "[name]")}).json()
    assert (other["next_version"], other["needs_generation"]) == (2, True)
    assert [refusal["code"] for refusal in other["refusals"]] == ["breaking-change"]
    new = client.post("/api/v1/plan", json={"document": FLIGHTS}).json()
    assert (new["current_version"], new["next_version"], new["refusals"]) == (None, 1, [])


@pytest.mark.usefixtures("airports")
def test_plan_says_what_a_change_concerns_and_who_reads_it(client: TestClient, lonely: Gateway) -> None:
    with lonely.engine.begin() as connection:
        fold_datasets(connection, live(FLIGHTS).items())
    another = AIRPORTS + "transform: {sql: 'SELECT * REPLACE (upper(faa) AS faa) FROM input WHERE faa IS NOT NULL'}\n"
    found = client.post("/api/v1/plan", json={"document": another}).json()["impact"]
    assert found == {
        "columns": [{"name": "faa", "kind": "changed"}],
        "others": None,
        "rules": [{"name": "faa IS NOT NULL", "kind": "added"}],
        "readers": [
            {
                "dataset": "nyc.flights",
                "via": "nyc.airports",
                "reads": ["faa"],
                "columns": [],
                "checks": ["references_dest"],
            }
        ],
        "reached": ["nyc.flights"],
    }
    nothing: dict[str, object] = {"columns": [], "others": None, "rules": [], "readers": [], "reached": []}
    assert client.post("/api/v1/plan", json={"document": AIRPORTS}).json()["impact"] == nothing


def test_an_invalid_file_is_answered_with_every_fault_and_its_place(client: TestClient) -> None:
    broken = AIRPORTS.replace("description:", "descriptoin:").replace("type: file", "type: fiel")
    body = problem(client.post("/api/v1/plan", json={"document": broken}), HTTPStatus.UNPROCESSABLE_ENTITY)
    assert {(fault["line"], fault["suggestion"]) for fault in body["problems"]} >= {(3, "description"), (5, "file")}


def test_the_path_must_name_the_dataset_of_the_file(client: TestClient) -> None:
    response = client.put("/api/v1/datasets/nyc.planes", json={"document": AIRPORTS})
    assert "nyc.planes" in problem(response, HTTPStatus.UNPROCESSABLE_ENTITY)["detail"]


@pytest.mark.usefixtures("airports")
def test_one_dataset_comes_with_its_file(client: TestClient) -> None:
    (listed,) = client.get("/api/v1/datasets").json()["items"]
    assert (listed["name"], listed["version"], listed["owner"]) == ("nyc.airports", 1, "mobility")
    shown = client.get(AIRPORTS_PATH).json()
    assert shown["document"]["source"] == {**shown["document"]["source"], "type": "file", "path": "airports.csv"}


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/api/v1/datasets/nyc.planes", "/api/v1/datasets/nyc.planes/ledger", "/api/v1/status?dataset=a.b"],
)
def test_what_does_not_exist_is_a_404(client: TestClient, path: str) -> None:
    problem(client.get(path), HTTPStatus.NOT_FOUND)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}])
@pytest.mark.parametrize("path", ["/api/v1/version", "/api/v1/datasets", "/api/v1/tokens", "/api/v1/status"])
def test_nobody_gets_in_without_a_token(client: TestClient, path: str, headers: dict[str, str]) -> None:
    client.headers.pop("authorization")
    response = client.get(path, headers=headers)
    problem(response, HTTPStatus.UNAUTHORIZED)
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_body_over_the_cap_is_refused_before_anyone_asks_who_sends_it(client: TestClient) -> None:
    client.headers.pop("authorization")
    huge = json.dumps({"sql": "x" * (3 << 20)})
    problem(client.post("/api/v1/query", content=huge), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def test_a_body_that_is_no_json_is_refused(client: TestClient) -> None:
    for body in ("[" * 100_000, "{", "\x00", '{"sql": NaN}', '{"sql": "select 1", "more": 1}'):
        response = client.post("/api/v1/query", content=body)
        assert response.status_code in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
        problem(response, HTTPStatus(response.status_code))


def test_a_fault_of_the_gateway_tells_nothing_of_its_insides(
    client: TestClient, lonely: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(lonely.datasets), "all", lambda _: 1 / 0)
    body = problem(client.get("/api/v1/datasets"), HTTPStatus.INTERNAL_SERVER_ERROR)
    assert "division" not in json.dumps(body)


def test_a_request_keeps_a_sensible_id_of_its_own(client: TestClient) -> None:
    assert client.get("/metrics", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/metrics", headers={"X-Request-Id": "a b; c"}).headers["x-request-id"] != "a b; c"


def test_requests_are_counted_by_route_not_by_path(client: TestClient) -> None:
    client.get("/api/v1/datasets/nyc.planes")
    client.get("/nowhere")
    text = client.get("/metrics").text
    assert 'headrace_gateway_requests_total{method="GET",route="/api/v1/datasets/{name}",status="404"}' in text
    assert "nyc.planes" not in text
    assert "nowhere" not in text


def test_the_description_in_the_docs_is_up_to_date_and_the_check_notices_when_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["openapi", "--check"])
    assert openapi.main() == 0
    stale = tmp_path / "openapi.json"
    stale.write_text("{}")
    monkeypatch.setattr("sys.argv", ["openapi", "--check", "--target", str(stale)])
    assert openapi.main() == 1
    assert stale.read_text() == "{}"


@pytest.mark.usefixtures("airports")
def test_a_source_that_keeps_nothing_is_not_released_and_what_others_keep_is_listed(
    client: TestClient, lonely: Gateway
) -> None:
    refused = problem(client.post(f"{AIRPORTS_PATH}/source/release", json={"because": "x"}), HTTPStatus.CONFLICT)
    assert "headrace source pause nyc.airports" in refused["detail"]
    unknown = "/api/v1/datasets/a.b/source/release"
    problem(client.post(unknown, json={"because": "x"}), HTTPStatus.NOT_FOUND)
    kept = HoldingEntry("shop.orders.cdc1", "shop.orders", "leaving", AT, "the dataset was removed", "the slot")
    with lonely.engine.begin() as connection:
        fold_holdings(connection, [(kept.name, kept)])
    (listed,) = client.get("/api/v1/source-holdings").json()["items"]
    assert (listed["state"], listed["message"]) == ("leaving", "the slot")
    assert client.get("/api/v1/source-holdings", params={"dataset": "a.b"}).json() == {"items": []}
    with lonely.engine.begin() as connection:
        fold_holdings(connection, [(kept.name, None)])
    assert client.get("/api/v1/source-holdings").json() == {"items": []}

"""What is done over the API is audited before it is done, and what cannot be audited is not done."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import fields
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import anyio
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError, OperationalError

from headrace.access.book import Principal
from headrace.access.policy import Grant, Scope
from headrace.audit import FIELDS, Entry, entry_of, verified
from headrace.errors import Transient
from services.gateway.adapters.audit_log import AuditLog
from services.gateway.adapters.audit_store import AuditStore
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.adapters.http import recording
from services.gateway.adapters.http.app import create_app
from services.gateway.adapters.http.models.words import Body
from services.gateway.adapters.http.recording import audited_paths, note, watch
from services.gateway.core.audit_acts import Place, Wanted, cursor_of, place_of
from services.gateway.core.auditing import bounded, formula_safe, kept_parameters, outcome_of
from services.gateway.core.export_jobs import Job
from services.gateway.gateway import Gateway
from tests.unit.gateway.accesses import AT
from tests.unit.gateway.test_datasets import AIRPORTS, live

READS = {
    "/api/v1/audit",
    "/api/v1/audit/export",
    "/api/v1/audit/verify",
    "/api/v1/audit/{act_id}",
    "/api/v1/catalog/{name}/sample",
    "/api/v1/datasets/{name}/export",
    "/api/v1/datasets/{name}/generations/{generation}/diff",
    "/api/v1/datasets/{name}/quarantine",
    "/api/v1/datasets/{name}/quarantine/clusters",
    "/api/v1/datasets/{name}/quarantine/export",
    "/api/v1/datasets/{name}/quarantine/{row_id}",
    "/api/v1/datasets/{name}/quarantine/{row_id}/test",
    "/api/v1/datasets/{name}/rows/{row_id}/passport",
    "/api/v1/datasets/{name}/rows/{row_id}/test",
    "/api/v1/datasets/{name}/tail",
    "/api/v1/exports/{id}/file",
    "/api/v1/sign-in/oidc/callback",
}
FAR_US = 4_000_000_000_000_000
TOKENS = "/api/v1/tokens"


def listed(client: TestClient, **wanted: Any) -> list[dict[str, Any]]:
    response = client.get("/api/v1/audit", params={name: value for name, value in wanted.items() if value is not None})
    assert response.status_code == HTTPStatus.OK, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found


@pytest.fixture(autouse=True)
def _somebody(lonely: Gateway) -> None:
    """An analyst, whose tokens are made."""
    lonely.access.add_principal("a test", AT, Principal("u-grafana", "user", "grafana"))
    lonely.access.put("a test", AT, Grant("g-grafana", "user:u-grafana", "analyst", Scope.parse("*")))


def made(client: TestClient, name: str = "a test") -> str:
    response = client.post(TOKENS, json={"name": name, "owner": "grafana"})
    assert response.status_code == HTTPStatus.CREATED
    bearer: str = response.json()["token"]
    return bearer


def said(number: int = 0) -> Entry:
    texts = {field.name: "" for field in fields(Entry)}
    return entry_of(
        {**texts, "seq": 0, "at_us": 0, "status": 0, "id": f"{number:032x}", "phase": "whole", "details": "{}"}
    )


# Which routes


def test_every_route_that_may_change_something_is_audited_and_every_read_of_rows() -> None:
    app = create_app()
    every = [route for route in iter_route_contexts(app.routes) if isinstance(route.original_route, APIRoute)]
    unsafe = {
        (method, str(route.path)) for route in every for method in route.methods or () if method not in ("GET", "HEAD")
    }
    assert len(unsafe) > 30
    assert audited_paths(app) == unsafe | {("GET", path) for path in READS}


@pytest.mark.parametrize("kind", ["plain", "mounted", "generator"])
def test_a_route_that_cannot_be_audited_does_not_start(kind: str) -> None:
    app = FastAPI()

    async def plain(_: Request) -> Response:
        return Response()

    def generator() -> Iterator[str]:
        yield ""

    if kind == "plain":
        app.add_route("/x", plain, methods=["POST"])
    elif kind == "mounted":
        app.mount("/x", FastAPI())
    else:
        app.post("/x", response_class=StreamingResponse)(generator)
    with pytest.raises(TypeError, match="would not be audited"):
        watch(app)


def test_a_handler_that_was_not_wrapped_is_noticed(lonely: Gateway) -> None:
    app = create_app()
    late = APIRouter()
    late.post("/late")(lambda: None)
    app.include_router(late)
    app.state.gateway = lonely
    client = TestClient(app, raise_server_exceptions=False)
    assert client.post("/late").status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    watch(app)
    assert client.post("/late").status_code == HTTPStatus.OK


def test_no_body_says_that_the_audit_may_keep_a_secret_or_a_whole_file() -> None:
    def every(kind: type[Body]) -> Iterator[type[Body]]:
        for each in kind.__subclasses__():
            yield each
            yield from every(each)

    bodies = set(every(Body))
    assert len(bodies) > 10
    for body in bodies:
        assert body.recorded <= set(body.model_fields), body
        assert not body.recorded & {"value", "password", "secret", "token", "document"}, body
        assert not [name for name in body.recorded if body.model_fields[name].annotation is SecretStr], body


# What is written


def test_who_what_when_from_where_and_how_it_ended(client: TestClient) -> None:
    bearer = made(client)
    theirs = {"Authorization": f"Bearer {bearer}", "User-Agent": "a notebook", "X-Request-Id": "mine-1"}
    answer = client.post("/api/v1/query", json={"sql": "select 1"}, headers=theirs)
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    query, token = listed(client)
    identity = bearer.split("_")[1]
    assert query | {"id": "", "at": "", "ended_at": ""} == {
        "id": "",
        "at": "",
        "ended_at": "",
        "actor": "grafana",
        "actor_id": "u-grafana",
        "credential": f"token:{identity}",
        "action": "POST /api/v1/query",
        "datasets": [],
        "address": "testclient",
        "user_agent": "a notebook",
        "request_id": "mine-1",
        "status": 503,
        "outcome": "failed",
        "details": {
            "body": {"sql": "select 1"},
            "error": {
                "type": "urn:headrace:problem:unavailable",
                "title": "A part Headrace needs is not reachable",
            },
        },
    }
    assert query["ended_at"] >= query["at"]
    assert (token["actor"], token["outcome"], token["status"]) == ("admin", "done", 201)
    assert token["details"]["noted"]["after"]["id"] == identity
    assert bearer not in json.dumps([query, token])


def test_what_was_refused_is_one_entry_and_a_failed_sign_in_another(client: TestClient) -> None:
    theirs = {"Authorization": f"Bearer {made(client)}"}
    assert client.post("/api/v1/users", json={"name": "x"}, headers=theirs).status_code == HTTPStatus.FORBIDDEN
    assert client.post(TOKENS, json={"name": 1}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    forged = {"Authorization": "Bearer hr_9f86d081884c7d65_forged"}
    assert client.get("/api/v1/datasets", headers=forged).status_code == HTTPStatus.UNAUTHORIZED
    client.headers.pop("authorization")
    assert client.get("/api/v1/datasets").status_code == HTTPStatus.UNAUTHORIZED  # nobody tried to be anybody
    assert client.post(TOKENS, json={"name": "x"}).status_code == HTTPStatus.UNAUTHORIZED
    client.headers["authorization"] = "Bearer an-admin-token-of-a-test"
    found = [
        (act["action"], act["actor"], act["credential"], act["status"]) for act in listed(client, outcome="refused")
    ]
    assert [each[:2] + each[3:] for each in found] == [
        ("POST /api/v1/tokens", "", 401),
        ("sign-in", "", 401),
        ("POST /api/v1/tokens", "admin", 422),
        ("POST /api/v1/users", "grafana", 403),
    ]
    assert found[1][2] == "token:9f86d081884c7d65"


def test_a_secret_in_a_body_or_a_parameter_is_not_in_the_audit(client: TestClient, engine: Engine) -> None:
    client.put("/api/v1/secrets/shop.password", json={"value": "hunter2"})
    client.post("/api/v1/plan", json={"document": "password: hunter2"})
    client.delete("/api/v1/secrets/shop.password?token=hunter2&other=hunter2&force=true")
    with engine.connect() as connection:
        rows = connection.execute(text("select * from audit")).all()
    assert "hunter2" not in repr(rows)
    removal = listed(client, action="DELETE")[0]
    assert removal["details"]["path"] == {"name": "shop.password"}
    assert removal["details"]["query"] == {"token": "(redacted)", "other": "(redacted)", "force": "true"}


def test_the_dataset_in_the_path_is_the_one_it_is_about(client: TestClient, lonely: Gateway) -> None:
    with lonely.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS).items())
    client.post("/api/v1/datasets/nyc.airports/pin", json={"because": "the audit"})
    client.post("/api/v1/datasets/nyc_airports.x/pin", json={"because": "the audit"})
    assert client.get("/api/v1/datasets/nyc.airports/quarantine").status_code == HTTPStatus.SERVICE_UNAVAILABLE
    read, pin = listed(client, dataset="nyc.airports")
    assert read["action"] == "GET /api/v1/datasets/{name}/quarantine"
    assert pin["details"]["body"] == {"because": "the audit"}
    assert pin["details"]["noted"]["before"] is None
    assert pin["details"]["noted"]["after"]["act"] == "pin"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/catalog/nyc.airports/sample", None),
        ("PUT", "/api/v1/catalog/nyc.airports/favourite", None),
        ("POST", "/api/v1/exports", {"dataset": "nyc.airports", "format": "csv"}),
        ("POST", "/api/v1/plan", {"document": AIRPORTS}),
    ],
)
def test_what_is_about_a_dataset_is_found_by_it(
    client: TestClient, lonely: Gateway, method: str, path: str, body: dict[str, str] | None
) -> None:
    with lonely.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS).items())
    client.request(method, path, json=body)
    (act,) = listed(client, dataset="nyc.airports")
    assert act["datasets"] == ["nyc.airports"]


def test_exports_their_files_and_samples_are_about_their_dataset(client: TestClient, lonely: Gateway) -> None:
    with lonely.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS).items())
    lonely.exports.add(
        Job("5f0c6d7e8a9b4c3d", "admin", "admin", None, "nyc.airports", "csv", (), "", "download", datetime.now(UTC))
    )
    client.get("/api/v1/catalog/nyc.airports/sample")
    client.post("/api/v1/exports", json={"dataset": "nyc.airports"})
    client.post("/api/v1/export-schedules", json={"dataset": "nyc.airports", "cron": "0 6 * * *"})
    client.get("/api/v1/exports/5f0c6d7e8a9b4c3d/file")
    client.delete("/api/v1/exports/5f0c6d7e8a9b4c3d")
    assert [act["action"] for act in listed(client, dataset="nyc.airports")] == [
        "DELETE /api/v1/exports/{id}",
        "GET /api/v1/exports/{id}/file",
        "POST /api/v1/export-schedules",
        "POST /api/v1/exports",
        "GET /api/v1/catalog/{name}/sample",
    ]
    assert listed(client, dataset="nyc.airport") == []  # the control: another dataset


def test_who_looks_with_the_eyes_of_another_is_the_one_who_acts(client: TestClient) -> None:
    client.post("/api/v1/query", json={"sql": "select 1"}, headers={"X-View-As": "grafana"})
    (act,) = listed(client, actor="admin", action="/query")
    assert (act["actor_id"], act["details"]["seen_as"]) == ("admin", "grafana")


def test_a_query_is_about_the_datasets_it_names(client: TestClient, lonely: Gateway) -> None:
    with lonely.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS).items())
    client.post("/api/v1/query", json={"sql": "select a.faa from nyc.airports a, (select 1) b"})
    (act,) = listed(client, dataset="nyc.airports")
    assert (act["datasets"], act["outcome"]) == (["nyc.airports"], "failed")


def test_before_and_after_of_what_administrators_change(client: TestClient) -> None:
    client.patch("/api/v1/users/u-grafana", json={"groups": ["finance"]})
    told = client.post(
        "/api/v1/grants", json={"to": "group:finance", "role": "viewer", "scope": "dataset:nyc.airports"}
    )
    assert told.status_code == HTTPStatus.CREATED, told.text
    client.delete(f"/api/v1/grants/{told.json()['id']}")
    revoked, granted, changed = listed(client, actor="admin", action="api/v1", limit=3)
    assert changed["details"]["noted"]["before"]["groups"] == []
    assert changed["details"]["noted"]["after"]["groups"] == ["finance"]
    assert granted["details"]["body"]["to"] == "group:finance"
    assert revoked["details"]["noted"]["before"] == granted["details"]["noted"]["after"]


def test_asking_the_audit_is_audited(client: TestClient) -> None:
    assert listed(client) == []
    client.get("/api/v1/audit/export", params={"text": "x"})
    exported, asked = listed(client, action="/audit")[:2]
    assert exported["details"] == {"query": {"text": "x"}, "noted": {"entries": 1}}
    assert asked["action"] == "GET /api/v1/audit"


# Not done when it cannot be audited


def refuse_inserts(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create trigger full before insert on audit begin select raise(abort, 'full'); end"))


def test_what_cannot_be_audited_is_not_done(client: TestClient, lonely: Gateway) -> None:
    refuse_inserts(lonely.engine)
    answer = client.post(TOKENS, json={"name": "x", "owner": "grafana"})
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "what cannot be audited is not done" in answer.json()["detail"]
    assert lonely.access.book.tokens == {}
    assert client.get("/api/v1/datasets").status_code == HTTPStatus.OK  # this is not audited
    with lonely.engine.begin() as connection:
        connection.execute(text("drop trigger full"))
    made(client)
    assert len(lonely.access.book.tokens) == 1


def test_without_the_beginning_it_would_be_done_unseen(
    client: TestClient, lonely: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the one before has to thank the beginning for."""
    monkeypatch.setattr(recording.Act, "begin", lambda *_: None)
    monkeypatch.setattr(recording.Act, "require_begun", lambda _: None)
    refuse_inserts(lonely.engine)
    made(client)
    assert len(lonely.access.book.tokens) == 1


def test_an_act_whose_end_could_not_be_written_has_an_unknown_outcome(
    client: TestClient, lonely: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording.Act, "end", lambda *_, **__: None)  # as when the gateway dies in between
    made(client)
    monkeypatch.undo()
    (act,) = listed(client, outcome="unknown")
    assert (act["status"], act["ended_at"], act["action"]) == (None, None, "POST /api/v1/tokens")
    assert listed(client, outcome="done", action="/tokens") == []


def test_a_handler_that_fails_has_failed(client: TestClient, lonely: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(lonely.access), "new_token", lambda *_: 1 / 0)
    assert client.post(TOKENS, json={"name": "x", "owner": "grafana"}).status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    (act,) = listed(client)
    assert (act["outcome"], act["status"], act["details"]["error"]) == ("failed", 500, {"type": "ZeroDivisionError"})


@pytest.mark.parametrize("part", ["fails", "leaves"])
def test_an_answer_that_breaks_off_is_not_done(lonely: Gateway, part: str) -> None:
    app = create_app()
    broken = APIRouter()

    @broken.post("/broken")
    async def answer() -> StreamingResponse:
        async def parts() -> Any:
            note(sent=1)
            yield "one"
            if part == "fails":
                raise ValueError("gone")
            await anyio.sleep_forever()

        return StreamingResponse(parts())

    app.include_router(broken)
    watch(app)
    app.state.gateway = lonely

    async def ask() -> None:
        gone, requests = anyio.Event(), [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if requests:
                return requests.pop()
            await (gone.wait() if part == "leaves" else anyio.sleep_forever())
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body"):
                gone.set()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": "POST",
            "path": "/broken",
            "raw_path": b"/broken",
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "headers": [],
            "client": ("192.0.2.7", 1),
            "server": ("gateway", 80),
        }
        with anyio.fail_after(20), pytest.raises(ValueError, match="gone") if part == "fails" else nullcontext():
            await app(scope, receive, send)

    anyio.run(ask)
    (act,) = AuditStore(lonely.engine).page(Wanted(), None, 10)
    assert (act.outcome, act.details["noted"]) == ("broken-off", {"sent": 1})


# The chain in the database


def test_the_chain_goes_on_after_a_failure_whether_the_entry_stands_or_not(engine: Engine) -> None:
    log = AuditLog(engine, "0")
    log.append(said(1))
    refuse_inserts(engine)
    with pytest.raises(Transient):
        log.append(said(2))
    with engine.begin() as connection:
        connection.execute(text("drop trigger full"))
    log.append(said(3))
    found = list(AuditStore(engine).entries())
    assert [(each.seq, each.id[-1]) for each in found] == [(1, "1"), (2, "3")]
    (checked,) = verified(found, {log.writer: log.head}, FAR_US)
    assert checked.finding is None


def test_every_start_of_a_gateway_has_a_chain_of_its_own_that_ends(engine: Engine) -> None:
    first, second = AuditLog(engine, "0"), AuditLog(engine, "0")
    for log in (first, second, first):
        log.append(said())
    first.close()
    with pytest.raises(Transient, match="stops"):
        first.append(said())
    found = list(verified(AuditStore(engine).entries(), {log.writer: log.head for log in (first, second)}, FAR_US))
    assert sorted((each.entries, each.finding, each.unproven) for each in found) == [(1, None, 0), (2, None, 0)]


def test_the_database_refuses_changes_and_what_gets_past_that_is_found(engine: Engine) -> None:
    log, store = AuditLog(engine, "0"), AuditStore(engine)
    for number in range(3):
        log.append(said(number))
    for statement in ("update audit set actor = 'bea'", "delete from audit where seq = 3"):
        with engine.connect() as connection, pytest.raises((DatabaseError, OperationalError), match="only written"):
            connection.execute(text(statement))
    heads = {log.writer: log.head}
    assert [each.finding for each in verified(store.entries(), heads, FAR_US)] == [None]
    with engine.begin() as connection:
        connection.execute(text("drop trigger audit_no_delete"))
        connection.execute(text("delete from audit where seq = 3"))
    (checked,) = verified(store.entries(), heads, FAR_US)
    assert checked.finding is not None
    assert (checked.finding.kind, checked.finding.seq) == ("truncated", 3)


# Reading it


def test_pages_go_back_without_a_gap_while_more_comes(client: TestClient) -> None:
    for number in range(7):
        made(client, f"t{number}")
    found, cursor = [], None
    for page in range(4):
        params: dict[str, Any] = {"limit": 2, "action": "/tokens"} | ({"cursor": cursor} if cursor else {})
        body = client.get("/api/v1/audit", params=params).json()
        found += [each["details"]["body"]["name"] for each in body["items"]]
        cursor = body["next_cursor"]
        assert (cursor is None) == (page == 3)
        made(client, f"new{page}")
    assert found == [f"t{number}" for number in reversed(range(7))]
    refused = client.get("/api/v1/audit", params={"cursor": "nonsense"})
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_filters_narrow_it_down(client: TestClient) -> None:
    theirs = {"Authorization": f"Bearer {made(client)}"}
    client.post("/api/v1/query", json={"sql": "select 100_000%"}, headers=theirs)
    made(client, "late")
    names = [each["details"]["body"].get("name") for each in listed(client, actor="admin", action="/tokens")]
    assert names == ["late", "a test"]
    assert [each["actor"] for each in listed(client, text="SELECT 100_000%")] == ["grafana"]
    assert listed(client, text="select 1000000") == []  # % and _ mean themselves
    (query,) = listed(client, action="/query")
    assert [each["action"] for each in listed(client, since=query["at"], until=query["ended_at"])] == [
        "POST /api/v1/query"
    ]
    shown = client.get(f"/api/v1/audit/{query['id']}").json()
    assert [each["phase"] for each in shown["entries"]] == ["begun", "ended"]
    assert client.get(f"/api/v1/audit/{'0' * 32}").status_code == HTTPStatus.NOT_FOUND


def test_an_export_can_be_checked_and_no_cell_of_it_is_a_formula(client: TestClient) -> None:
    client.headers["user-agent"] = "=cmd|' /C calc'!A0"
    made(client)
    lines = client.get("/api/v1/audit/export").text.splitlines()
    (checked,) = verified([entry_of(json.loads(line)) for line in lines], None, FAR_US)
    assert (checked.finding, checked.entries) == (None, len(lines))
    answer = client.get("/api/v1/audit/export", params={"format": "csv"})
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == ["at", *FIELDS]
    assert {row[head.index("user_agent")] for row in rows} == {"'=cmd|' /C calc'!A0"}


def test_only_the_administrator_sees_the_audit(client: TestClient) -> None:
    theirs = {"Authorization": f"Bearer {made(client)}"}
    for path in ("", "/verify", "/export", f"/{'0' * 32}"):
        assert client.get(f"/api/v1/audit{path}", headers=theirs).status_code == HTTPStatus.FORBIDDEN


def test_it_is_verified_with_kafka_only(client: TestClient) -> None:
    answer = client.get("/api/v1/audit/verify")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "Kafka" in answer.json()["detail"]


# What is decided


def test_names_of_parameters_tell_what_is_not_kept() -> None:
    given = {"token": "a", "token_id": "b", "api-key": "c", "state": "d", "limit": "e", "unknown": "f"}
    kept = kept_parameters(given, set(given) - {"unknown"})
    assert {name for name, value in kept.items() if value == "(redacted)"} == {"token", "api-key", "state", "unknown"}


def test_what_is_too_long_is_cut_and_says_so() -> None:
    cut = bounded({"a": "x" * 30_000, "b": list(range(200)), "c": 1})
    assert cut["a"].endswith("… (10000 more characters)")
    assert (len(cut["b"]), cut["b"][-1], cut["c"]) == (101, "(100 more)", 1)


@pytest.mark.parametrize(
    ("status", "whole", "outcome"),
    [(200, True, "done"), (200, False, "broken-off"), (404, True, "refused"), (500, False, "failed")],
)
def test_the_status_tells_the_outcome(status: int, whole: bool, outcome: str) -> None:
    assert outcome_of(status, whole=whole) == outcome


@pytest.mark.parametrize("formula", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_formula_is_text(formula: str) -> None:
    assert formula_safe(formula) == f"'{formula}"
    assert formula_safe(f"x{formula}") == f"x{formula}"


def test_a_cursor_comes_back_as_the_place_it_was_made_of() -> None:
    place = Place(1_795_824_033_415_135, "gate/way.1/x", 7)
    assert place_of(cursor_of(place)) == place
    assert [place_of(each) for each in ("", "é", "AAAA", cursor_of(place)[:-3])] == [None] * 4

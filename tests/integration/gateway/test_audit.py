"""Heads of the audit log are anchored in Kafka: what is done to its table in PostgreSQL afterwards is found."""

import uuid
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError

from headrace.audit import verified
from services.gateway.adapters.audit_store import AuditStore
from services.gateway.adapters.database import open_database
from services.gateway.bootstrap import build, serve
from services.gateway.settings import GatewaySettings
from tests.integration.gateway.conftest import ADMIN, MakeGateway
from tests.stack import Stack, eventually

FAR_US = 4_000_000_000_000_000


@pytest.fixture
def database(own_database_url: str) -> Iterator[Engine]:
    engine = open_database(own_database_url)
    yield engine
    engine.dispose()


def chains(client: TestClient, instance: str) -> list[dict[str, Any]]:
    """What is found of the chains of one instance, in the order of their names: other tests anchor theirs in the same topic."""
    answers: list[Any] = []

    def answered() -> bool:
        answers.append(client.get("/api/v1/audit/verify"))
        return bool(answers[-1].status_code == HTTPStatus.OK)

    eventually(answered, 30, "the gateway has anchored its own chain")
    return [each for each in answers[-1].json()["chains"] if each["writer"].startswith(f"{instance}.")]


def plan(client: TestClient) -> None:
    client.post("/api/v1/plan", json={"document": "nothing"})


def tampered(engine: Engine, statement: str, **values: object) -> None:
    """As somebody does it who owns the database."""
    with engine.begin() as connection:
        connection.execute(text("alter table audit disable trigger all"))
        connection.execute(text(statement), values)
        connection.execute(text("alter table audit enable trigger all"))


def test_what_is_changed_or_cut_off_in_the_database_is_found_by_what_was_anchored(
    make_gateway: MakeGateway, stack: Stack, own_database_url: str, database: Engine, tmp_path: Any
) -> None:
    first, second = f"first{uuid.uuid4().hex[:8]}", f"second{uuid.uuid4().hex[:8]}"
    settings = {
        "gateway_admin_token": ADMIN,
        "gateway_database_url": own_database_url,
        "data_dir": tmp_path,
        "bootstrap_servers": stack.bootstrap_servers,
        "registry_url": stack.registry_url,
        "instance": first,
    }
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with TestClient(serve(build(GatewaySettings.model_validate(settings))), headers=headers) as client:
        for _ in range(3):
            plan(client)
        eventually(lambda: (chains(client, first)[0]["anchored"] or 0) >= 6, 30, "the head is anchored while it runs")
    client = make_gateway(gateway_database_url=own_database_url, instance=second)
    (closed,) = chains(client, first)
    assert (closed["anchored"], closed["unproven"], closed["finding"]) == (closed["entries"], 0, None)

    for statement in ("update audit set actor = 'bea'", "delete from audit", "truncate audit"):
        with database.connect() as connection, pytest.raises(DatabaseError, match="only written to the end of"):
            connection.execute(text(statement))

    tampered(database, "update audit set actor = 'bea' where seq = 2 and writer = :writer", writer=closed["writer"])
    assert chains(client, first)[0]["finding"]["kind"] == "changed"
    tampered(database, "update audit set actor = 'admin' where seq = 2 and writer = :writer", writer=closed["writer"])
    assert chains(client, first)[0]["finding"] is None

    tampered(database, "delete from audit where seq > 4 and writer = :writer", writer=closed["writer"])
    finding = chains(client, first)[0]["finding"]
    assert (finding["kind"], finding["seq"]) == ("truncated", 5)
    alone = [each for each in verified(AuditStore(database).entries(), None, FAR_US) if each.writer == closed["writer"]]
    assert [each.finding for each in alone] == [None]  # the control: without the anchor nobody would know

    tampered(database, "delete from audit where writer = :writer", writer=closed["writer"])
    assert chains(client, first)[0]["finding"]["kind"] == "truncated"
    assert [each["finding"] for each in chains(client, second)] == [None]
    page = client.get("/api/v1/audit", params={"limit": 1, "action": "verify", "outcome": "done"}).json()
    assert page["items"][0]["details"]["noted"]["broken"]

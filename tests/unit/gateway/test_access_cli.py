"""The commands for accounts, grants and tokens, against the gateway itself."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.cli.session import Session
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.bootstrap import serve
from services.gateway.gateway import Gateway
from tests.unit.gateway.conftest import ADMIN
from tests.unit.gateway.test_datasets import AIRPORTS, live

Run = Callable[..., str]


@pytest.fixture
def run(lonely: Gateway) -> Run:
    """Run the program as the administrator, or with another token; its output. With `-o json` it is one document."""
    with lonely.engine.begin() as connection:
        fold_datasets(connection, live(AIRPORTS).items())
    served = TestClient(serve(lonely))

    def handed_on(request: httpx.Request) -> httpx.Response:
        told = served.request(
            request.method, request.url.raw_path.decode(), content=request.content, headers=dict(request.headers)
        )
        return httpx.Response(told.status_code, content=told.content)

    def invoke(*args: str, token: str = ADMIN, exit_code: int = 0) -> str:
        session = Session(transport=httpx.MockTransport(handed_on))
        words = ["--url", "http://gateway.test", "--token", token, *args]
        result = CliRunner().invoke(app, words, obj=session)
        assert result.exit_code == exit_code, result.output
        return result.stdout if exit_code == 0 else result.stderr

    return invoke


def read(run: Run, *args: str) -> Any:
    return json.loads(run(*args, "-o", "json"))


def test_an_account_is_made_granted_looked_at_and_removed(run: Run) -> None:
    assert "There is nobody yet" in run("access", "users")
    ada = read(run, "access", "add-user", "ada", "--group", "finance", "--email", "ada@example.com")
    assert "Nothing is granted there" in run("access", "grants")
    grant = read(run, "access", "grant", "group:finance", "analyst", "domain:nyc", "--rows", "alt > 0")
    assert "group:finance" in run("access", "grants", "--to", "ada") + run("access", "grants")
    shown = run("access", "who", "nyc.airports")
    assert "ada" in shown
    assert "alt > 0" in shown
    assert "engineer" in run("access", "roles")
    assert "no" in run("access", "change-user", ada["id"], "--inactive").split()
    run("access", "revoke", grant["id"])
    run("access", "rm-user", ada["id"])
    assert "There is nobody yet" in run("access", "users")


def test_a_token_is_shown_once_and_stands_for_its_owner(run: Run) -> None:
    assert "There are no tokens yet" in run("token", "ls")
    read(run, "access", "add-user", "grafana", "--service")
    made = read(run, "token", "new", "board", "--owner", "grafana", "--scope", "domain:nyc", "--expires", "2099-01-01")
    assert "grafana" in run("access", "me", token=made["token"])
    listed = run("token", "ls") + run("token", "ls", "-o", "json")
    assert "board" in listed
    assert made["token"] not in listed
    run("token", "rm", made["id"])
    assert "--token" in run("access", "me", token=made["token"], exit_code=1)

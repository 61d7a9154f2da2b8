"""The catalog's commands, against the real API in this process."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.cli.session import Session
from services.gateway.bootstrap import serve
from services.gateway.gateway import Gateway
from tests.unit.gateway.catalogs import fold
from tests.unit.gateway.conftest import ADMIN, lonely  # noqa: F401  # a fixture
from tests.unit.gateway.test_catalog_lineage import AIRPORTS, COSTS, FLIGHTS, PAY

Run = Callable[..., Result]


@pytest.fixture
def headrace(lonely: Gateway, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: F811
    """Run the program against a gateway with four datasets."""
    fold(lonely, AIRPORTS, FLIGHTS, PAY, COSTS)
    api = TestClient(serve(lonely))

    def passed_on(request: httpx.Request) -> httpx.Response:
        found = api.request(request.method, str(request.url), headers=dict(request.headers), content=request.content)
        return httpx.Response(found.status_code, headers=dict(found.headers), content=found.content)

    monkeypatch.setenv("HEADRACE_TOKEN", ADMIN)

    def invoke(*args: str) -> Result:
        session = Session(transport=httpx.MockTransport(passed_on))
        return CliRunner().invoke(app, ["--url", "http://testserver", "catalog", *args], obj=session)

    return invoke


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_search_finds_and_narrows(headrace: Run) -> None:
    assert [item["name"] for item in told(headrace("search", "airp", "-o", "json"))["items"]] == ["nyc.airports"]
    page = headrace("search", "--domain", "nyc", "-n", "2")
    assert page.exit_code == 0, page.output
    assert "nyc.airports" in page.stdout
    assert "2 of 3" in page.stdout
    assert "hr.pay" not in page.stdout
    assert "Nothing was found" in headrace("search", "qqqqqq").stdout


def test_show_versions_lineage_and_impact(headrace: Run) -> None:
    shown = headrace("show", "nyc.airports").stdout
    assert "owned by mobility" in shown
    assert "faa key" in shown
    assert "version 1" in headrace("versions", "nyc.airports").stdout
    lineage = headrace("lineage", "nyc.flights", "--columns")
    assert lineage.exit_code == 0, lineage.output
    assert "source: file" in lineage.stdout
    assert "dest_city" in lineage.stdout
    broken = headrace("impact", "nyc.airports", "city").stdout
    assert "nyc.costs" in broken
    assert "Talk to controlling, mobility, people" in broken
    assert "Nothing breaks" in headrace("impact", "nyc.costs", "people").stdout


def test_favourites_and_notes(headrace: Run) -> None:
    assert headrace("favourite", "nyc.flights").exit_code == 0
    assert [item["name"] for item in told(headrace("search", "--mine", "-o", "json"))["items"]] == ["nyc.flights"]
    assert headrace("favourite", "nyc.flights", "--remove").exit_code == 0
    assert told(headrace("search", "--mine", "-o", "json"))["items"] == []
    assert "There is no note" in headrace("note", "nyc.flights").stdout
    assert "no note on nyc.flights to undo" in headrace("note", "nyc.flights", "--undo").output
    assert headrace("note", "nyc.flights", "one [red]two[/]", "--column", "dest").exit_code == 0
    assert headrace("note", "nyc.flights", "three", "--column", "dest").exit_code == 0
    undone = headrace("note", "nyc.flights", "--undo", "--column", "dest").stdout
    assert [line.split("  ", 1)[1] for line in undone.splitlines()] == ["one [red]two[/]", "three", "one [red]two[/]"]

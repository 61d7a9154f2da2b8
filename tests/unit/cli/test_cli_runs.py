"""Full loads on the command line."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble

Program = Callable[..., Result]
NAME = "shop.products"


def run_of(number: int, state: str, **more: Any) -> dict[str, Any]:
    return {"run": number, "state": state, "current": False, "previous": False, "rows": 1200, "loaded": 1100} | more


@pytest.fixture(autouse=True)
def products(gateway: GatewayDouble) -> None:
    gateway.documents[NAME] = "{}"


def test_the_runs_are_listed_with_the_one_that_shows(run: Program, gateway: GatewayDouble) -> None:
    gateway.runs = [
        run_of(3, "refused", message="of 1200 rows [red]1100[/] are accounted for"),
        run_of(2, "shown", current=True),
        run_of(1, "shown", previous=True),
    ]
    shown = run("runs", "ls", NAME)
    assert shown.exit_code == 0
    third, second, first = [line for line in shown.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert "of 1200 rows [red]1100[/] are accounted for" in third
    assert ("shows" in second, "kept" in first) == (True, True)
    assert [each["run"] for each in json.loads(run("runs", "ls", NAME, "-o", "json").stdout)["items"]] == [3, 2, 1]


def test_a_dataset_without_runs_says_so(run: Program) -> None:
    assert "no full load" in run("runs", "ls", NAME).stdout


def test_a_run_is_asked_for(run: Program, gateway: GatewayDouble) -> None:
    assert "Run 1 begins" in run("runs", "start", NAME).stdout
    assert gateway.calls == [f"POST datasets/{NAME}/runs"]


def test_going_back_names_the_run_or_says_why_not(run: Program, gateway: GatewayDouble) -> None:
    refused = run("runs", "rollback", NAME)
    assert refused.exit_code == 1
    gateway.runs = [run_of(2, "shown", current=True), run_of(1, "shown", previous=True)]
    assert "Run 1 is to show again" in run("runs", "rollback", NAME).stdout


def event(kind: str, message: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "at": "2026-01-02T03:04:05Z", "service": "ingest", "message": message, "data": data}


READ = event(
    "run_read",
    "run 2 is read: 1200 rows",
    rows=1200,
    size_bytes=5_000_000,
    rows_per_s=600.0,
    waited_s=1.0,
    reading_s=2.0,
)
SHOWN = event("run_shown", "run 2 shows", loaded=1100, took_s=9.0)


def test_a_run_is_followed_until_it_has_ended(run: Program, gateway: GatewayDouble) -> None:
    gateway.runs = [run_of(2, "shown", current=True)]
    gateway.stories = [[event("run_begun", "run 2 [red]begins[/]"), READ], [SHOWN], []]
    shown = run("runs", "logs", NAME, "-f")
    assert shown.exit_code == 0, shown.output
    begins, read, shows = shown.stdout.splitlines()
    assert "run 2 [red]begins[/]" in begins
    assert "(5.0 MB, 600 rows/s)" in read
    assert "run 2 shows" in shows
    assert gateway.calls[-1].startswith(f"GET datasets/{NAME}/runs/2/log"), (
        "it stays with the run, whatever begins meanwhile"
    )
    gateway.stories = [[READ, SHOWN]]
    assert [each["type"] for each in json.loads(run("runs", "logs", NAME, "2", "-o", "json").stdout)["items"]] == [
        "run_read",
        "run_shown",
    ]


def test_a_run_is_shown_with_its_phases(run: Program, gateway: GatewayDouble) -> None:
    gateway.runs = [run_of(2, "refused", message="the source [red]fails[/]")]
    gateway.stories = [[READ, SHOWN]]
    shown = run("runs", "show", NAME).stdout
    assert "the source [red]fails[/]" in shown
    for name, took in (("waited", "1.0 s"), ("reading", "2.0 s"), ("loading", "6.0 s"), ("rate", "600 rows/s")):
        assert any(name in line and took in line for line in shown.splitlines()), shown
    assert "set aside by" not in shown
    gateway.run_causes = [{"stage": "transformer", "reason": "check_between", "rule": "cheap", "column": "price", "rows": 12,
                           "first": "1-4711"}]  # fmt: skip
    shown = run("runs", "show", NAME).stdout
    for part in ("set aside by", "transformer", "cheap", "12", f"quarantine show {NAME} 1-4711"):
        assert part in shown

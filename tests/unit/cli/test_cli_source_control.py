"""Pausing a source from the command line, and what its status says."""

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble

Program = Callable[..., Result]
NAME = "shop.orders"


@pytest.fixture(autouse=True)
def orders(gateway: GatewayDouble) -> None:
    gateway.documents[NAME] = "{}"


def test_a_source_is_paused_with_a_reason_and_resumed(run: Program, gateway: GatewayDouble) -> None:
    paused = run("source", "pause", NAME, "--because", "the database is moved", "-o", "json")
    assert json.loads(paused.stdout)["because"] == "the database is moved"
    assert f"headrace source resume {NAME}" in run("source", "pause", NAME, "--because", "x").stdout
    assert run("source", "resume", NAME).exit_code == 0
    assert run("source", "run", NAME).exit_code == 0
    assert gateway.calls[-2:] == [f"POST datasets/{NAME}/source/resume", f"POST datasets/{NAME}/source/run"]


def test_without_a_reason_nothing_is_paused(run: Program, gateway: GatewayDouble) -> None:
    assert run("source", "pause", NAME).exit_code == 1
    assert gateway.calls == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"state": "paused", "by": "ann", "because": "[red]moved[/]"}, "paused by ann since"),
        ({"state": "down", "by": "", "because": "connection refused"}, "source down since"),
    ],
)
def test_the_status_says_since_when_and_why(
    run: Program, gateway: GatewayDouble, source: dict[str, str], said: str
) -> None:
    gateway.source = {"since": "2026-01-02T03:04:05Z", **source}
    shown = run("status").stdout
    assert said in shown
    assert f"because: {source['because']}" in shown


def test_of_a_quiet_source_it_says_that_it_is_quiet(run: Program) -> None:
    shown = run("status").stdout
    assert "source quiet" in shown
    assert "because" not in shown


def test_a_backfill_is_asked_for_by_days_or_times(run: Program, gateway: GatewayDouble) -> None:
    assert run("source", "backfill", NAME, "--from", "2026-01-01", "--to", "2026-02-01").exit_code == 0
    times = ("--from", "2026-01-01T06:00+02:00", "--to", "2026-02-01", "--allow-duplicates")
    assert f"headrace runs ls {NAME}" in run("source", "backfill", NAME, *times).stdout
    assert gateway.backfills == [
        {"from": "2026-01-01T00:00:00+00:00", "to": "2026-02-01T00:00:00+00:00", "allow_duplicates": False},
        {"from": "2026-01-01T06:00:00+02:00", "to": "2026-02-01T00:00:00+00:00", "allow_duplicates": True},
    ]


def test_what_is_no_date_is_said(run: Program, gateway: GatewayDouble) -> None:
    wrong = run("source", "backfill", NAME, "--from", "January", "--to", "2026-02-01")
    assert wrong.exit_code == 1
    assert "no date or time" in wrong.stderr
    assert gateway.backfills == []


def test_a_backfill_is_listed_with_its_stretch_and_cancelled(run: Program, gateway: GatewayDouble) -> None:
    gateway.runs = [
        {"run": 1, "state": "begun", "since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z", "rows": 1200}
    ]
    shown = run("runs", "ls", NAME).stdout
    assert "2026-01-01 00:00 UTC" in shown
    assert "1,200" in shown
    assert run("runs", "cancel", NAME).exit_code == 0


def kept(state: str, because: str = "", message: str = "") -> list[dict[str, str]]:
    said = {"state": state, "at": "2026-01-02T03:04:05Z", "because": because, "message": message}
    return [{"name": f"{NAME}.cdc1", "dataset": NAME, **said}]


def test_a_released_source_is_waited_for(run: Program, gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.cli.source_control.time.sleep", lambda _: None)
    gateway.holdings = [kept("held"), kept("leaving", "released by ann"), []]
    assert "keeps nothing any more" in run("source", "release", NAME, "--because", "we moved").stdout
    assert gateway.asked == [("release", {"because": "we moved", "abandon": False})]


def test_what_is_in_the_way_is_said_with_what_to_do(run: Program, gateway: GatewayDouble) -> None:
    left = "the replication slot s (it is gone); by hand: SELECT pg_drop_replication_slot('s')"
    gateway.holdings = [kept("leaving", "the dataset was removed", left)] * 2
    shown = run("source", "release", NAME, "--because", "we moved").stdout
    assert "is being taken away: the dataset was removed" in shown
    assert "SELECT pg_drop_replication_slot('s')" in " ".join(shown.split())
    assert "leaving" in run("source", "holdings").stdout


def test_what_is_abandoned_is_waited_for_in_spite_of_what_is_in_the_way(
    run: Program, gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.cli.source_control.time.sleep", lambda _: None)
    gateway.holdings = [kept("abandoned", "the dataset was removed", "the slot"), []]
    assert "nothing any more" in run("source", "release", NAME, "--because", "it is gone", "--abandon").stdout
    assert gateway.asked[0][1]["abandon"] is True
    assert "keep nothing" in run("source", "holdings", NAME).stdout

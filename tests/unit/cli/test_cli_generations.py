"""Generations on the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble

Program = Callable[..., Result]
NAME = "shop.orders"
FILE = f"dataset: {NAME}\ndescription: d\nowner: {{team: t}}\nsource: {{type: http_push}}\n"


def made(number: int, state: str, **more: Any) -> dict[str, Any]:
    at = "2026-01-02T03:04:05Z"
    told = {"applied_at": at, "applied_by": "ann", "since": at, "by": "bea", "because": "delays [red]in[/] seconds"}
    counts = {"read": 1200, "loaded": 1100, "behind": 0}
    return {
        "dataset": NAME,
        "generation": number,
        "state": state,
        "shown": False,
        "version": number,
        **told,
        **counts,
    } | more


@pytest.fixture(autouse=True)
def orders(gateway: GatewayDouble) -> None:
    gateway.documents[NAME] = "{}"
    gateway.generations = [made(2, "candidate", caught_up=True), made(1, "live", shown=True)]


def test_generations_are_listed_with_the_one_readers_see_and_what_to_do_next(
    run: Program, gateway: GatewayDouble
) -> None:
    shown = run("generations", "ls", NAME)
    assert shown.exit_code == 0
    text = " ".join(shown.stdout.split())
    assert "delays [red]in[/]" in text
    assert "live, shown" in text
    assert f"promote {NAME} 2" in text
    assert [
        each["generation"] for each in json.loads(run("generations", "ls", NAME, "-o", "json").stdout)["items"]
    ] == [2, 1]
    gateway.generations = [
        made(2, "live"),
        made(1, "kept", shown=True),
        made(3, "candidate", problem="the topic is gone"),
    ]
    text = " ".join(run("generations", "ls", NAME).stdout.split())
    assert "Generation 2 is live; the loader has yet to show it." in text
    assert "generation 3 has stopped: the topic is gone" in text


def test_a_file_is_replayed_with_the_reason(run: Program, gateway: GatewayDouble, tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(FILE)
    done = run("replay", NAME, "-f", str(file), "--because", "a new rule")
    assert done.exit_code == 0, done.output
    assert "Generation 2 of shop.orders, version 2, begins." in " ".join(done.stdout.split())
    [(act, body)] = gateway.asked
    assert (act, body["because"], body.get("skip_tests")) == ("generations", "a new rule", None)
    other = run("replay", "shop.others", "-f", str(file), "--because", "a new rule")
    assert other.exit_code == 1
    assert "takes the one file of shop.others" in " ".join(other.stderr.split())


def test_a_range_is_replayed_in_the_time_zone_that_is_named(
    run: Program, gateway: GatewayDouble, tmp_path: Path
) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(FILE)
    asked = ["replay", NAME, "-f", str(file), "--because", "a week", "--from", "2026-01-24"]
    assert run(*asked, "--to", "2026-01-31T06:00+01:00").exit_code == 0
    [(_, body)] = gateway.asked
    assert (body["ingested_from"], body["ingested_to"]) == ("2026-01-24T00:00:00+00:00", "2026-01-31T06:00:00+01:00")
    wrong = run(*asked, "--to", "yesterday")
    assert wrong.exit_code == 1
    assert "--to yesterday: is no date or time" in " ".join(wrong.stderr.split())
    gateway.generations = [made(2, "candidate", caught_up=True, ingested_from="2026-01-24T00:00:00Z"), made(1, "live")]
    text = " ".join(run("generations", "ls", NAME).stdout.split())
    assert f"Generation 2 holds only a range: headrace diff {NAME} --generation 2" in text
    assert "promote" not in text


def test_who_promotes_goes_back_or_retires_says_why(run: Program, gateway: GatewayDouble) -> None:
    for words in (["promote", NAME, "2"], ["rollback", NAME], ["retire", NAME, "2"]):
        assert run(*words).exit_code == 1, "a reason is asked for"
    assert gateway.asked == []
    assert run("promote", NAME, "2", "--because", "compared", "--force").exit_code == 0
    assert run("rollback", NAME, "--because", "wrong").exit_code == 0
    assert run("retire", NAME, "2", "--because", "old").exit_code == 0
    assert gateway.asked == [
        ("generations 2 promote", {"because": "compared", "force": True}),
        ("generations rollback", {"because": "wrong", "leaving": 1}),
        ("generations 2 retire", {"because": "old"}),
    ]

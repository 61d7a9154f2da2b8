"""The passport of a row, against the gateway's double."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble

Run = Callable[..., Result]
AT = "2026-01-02T03:04:05Z"


def base64_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


def passport(**more: Any) -> dict[str, Any]:
    """A flight that was resubmitted and loaded, as the gateway tells of it."""
    aside = {"id": "0-17", "dataset": "nyc.flights", "stage": "transformer", "reason": "check_references",
             "detail": "dest 'SJU' is [red]not[/] known", "state": "resubmitted", "acted_by": "ada", "acted_at": AT,
             "because": "four airports were added", "edit": '{"set": {"dest": "upper(dest)"}}'}  # fmt: skip
    return {
        "dataset": "nyc.flights",
        "id": "0:4711",
        "fate": {"state": "loaded", "stage": "loader", "detail": "one row was made of it", "rule": None, "candidates": []},
        "raw": {
            "topic": "nyc.flights.raw", "partition": 0, "offset": 4711, "held": "topic", "timestamp": AT, "key": None,
            "headers": [], "value": base64_of(b"\0\0\0\0\x07SJU\x1b[31m"), "size_bytes": 13,
            "schema": {"id": 7, "fields": [{"name": "dest", "type": ["null", "string"]}]},
            "fields": {"dest": "SJU"}, "error": None,
        },
        "origin": {"type": "file", "changed_at": None, "op": "insert", "place": "flights.csv:12"},
        "lake": {"state": "waiting", "table": "nyc.flights__raw", "file": None, "detail": "not landed yet"},
        "version": {
            "version": 3, "generation": 1, "applied_at": AT, "applied_by": "grace", "tests_skipped": "",
            "sql": "SELECT * FROM input", "checks": [{"name": "known_dest", "check": "references"}],
        },
        "legs": [
            {"stage": "stager", "topic": "nyc.flights.raw", "offsets": [4711], "done": True, "committed_at": AT,
             "version": 3, "instance": "1"},
            {"stage": "loader", "topic": "nyc.flights.validated.v1", "offsets": [], "done": False, "committed_at": None,
             "version": None, "instance": None},
        ],
        "rows": [
            {"seq": seq, "matched": seq == 1, "shown": True, "flags": ["late"], "fields": {"dest": "SJU", "n": seq},
             "loaded": {"table": "nyc.flights__g1", "partition": 0, "offset": 99 + seq}}
            for seq in range(2)
        ],
        "quarantined": [],
        "edits": [aside],
        "run": None,
        **more,
    }  # fmt: skip


@pytest.fixture
def flights(gateway: GatewayDouble) -> GatewayDouble:
    gateway.documents["nyc.flights"] = "{}"
    gateway.passports = [passport()]
    return gateway


def test_a_passport_shows_the_way_back_and_forth(run: Run, flights: GatewayDouble) -> None:
    result = run("row", "nyc.flights", "--where", "flight = 1545", "-n", "1")
    assert result.exit_code == 0, result.output
    assert flights.asked == [("passport", {"where": "flight = 1545", "limit": 1, "contributors": 5})]
    for shown in (
        "nyc.flights 0:4711: loaded", "nyc.flights.raw partition 0 offset 4711", "13 bytes", "7: dest null|string",
        "flights.csv:12", "not landed yet", "3, generation 1, applied by grace", "known_dest (reject)",
        "SELECT * FROM input", "flags: late", "loaded from partition 0 offset 100, asked for",
        "Resubmitted from quarantine as 0-17", "[red]not[/] known", "by ada", "four airports were added", "upper(dest)",
        "More raw records than these 1",
    ):  # fmt: skip
        assert shown in result.stdout
    assert "\x1b[31m" not in result.stdout  # bytes do not steer the terminal
    assert r"\x1b[31m" in result.stdout


def test_a_filtered_or_quarantined_record_says_why(run: Run, flights: GatewayDouble) -> None:
    fate = {"state": "filtered", "stage": "transformer", "detail": "the SQL left it out", "candidates": []}
    flights.passports = [passport(fate={**fate, "rule": "dep_time IS NOT NULL"}, rows=[], edits=[])]
    shown = run("row", "nyc.flights", "--raw", "0:4711").stdout
    assert "dep_time IS NOT NULL" in shown
    flights.passports = [passport(fate={**fate, "rule": None, "candidates": ["a > 1", "b"]}, rows=[], edits=[])]
    assert "a > 1, b" in run("row", "nyc.flights", "--raw", "0:4711").stdout
    aside = {"id": "0-9", "dataset": "nyc.flights", "stage": "transformer", "reason": "check_references",
             "detail": "unknown", "rule": "known_dest", "column": "dest", "state": "resubmitted", "acted_by": "ada",
             "acted_at": AT, "because": "again", "became": ["0:5000"]}  # fmt: skip
    flights.passports = [passport(quarantined=[aside], rows=[], edits=[])]
    shown = run("row", "nyc.flights", "--id", "0:4711").stdout
    for word in ("0-9", "check_references", "known_dest dest", "resubmitted by ada", "row nyc.flights --raw 0:5000"):
        assert word in shown


def test_a_record_that_is_gone_says_so(run: Run, flights: GatewayDouble) -> None:
    gone = {**passport()["raw"], "value": None, "size_bytes": None}
    flights.passports = [passport(raw={**gone, "held": "lake"})]
    assert "its bytes are gone from the topic" in run("row", "nyc.flights", "--raw", "0:4711").stdout
    flights.passports = [passport(raw={**gone, "held": "nowhere", "fields": None, "schema": None})]
    assert "neither the topic nor the lake" in run("row", "nyc.flights", "--raw", "0:4711").stdout


def test_programs_get_every_byte(run: Run, flights: GatewayDouble) -> None:
    answer = json.loads(run("row", "nyc.flights", "--raw", "0:4711", "-o", "json").stdout)
    assert answer["items"][0]["raw"]["value"] == flights.passports[0]["raw"]["value"]
    assert answer["items"][0]["raw"]["schema"]["id"] == 7
    assert answer["truncated"] is False


def test_one_way_to_say_which_row_is_needed(run: Run, flights: GatewayDouble) -> None:
    for arguments in ((), ("--where", "a = 1", "--raw", "0:1")):
        result = run("row", "nyc.flights", *arguments)
        assert result.exit_code == 1
        assert "either --where CONDITION or --raw PARTITION:OFFSET" in result.stderr
    flights.passports = []
    assert "No row of nyc.flights meets the condition" in run("row", "nyc.flights", "--where", "a = 1").stdout
    assert run("row", "nyc.flights", "--raw", "0:1").exit_code == 1


def test_a_row_of_a_model_says_what_it_was_made_of(run: Run, flights: GatewayDouble) -> None:
    made_of = {"dataset": "nyc.planes", "sql": "SELECT _partition FROM nyc.planes", "rows": 1200, "later": 2, "error": None,
               "items": [{"id": "0:7", "seq": 0, "version": 2, "ingested_at": AT}], "notes": ["LIMIT is [left] out"]}  # fmt: skip
    failed: dict[str, Any] = {
        "dataset": "nyc.days",
        "sql": "SELECT 1",
        "rows": None,
        "error": "it took [too] long",
        "items": [],
        "notes": [],
    }
    flights.passports = [passport(contributors=[made_of, failed])]
    shown = run("row", "nyc.flights", "--raw", "0:4711").stdout
    for word in ("Made of 1,200 rows of nyc.planes; 2 more rows came later", "row nyc.planes --raw 0:7", "LIMIT is [left] out",
                 "SELECT _partition FROM nyc.planes", "rows of nyc.days, which cannot be told: it took [too] long"):  # fmt: skip
        assert word in shown
    run("row", "nyc.flights", "--where", "flight = 1545", "--contributors", "0")
    assert flights.asked == [("passport", {"where": "flight = 1545", "limit": 5, "contributors": 0})]

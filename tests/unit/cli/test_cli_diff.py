"""What differs between two generations, against the gateway's double."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble

Run = Callable[..., Result]
REPORT: dict[str, Any] = {
    "part": "report",
    "dataset": "nyc.flights",
    "before": {"generation": 1, "version": 3, "rows": 336776, "left_out": 12},
    "after": {"generation": 2, "version": 4, "rows": 336000, "left_out": 0},
    "matched_by": "identity",
    "key": ["_partition", "_offset", "_seq"],
    "upto": [{"partition": 0, "offset": 4711, "reached_before": 4800, "reached_after": 4711}],
    "added": 0,
    "removed": 776,
    "changed": 1234,
    "removed_quarantined_after": 700,
    "added_quarantined_before": 0,
    "columns": [
        {"column": "delay", "rows": 1234, "type_before": "Int64", "type_after": "Float64", "compared_by": "float"},
        {"column": "quiet", "rows": 0, "type_before": "Int64", "type_after": "Int64", "compared_by": "value"},
    ],
    "columns_added": ["gate"],
    "columns_removed": [],
    "sums": [{"column": "delay", "before": "12345678901234567890", "after": "1.5", "exact": False}],
    "quarantine": [
        {"stage": "transformer", "reason": "check_range", "rule": "short", "column": "delay", "before": 0, "after": 700}
    ],
    "filtered": [{"rule": "no_departure", "before": 8255, "after": 8331}],
    "samples": [
        {"kind": "changed", "key": {"flight": "1545"}, "raw_before": "0:7", "raw_after": "0:7",
         "columns": [{"column": "delay", "before": "[red]1[/]", "after": None}]},
        {"kind": "removed", "key": {"flight": "9"}, "raw_before": "0:9", "raw_after": None,
         "columns": [{"column": "note", "before": "x" * 200, "after": None}]},
    ],
}  # fmt: skip


@pytest.fixture
def flights(gateway: GatewayDouble) -> GatewayDouble:
    gateway.documents["nyc.flights"] = "{}"
    gateway.diff = [{"part": "progress", "rows": 0, "of": 10}, REPORT]
    return gateway


def test_what_differs_is_shown(run: Run, flights: GatewayDouble) -> None:
    result = run("diff", "nyc.flights", "--generation", "2", "--sample", "5")
    assert result.exit_code == 0, result.output
    assert flights.asked == [("2", {"sample": "5"})]
    for shown in (
        "generation 2 (version 4) against generation 1 (version 3)", "the raw record they were made of",
        "12 rows of generation 1 left out", "raw offset 0:4711", "336,776", "336,000", "776", "1,234", "Int64 → Float64",
        "700 removed rows: generation 2 quarantined", "columns added: gate", "12345678901234567890", "of floats", "short",
        "no_departure", "8,331", "delay: [red]1[/] → null", "removed flight=9 raw 0:9", "x" * 60 + "…",
        "row nyc.flights --raw 0:7",
    ):  # fmt: skip
        assert shown in result.stdout
    assert "quiet" not in result.stdout


def test_the_generation_after_the_live_one_is_looked_at_and_told_to_programs(run: Run, flights: GatewayDouble) -> None:
    result = run("diff", "nyc.flights", "--against", "1", "-o", "json")
    assert result.exit_code == 0, result.output
    assert flights.asked == [("2", {"sample": "20", "against": "1"})]
    told = json.loads(result.stdout)
    assert (told["changed"], told["samples"][0]["columns"][0]["after"]) == (1234, None)
    assert "part" not in told


def test_that_there_is_no_report_is_an_error_with_what_to_do(run: Run, flights: GatewayDouble) -> None:
    flights.diff = [{"part": "failure", "code": "diff-too-long", "message": "try when the warehouse has less to do"}]
    result = run("diff", "nyc.flights", "--generation", "2")
    assert result.exit_code == 1
    assert "diff-too-long" in result.output
    flights.diff = []
    assert "try again" in run("diff", "nyc.flights", "--generation", "2").output


def test_where_nothing_differs_it_says_so(run: Run, flights: GatewayDouble) -> None:
    same = {"generation": 1, "version": 1, "rows": 5, "left_out": 0}
    flights.diff = [
        {"part": "report", "dataset": "nyc.flights", "matched_by": "key", "key": ["id"], "before": same, "after": same}
    ]
    result = run("diff", "nyc.flights", "--generation", "2")
    assert "No row differs." in result.stdout
    assert "key (id)" in result.stdout
    assert "left out" not in result.stdout

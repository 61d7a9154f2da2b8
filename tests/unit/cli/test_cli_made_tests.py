"""A row as a test: printed as it may stand in a file, or written there, where it passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from headrace.contract import load
from headrace.contract.document import read
from headrace.transform.trial import run_tests
from tests.unit.cli.gateway_double import GatewayDouble

Run = Callable[..., Result]

TEST: dict[str, Any] = {
    "name": "raw record 0:7, quarantined by between_total",
    "given": [{"id": 1, "total": -1, "code": "007", "day": "2024-01-31", "note": "null"}],
    "expect": {"row_count": 0, "rejected": {"between_total": 1}},
}
FILE = """\
# Orders.
dataset: nyc.flights
description: Orders.
owner: {team: shop}
source: {type: http_push}   # pushed by the shop
checks:
  - {check: between, column: total, min: 0}  # never less
"""
TESTS = """
tests:
  # By hand.
  - name: one
    given: [{id: 1, total: 2}]
    expect: {row_count: 1}
"""


@pytest.fixture
def flights(gateway: GatewayDouble) -> GatewayDouble:
    gateway.documents["nyc.flights"] = ""
    gateway.made_test = {
        "dataset": "nyc.flights", "id": "0:7", "version": 3, "outcome": "quarantined by between_total", "recorded": "loaded",
        "masked": [{"column": "note", "why": "note is [red]confidential[/]"}], "notes": ["it was loaded"], "test": TEST,
    }  # fmt: skip
    return gateway


def file(folder: Path, text: str) -> Path:
    path = folder / "flights.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def passed(path: Path, text: str = "") -> list[bool]:
    return [verdict.passed for verdict in run_tests(load(text or path.read_text(encoding="utf-8")))]


def test_it_is_printed_as_it_may_stand_in_a_file(run: Run, flights: GatewayDouble, tmp_path: Path) -> None:
    shown = run("quarantine", "show", "nyc.flights", "0-7", "--as-test", "--clear", "city")
    assert read(shown.stdout, "it").value == {"tests": [TEST]}
    assert flights.asked[-1] == ("0-7", {"clear": ["city"]})
    assert "stand-ins for note: note is [red]confidential[/]" in shown.stderr
    assert "it was loaded" in shown.stderr
    assert passed(tmp_path, FILE + shown.stdout) == [True]
    assert passed(tmp_path, FILE.replace("min: 0", "min: -5") + shown.stdout) == [False]


@pytest.mark.parametrize(
    "before",
    [FILE, FILE + TESTS, FILE + TESTS.replace(", total: 2", ""), FILE + "tests: []\n", FILE.replace("\n", "\r\n")],
)
def test_it_is_written_into_the_file_which_else_stays(
    run: Run, flights: GatewayDouble, tmp_path: Path, before: str
) -> None:
    path = file(tmp_path, "")
    path.write_bytes(before.encode())
    assert run("quarantine", "show", "nyc.flights", "0-7", "--as-test", "--file", str(path)).exit_code == 0
    after = path.read_bytes().decode()
    assert after.startswith(before.removesuffix("tests: []\n").rstrip())
    assert all(passed(path))
    assert run("test", str(path)).exit_code == 0
    path.write_text(after.replace("min: 0", "min: -5"), encoding="utf-8")
    assert run("test", str(path)).exit_code == 1


def test_it_is_written_into_the_file_of_tests_where_there_is_one(
    run: Run, flights: GatewayDouble, tmp_path: Path
) -> None:
    path, beside = file(tmp_path, FILE), tmp_path / "flights.tests.yaml"
    beside.write_text(TESTS, encoding="utf-8")
    assert run("quarantine", "show", "nyc.flights", "0-7", "--as-test", "-f", str(path)).exit_code == 0
    assert path.read_text(encoding="utf-8") == FILE
    assert beside.read_text(encoding="utf-8").startswith(TESTS.strip("\n"))
    assert "2 tests passed" in run("test", str(beside)).stdout


@pytest.mark.parametrize("tests", ["", "tests: 1\n"])
def test_a_file_of_tests_that_cannot_be_read_is_told(
    run: Run, flights: GatewayDouble, tmp_path: Path, tests: str
) -> None:
    path = file(tmp_path, FILE)
    (tmp_path / "flights.tests.yaml").write_text(tests, encoding="utf-8")
    refused = run("quarantine", "show", "nyc.flights", "0-7", "--as-test", "-f", str(path))
    assert (refused.exit_code, "flights.tests.yaml" in refused.stderr) == (1, True)


def test_what_would_not_pass_there_is_not_written(run: Run, flights: GatewayDouble, tmp_path: Path) -> None:
    path = file(tmp_path, FILE.replace("min: 0", "min: -5"))
    before = path.read_text(encoding="utf-8")
    refused = run("quarantine", "show", "nyc.flights", "0-7", "--as-test", "-f", str(path))
    assert (refused.exit_code, path.read_text(encoding="utf-8")) == (1, before)
    assert "ends otherwise than by the version that is live" in refused.stderr
    path = file(tmp_path, FILE)
    run("quarantine", "show", "nyc.flights", "0-7", "--as-test", "-f", str(path))
    twice = run("quarantine", "show", "nyc.flights", "0-7", "--as-test", "-f", str(path))
    assert "already. Nothing was written" in twice.stderr
    other = file(tmp_path, FILE.replace("nyc.flights", "nyc.trains"))
    assert (
        "declares nyc.trains" in run("quarantine", "show", "nyc.flights", "0-7", "--as-test", "-f", str(other)).stderr
    )


def test_rows_of_the_table_become_tests(run: Run, flights: GatewayDouble) -> None:
    from tests.unit.cli.test_cli_rows import passport

    flights.passports = [passport(id="0:7")]
    shown = run("row", "nyc.flights", "--where", "id = 1", "--as-test")
    assert read(shown.stdout, "it").value == {"tests": [TEST]}
    assert "add --as-test" in run("row", "nyc.flights", "--raw", "0:7", "--clear", "note").stderr

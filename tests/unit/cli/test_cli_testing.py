"""`headrace test` runs the tests of dataset files and shows what differs; `apply` does so first."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import Result

from headrace.contract import load
from tests.unit.cli.gateway_double import GatewayDouble

Run = Callable[..., Result]

ORDERS = """\
dataset: shop.orders
description: Orders.
owner: {team: data}
source: {type: file, path: data/orders.csv}
transform: {sql: "SELECT id, price * 2 AS total FROM input"}
"""
TESTS = """\
tests:
  - name: doubled
    given: [{id: 1, price: 2}]
    expect: {rows: [{id: 1, total: 4}]}
"""
WRONG = TESTS.replace("total: 4", "total: 5")
REASON = ["--skip-tests", "--because", "a test is out of date"]


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """A dataset file with a test that passes."""
    file = tmp_path / "orders.yaml"
    file.write_text(ORDERS + TESTS)
    return file


def test_tests_that_pass_are_listed_without_a_gateway(run: Run, gateway: GatewayDouble, orders: Path) -> None:
    result = run("test", str(orders))
    assert result.exit_code == 0, result.stderr
    assert "shop.orders: doubled" in result.stdout
    assert "1 test passed." in result.stdout
    assert gateway.calls == []


def test_a_test_that_fails_shows_the_cell(run: Run, orders: Path) -> None:
    orders.write_text(ORDERS + WRONG)
    result = run("test", str(orders))
    assert result.exit_code == 1
    [line] = [line.split() for line in result.stdout.splitlines() if "total" in line]
    assert line == ["row", "1,", "total", "5", "4"]
    assert "1 of 1 test failed." in result.stdout
    [shown] = json.loads(run("test", str(orders), "-o", "json").stdout)["tests"]
    assert (shown["passed"], shown["differences"][0]["got"]) == (False, "4")


def test_tests_stand_beside_their_dataset_file(run: Run, gateway: GatewayDouble, orders: Path) -> None:
    orders.write_text(ORDERS)
    beside = orders.with_name("orders.tests.yaml")
    beside.write_text(TESTS)
    for path in (orders, beside, orders.parent):
        assert "1 test passed." in run("test", str(path)).stdout
    assert run("validate", str(orders.parent)).stdout.count("is valid") == 1
    assert run("apply", "-f", str(orders.parent)).exit_code == 0
    assert load(gateway.documents["shop.orders"]) == load(ORDERS + TESTS)
    assert "No changes" in run("plan", "-f", str(orders)).stdout


def test_without_a_path_it_is_this_folder_and_nothing_hidden_in_it(
    run: Run, orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (orders.parent / ".venv").mkdir()
    (orders.parent / ".venv" / "other.yaml").write_text("not: a dataset\n")
    monkeypatch.chdir(orders.parent)
    assert "1 test passed." in run("test").stdout


def test_what_is_wrong_with_a_file_of_tests_is_shown_in_it(run: Run, gateway: GatewayDouble, orders: Path) -> None:
    orders.write_text(ORDERS)
    beside = orders.with_name("orders.tests.yaml")
    beside.write_text(TESTS.replace("expect", "expct"))
    for command in (["validate", str(orders)], ["test", str(orders)], ["apply", "-f", str(orders)]):
        result = run(*command)
        assert result.exit_code == 1
        assert f"{beside}:4:5" in result.stdout + result.stderr
    assert gateway.calls == []


def test_tests_without_a_dataset_file_are_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "orders.tests.yaml").write_text(TESTS)
    result = run("test", str(tmp_path))
    assert result.exit_code == 1
    assert "orders.yaml, which is not beside it" in result.stderr


def test_files_without_tests_say_so(run: Run, orders: Path) -> None:
    orders.write_text(ORDERS)
    result = run("test", str(orders))
    assert result.exit_code == 0
    assert "tests:" in result.stdout


def test_the_report_for_build_servers_tells_failures_from_errors(run: Run, orders: Path, tmp_path: Path) -> None:
    others = [WRONG.replace("doubled", "wrong"), WRONG.replace("doubled", "unfit").replace("5", '"\\a"')]
    orders.write_text(ORDERS + TESTS + "".join(text.removeprefix("tests:\n") for text in others))
    report = tmp_path / "report.xml"
    assert run("test", str(orders), "--junit", str(report)).exit_code == 1
    root = ElementTree.parse(report).getroot()
    assert {name: root.attrib[name] for name in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    cases = {case.attrib["name"]: [part.tag for part in case] for case in root.iter("testcase")}
    assert cases == {"doubled": [], "wrong": ["failure"], "unfit": ["error"]}
    assert root.findtext(".//failure") == "row 1, total: expected 5, got 4"
    assert "is '\\x07', expected a value of type" in str(root.findtext(".//error"))


def test_apply_sends_nothing_when_a_test_fails(run: Run, gateway: GatewayDouble, orders: Path) -> None:
    orders.write_text(ORDERS + WRONG)
    result = run("apply", "-f", str(orders))
    assert result.exit_code == 1
    assert "1 test failed" in result.stderr
    assert "--skip-tests" in result.stderr
    assert gateway.calls == []
    orders.write_text(ORDERS + TESTS)
    assert run("apply", "-f", str(orders)).exit_code == 0
    assert gateway.skipped == {"shop.orders": None}


def test_plan_says_that_a_test_stands_against_it(run: Run, gateway: GatewayDouble, orders: Path) -> None:
    assert run("plan", "-f", str(orders)).exit_code == 2
    orders.write_text(ORDERS + WRONG)
    result = run("plan", "-f", str(orders))
    assert result.exit_code == 1
    assert "1 test failed (doubled)" in result.stdout
    assert gateway.documents == {}


def test_apply_without_tests_sends_the_reason(run: Run, gateway: GatewayDouble, orders: Path) -> None:
    orders.write_text(ORDERS + WRONG)
    assert run("apply", "-f", str(orders), *REASON).exit_code == 0
    assert gateway.skipped == {"shop.orders": "a test is out of date"}


@pytest.mark.parametrize("options", [["--skip-tests"], ["--skip-tests", "--because", "  "], ["--because", "so"]])
def test_skipping_and_its_reason_go_together(
    run: Run, gateway: GatewayDouble, orders: Path, options: list[str]
) -> None:
    result = run("apply", "-f", str(orders), *options)
    assert result.exit_code == 1
    assert "--because" in result.stderr
    assert gateway.calls == []

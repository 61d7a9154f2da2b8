"""The commands that deal with dataset files, against the gateway's double."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble

Run = Callable[..., Result]

AIRPORTS = """\
dataset: nyc.airports
description: Airports.
owner: {team: data}
source: {type: file, path: data/airports.csv}
"""
FLIGHTS = """\
dataset: nyc.flights
description: Flights.
owner: {team: data}
source: {type: file, path: data/flights.csv}
checks:
  - {check: references, column: dest, dataset: nyc.airports, to: faa}
"""


@pytest.fixture
def nyc(tmp_path: Path) -> Path:
    """Two files, in the wrong order by name."""
    (tmp_path / "1_flights.yaml").write_text(FLIGHTS)
    (tmp_path / "2_airports.yaml").write_text(AIRPORTS)
    return tmp_path


def test_validate_accepts_good_files_without_a_gateway(run: Run, gateway: GatewayDouble, nyc: Path) -> None:
    result = run("validate", str(nyc))
    assert result.exit_code == 0
    assert "nyc.flights is valid" in result.stdout
    assert gateway.calls == []


def test_validate_shows_every_mistake_with_its_line_and_a_caret(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(AIRPORTS.replace("description", "descripton") + "load: {mode: apend}\n")
    result = run("validate", str(file))
    assert result.exit_code == 1
    assert f"{file}:2:1" in result.stdout
    assert f"{file}:5:" in result.stdout
    lines = result.stdout.splitlines()
    source = next(i for i, line in enumerate(lines) if line.endswith("│ load: {mode: apend}"))
    caret = lines[source + 1].index("^")
    assert lines[source][caret:].startswith(("mode", "apend"))
    assert "did you mean description?" in result.stdout
    assert "did you mean append?" in result.stdout
    assert "2 problems" in result.stdout


def test_validate_reports_good_and_bad_files_as_json(run: Run, nyc: Path) -> None:
    (nyc / "3_bad.yaml").write_text("dataset: [\n")
    result = run("validate", str(nyc), "-o", "json")
    assert result.exit_code == 1
    verdicts = json.loads(result.stdout)["files"]
    assert [verdict["valid"] for verdict in verdicts] == [True, True, False]
    assert verdicts[2]["problems"][0]["line"] >= 1


def test_validate_refuses_two_files_for_one_dataset(run: Run, nyc: Path) -> None:
    (nyc / "again.yaml").write_text(AIRPORTS)
    result = run("validate", str(nyc))
    assert result.exit_code == 1
    assert "declares nyc.airports, and so does" in result.stderr


def test_validate_refuses_files_that_wait_for_each_other(run: Run, nyc: Path) -> None:
    (nyc / "2_airports.yaml").write_text(
        AIRPORTS + "checks:\n  - {check: references, column: faa, dataset: nyc.flights, to: dest}\n"
    )
    result = run("validate", str(nyc))
    assert result.exit_code == 1
    assert "nyc.flights -> nyc.airports" in result.stderr


@pytest.mark.parametrize("what", ["missing.yaml", "folder"])
def test_a_path_without_a_dataset_file_is_a_clear_error(run: Run, tmp_path: Path, what: str) -> None:
    (tmp_path / "folder").mkdir()
    result = run("validate", str(tmp_path / what))
    assert result.exit_code == 1
    assert what in result.stderr


def test_plan_exits_with_2_when_something_would_change_and_0_when_not(
    run: Run, gateway: GatewayDouble, nyc: Path
) -> None:
    result = run("plan", "-f", str(nyc))
    assert result.exit_code == 2
    assert "2 new" in result.stdout
    assert gateway.documents == {}, "a plan changes nothing"
    assert run("apply", "-f", str(nyc)).exit_code == 0
    result = run("plan", "-f", str(nyc))
    assert result.exit_code == 0
    assert "No changes" in result.stdout


def test_plan_shows_what_changes_line_by_line(run: Run, gateway: GatewayDouble, nyc: Path) -> None:
    run("apply", "-f", str(nyc))
    (nyc / "1_flights.yaml").write_text(FLIGHTS.replace("Flights.", "All flights."))
    result = run("plan", "-f", str(nyc))
    assert result.exit_code == 2
    for shown in ("version 1 → 2", "transform.sql", "breaking", "values differ", "- 1", "+ 2", "new generation"):
        assert shown in result.stdout
    assert "1 changed, 1 unchanged" in result.stdout
    for shown in (
        "concerns delay, extra added, others through * removed", "rules    delay > 0 removed",
        "read by  nyc.daily (late), nyc.copy (reads them)", "reached  nyc.daily, nyc.copy, nyc.weekly",
    ):  # fmt: skip
        assert shown in result.stdout


def test_plan_says_how_many_tests_passed(run: Run, nyc: Path) -> None:
    tested = (
        FLIGHTS
        + "tests: [{name: known, given: [{dest: ATL}], ref: {nyc.airports: [{faa: ATL}]}, expect: {row_count: 1}}]\n"
    )
    (nyc / "1_flights.yaml").write_text(tested)
    assert "1 test passed" in run("plan", "-f", str(nyc)).stdout
    plans = json.loads(run("plan", "-f", str(nyc), "-o", "json").stdout)["plans"]
    assert [plan["tests_passed"] for plan in plans] == [0, 1]


def test_a_back_test_says_which_rows_and_values_would_be_others(run: Run, gateway: GatewayDouble, nyc: Path) -> None:
    run("apply", "-f", str(nyc))
    (nyc / "1_flights.yaml").write_text(FLIGHTS.replace("Flights.", "All flights."))
    sample = {"partition": 2, "offset": 7, "before": "loaded", "after": "delay is -9, expected at least 0", "row": "{}"}
    value = {**sample, "before": "1", "after": "2"}
    rejected = {"fate": "quarantined", "rule": "delay"}
    gateway.back_test = [
        {"part": "progress", "rows": 20, "of": 50},
        {
            "part": "report", "version": 1, "rows": 50, "compared": 49,
            "published": {"before": 50, "after": 49}, "columns_added": ["extra"],
            "fates": [{**rejected, "before": 0, "after": 1}], "flags": [{"flag": "late", "before": 3, "after": 5}],
            "moves": [{"before": {"fate": "loaded", "rule": ""}, "after": rejected, "rows": 1, "samples": [sample]}],
            "columns": [{"column": "delay", "rows": 4, "samples": [value]}],
        },
    ]  # fmt: skip
    result = run("plan", "-f", str(nyc), "--back-test", "50")
    assert result.exit_code == 2
    for shown in (
        "50 rows put to version 1", "loaded → quarantined by delay", "2-7 delay is -9", "flagged by late", "+2",
        "delay has another value in 4 of 49 rows", "2-7 1 → 2", "columns added: extra", "rows published", "-1",
    ):  # fmt: skip
        assert shown in result.stdout
    assert gateway.calls.count("POST plan/back-test") == 1, "what does not change is not tried"
    found = json.loads(run("plan", "-f", str(nyc), "--back-test", "50", "-o", "json").stdout)["back_tests"]
    assert found["nyc.flights"]["columns"][0]["rows"] == 4
    gateway.back_test = [{"part": "failure", "message": "no such column"}]
    failed = run("plan", "-f", str(nyc), "--back-test", "50")
    assert failed.exit_code == 1
    assert "the back-test failed: no such column" in failed.stdout
    assert "version 1 → 2" in failed.stdout, "the plan is shown all the same"


def test_a_back_test_goes_over_days(run: Run, gateway: GatewayDouble, nyc: Path) -> None:
    run("apply", "-f", str(nyc))
    (nyc / "1_flights.yaml").write_text(FLIGHTS.replace("Flights.", "All flights."))
    gateway.back_test = [{"part": "report", "version": 1, "rows": 50, "left_out": 7}]
    assert "About 7 older rows of that time were left out" in run("plan", "-f", str(nyc), "--back-test", "3d").stdout
    run("plan", "-f", str(nyc), "--back-test", "12h")
    run("plan", "-f", str(nyc), "--back-test", "50")
    asked = [(body.get("rows"), body.get("hours")) for act, body in gateway.asked if act == "back-test"]
    assert asked == [(None, 72), (None, 12), (50, None)]
    for wrong in ("0", "3w", "-1d", "2000001", "367d", ""):
        refused = run("plan", "-f", str(nyc), f"--back-test={wrong}")
        assert refused.exit_code == 1
        assert "as in 3d or 12h" in refused.stderr


def test_plan_exits_with_1_on_an_error(run: Run, nyc: Path) -> None:
    assert run("--token", "wrong", "plan", "-f", str(nyc)).exit_code == 1


def test_plan_as_json_is_one_document(run: Run, nyc: Path) -> None:
    plans = json.loads(run("plan", "-f", str(nyc), "-o", "json").stdout)["plans"]
    assert [plan["dataset"] for plan in plans] == ["nyc.airports", "nyc.flights"]


def test_apply_waits_for_the_parents_before_it_applies_a_child(run: Run, gateway: GatewayDouble, nyc: Path) -> None:
    result = run("apply", "-f", str(nyc))
    assert result.exit_code == 0
    child = gateway.calls.index("PUT datasets/nyc.flights")
    assert gateway.calls.index("PUT datasets/nyc.airports") < child
    assert gateway.calls[:child].count("GET datasets/nyc.airports/ledger") == gateway.steps
    assert "GET datasets/nyc.flights/ledger" not in gateway.calls, "nobody asked to wait for the child"


def test_apply_with_wait_ends_with_the_books(run: Run, gateway: GatewayDouble, nyc: Path) -> None:
    result = run("apply", "-f", str(nyc), "--wait")
    assert result.exit_code == 0
    assert result.stdout.count("settled, books balance") == 2
    assert "nyc.flights: settled, 80 loaded of 100 read" in result.stderr
    assert json.loads(run("apply", "-f", str(nyc), "--wait", "-o", "json").stdout)["ledgers"][0]["loaded"] == 80


def test_applying_again_changes_nothing(run: Run, gateway: GatewayDouble, nyc: Path) -> None:
    run("apply", "-f", str(nyc))
    result = run("apply", "-f", str(nyc), "-o", "json")
    assert [done["changed"] for done in json.loads(result.stdout)["applied"]] == [False, False]
    assert set(gateway.versions.values()) == {1}


def test_apply_that_runs_out_of_time_says_what_is_moving(run: Run, gateway: GatewayDouble, nyc: Path) -> None:
    gateway.steps = 1_000_000
    result = run("apply", "-f", str(nyc), "--wait", "--timeout", "0")
    assert result.exit_code == 1
    assert "nyc.airports: 100 of 100 rows read are in flight" in result.stderr


def test_nothing_is_sent_when_one_file_is_wrong(run: Run, gateway: GatewayDouble, nyc: Path) -> None:
    (nyc / "3_bad.yaml").write_text(AIRPORTS.replace("description", "descripton"))
    result = run("apply", "-f", str(nyc))
    assert result.exit_code == 1
    assert "descripton" in result.stderr
    assert gateway.calls == []


def test_a_dataset_file_can_come_from_standard_input(run: Run, gateway: GatewayDouble) -> None:
    assert run("apply", "-f", "-", input=AIRPORTS).exit_code == 0
    assert list(gateway.documents) == ["nyc.airports"]


def test_init_writes_a_file_that_is_valid(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("orders.csv").write_text("id,price\n1,2.5\n2,3.5\n")
    assert run("init", "orders.csv", "--name", "shop.orders").exit_code == 0
    result = run("validate", "orders.yaml")
    assert result.exit_code == 0
    assert "shop.orders is valid" in result.stdout


def test_init_does_not_overwrite_unless_told_to(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    target.write_text("precious")
    refused = run("init", "--out", str(target))
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert target.read_text() == "precious"
    assert run("init", "--out", str(target), "--force").exit_code == 0
    assert "http_push" in target.read_text()


def test_init_can_print(run: Run) -> None:
    assert run("init", "--out", "-").stdout.startswith("# A Headrace dataset file.")

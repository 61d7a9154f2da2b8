"""The commands that look, against the gateway's double."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    import time

    time.tzset()


@pytest.fixture
def flights(gateway: GatewayDouble) -> GatewayDouble:
    gateway.documents["nyc.flights"] = "{}"
    gateway.versions["nyc.flights"] = 1
    return gateway


def test_status_shows_figures_with_separators_and_times_with_their_zone(run: Run, flights: GatewayDouble) -> None:
    result = run("status")
    assert result.exit_code == 0
    for shown in ("nyc.flights", "1,234,567", "567", "170 ms", "–", "2026-01-01 22:04:05 EST"):
        assert shown in result.stdout


def test_status_of_an_empty_platform_says_what_to_do_next(run: Run) -> None:
    result = run("status")
    assert result.exit_code == 0
    assert "headrace init" in result.stdout


def test_json_is_one_document_that_keeps_its_figures(run: Run, flights: GatewayDouble) -> None:
    (item,) = json.loads(run("status", "-o", "json").stdout)["items"]
    assert item["stages"][0]["rows_in"] == 1234567
    assert item["stages"][0]["last_commit_at"] == "2026-01-02T03:04:05Z"


def test_yaml_says_the_same_as_json(run: Run, flights: GatewayDouble) -> None:
    as_json, as_yaml = run("status", "-o", "json").stdout, run("status", "-o", "yaml").stdout
    assert yaml.safe_load(as_yaml) == json.loads(as_json)


def test_the_ledger_shows_every_fate_and_the_causes(run: Run, flights: GatewayDouble) -> None:
    flights.steps = 1
    result = run("ledger", "nyc.flights")
    assert result.exit_code == 0
    for shown in ("settled, books balance", "100", "80", "no_departure", "check_references", "headrace quarantine ls"):
        assert shown in result.stdout


def test_a_residue_is_called_what_it_is(run: Run, flights: GatewayDouble) -> None:
    flights.steps, flights.residue = 1, 3
    assert "do not trust: residue of 3 rows" in run("ledger", "nyc.flights").stdout


def test_an_unknown_dataset_is_a_clear_error(run: Run) -> None:
    result = run("ledger", "nyc.nothing")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "No datasets/nyc.nothing/ledger here." in result.stderr
    assert "headrace status" in result.stderr


def test_a_wrong_token_is_a_clear_error(run: Run) -> None:
    result = run("--token", "wrong", "status")
    assert result.exit_code == 1
    assert "HEADRACE_TOKEN" in result.stderr


def test_quarantined_rows_are_listed_by_cause(run: Run, flights: GatewayDouble) -> None:
    result = run("quarantine", "ls", "nyc.flights")
    assert result.exit_code == 0
    for shown in ("7,561", "known_airport", "0-7", "headrace quarantine show nyc.flights 0-7"):
        assert shown in result.stdout


def test_text_from_a_row_is_not_read_as_markup(run: Run, flights: GatewayDouble) -> None:
    assert "dest 'SJU' is [red]not[/] known" in run("quarantine", "ls", "nyc.flights").stdout


def test_what_is_wrong_is_shown_by_shape_with_its_trend(run: Run, flights: GatewayDouble) -> None:
    assert "Nothing of nyc.flights" in run("quarantine", "clusters", "nyc.flights").stdout
    flights.fingerprints = [
        {
            "stage": "transformer", "reason": "check_references", "rule": "known", "column": "dest", "shape": "A9-9",
            "rows": 12, "first": "2026-01-02T03:04:05Z", "last": "2026-01-02T04:04:05Z", "examples": ["AB12-7"],
            "ids": ["0-7"], "trend": [0, 8, 4],
        }
    ]  # fmt: skip
    result = run("quarantine", "clusters", "nyc.flights")
    for shown in ("20 rows", "12 of them", "A9-9", "AB12-7", "·█▅", "0-7"):
        assert shown in result.stdout
    assert json.loads(run("quarantine", "clusters", "nyc.flights", "-o", "json").stdout)["items"][0]["rows"] == 12


@pytest.mark.parametrize(("form", "first"), [("ndjson", '{"id":"0-7"'), ("csv", "id,state,quarantined_at")])
def test_quarantined_rows_are_written_to_a_file(
    run: Run, flights: GatewayDouble, tmp_path: Path, form: str, first: str
) -> None:
    out = tmp_path / "aside"
    command = ("quarantine", "export", "nyc.flights", "--shape", "A", "--format", form, "--out", str(out))
    result = run(*command)
    assert result.exit_code == 0
    assert "2 rows" in result.stderr
    assert flights.asked == [("export", {"shape": "A", "all": "false"})]
    text = out.read_text()
    assert text.startswith(first)
    assert len(text.splitlines()) == (2 if form == "ndjson" else 3)
    assert run(*command).exit_code == 1, "what is there is not overwritten"
    assert run(*command, "--force").exit_code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["aside"], "nothing half written is left"


def test_quarantined_rows_are_resubmitted_with_an_edit_and_a_reason(run: Run, flights: GatewayDouble) -> None:
    result = run("quarantine", "resubmit", "nyc.flights", "0-7", "--set", "dest = upper(dest)", "--because", "typed so")
    assert result.exit_code == 0
    assert "3 resubmitted" in result.stdout
    [(act, body)] = flights.asked
    assert (act, body["ids"], body["set"], body["because"]) == (
        "resubmit",
        ["0-7"],
        {"dest": " upper(dest)"},
        "typed so",
    )


def test_refused_rows_are_said_and_fail_the_command(run: Run, flights: GatewayDouble) -> None:
    flights.refused = 2
    result = run("quarantine", "resubmit", "nyc.flights", "--reason", "wrong_type", "--because", "x")
    assert result.exit_code == 1
    assert "2 rows, such as 0-7: it [red]does not[/] fit" in result.stdout


def test_a_dry_run_says_what_would_become_of_rows(run: Run, flights: GatewayDouble) -> None:
    patch = '[{"op": "remove", "path": "/dest"}]'
    result = run(
        "quarantine", "resubmit", "nyc.flights", "--all-matching", "--patch", patch, "--because", "x", "--dry-run"
    )
    assert result.exit_code == 0
    assert "would be resubmitted" in result.stdout
    assert "3 rows tried; nothing was changed" in result.stdout
    assert flights.asked[0][1]["patch"] == [{"op": "remove", "path": "/dest"}]


@pytest.mark.parametrize(
    "wrong", [["--set", "dest"], ["--patch", "{"], ["--patch", "{}"], ["--patch", "@nowhere.json"]]
)
def test_an_edit_that_is_none_is_refused_before_anything_is_asked(
    run: Run, flights: GatewayDouble, wrong: list[str]
) -> None:
    result = run("quarantine", "resubmit", "nyc.flights", "0-7", "--because", "x", *wrong)
    assert result.exit_code == 1
    assert not flights.asked


def test_rows_are_assigned_and_taken_back(run: Run, flights: GatewayDouble) -> None:
    result = run("quarantine", "assign", "nyc.flights", "--shape", "A", "--to", "ada", "--because", "x", "--dry-run")
    assert "3 rows of nyc.flights would be assigned" in result.stdout
    run("quarantine", "unassign", "nyc.flights", "--assigned-to", "ada", "--because", "left", "--no-wait")
    (assign, given), (unassign, taken) = flights.asked
    assert (assign, given["shape"], given["to"]) == ("assign", "A", "ada")
    assert (unassign, taken["assigned_to"]) == ("unassign", "ada")
    run("quarantine", "ls", "nyc.flights", "--assigned-to", "")
    assert flights.calls[-1] == "GET datasets/nyc.flights/quarantine"


def test_all_that_was_done_to_a_row_is_shown(run: Run, flights: GatewayDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    at = "2026-01-02T03:04:05Z"
    flights.acts = [
        {
            "act": "quarantined",
            "row": "0-7",
            "at": at,
            "stage": "quality",
            "version": 3,
            "reason": "check_in",
            "rule": "known",
        },
        {
            "act": "assigned",
            "row": "0-7",
            "at": at,
            "by": "ada",
            "because": "she [red]knows[/]",
            "assigned_to": "grace",
        },
        {"act": "resubmitted", "row": "0-7", "at": at, "by": "grace", "because": "mended", "edit": "{}"},
        {"act": "refused", "row": "0-7", "at": at, "by": "grace", "because": "again", "detail": "it was done before"},
        {"act": "loaded", "row": "0-7", "stage": "loader", "became": "0:4711"},
    ]
    shown = run("quarantine", "show", "nyc.flights", "0-7").stdout
    for text in (
        "2026-01-02 12:04:05 JST", "quarantined by quality, version 3: check_in (known)", "assigned to grace",
        "she [red]knows[/]", "resubmitted, edited: {}", "refused: it was done before", "loaded as 0:4711",
    ):  # fmt: skip
        assert text in shown
    monkeypatch.undo()
    time.tzset()


def test_a_quarantined_row_is_shown_with_its_values(run: Run, flights: GatewayDouble) -> None:
    result = run("quarantine", "show", "nyc.flights", "0-7")
    assert result.exit_code == 0
    for shown in ("check_references", "nyc.flights.staged partition 0 offset 7", "SJU"):
        assert shown in result.stdout


def test_a_query_answers_with_aligned_figures_as_they_are(run: Run, gateway: GatewayDouble) -> None:
    gateway.answer = {
        "columns": [{"name": "year", "type": "Int64"}, {"name": "name", "type": "Nullable(String)"}],
        "rows": [[2013, "a"], [7, None]],
        "row_count": 2,
        "truncated": True,
        "elapsed_ms": 12,
    }
    lines = run("query", "SELECT 1").stdout.splitlines()
    assert any(line.startswith("2013") for line in lines), "a year has no thousands separator"
    assert any(line.startswith("   7 ") for line in lines), "figures are aligned to the right"
    assert any("null" in line for line in lines)
    assert any("--limit" in line for line in lines)


def test_a_query_can_come_from_standard_input(run: Run, gateway: GatewayDouble) -> None:
    assert json.loads(run("query", "-", "-o", "json", input="SELECT 1").stdout)["rows"] == []


def test_an_empty_query_is_not_sent(run: Run, gateway: GatewayDouble) -> None:
    assert run("query", "  ").exit_code == 1
    assert gateway.calls == []


def test_terminal_codes_in_data_are_shown_and_not_obeyed(run: Run, flights: GatewayDouble) -> None:
    flights.answer = {"columns": [{"name": "x", "type": "String"}], "rows": [["\x1b[2Jgone"]], "row_count": 1}
    output = run("query", "SELECT 1").stdout
    assert "\x1b" not in output
    assert "\\x1b[2Jgone" in output


def test_tail_shows_the_newest_records(run: Run, flights: GatewayDouble) -> None:
    flights.records = [
        {"partition": 0, "offset": n, "timestamp": "2026-01-02T03:04:05Z", "fields": {"n": n}} for n in range(5)
    ]
    lines = run("tail", "nyc.flights", "-n", "2").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["0-3", "0-4"]


def test_following_shows_each_record_once_as_ndjson(
    run: Run, flights: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(n: int) -> dict[str, object]:
        return {"partition": 0, "offset": n, "timestamp": "2026-01-02T03:04:05Z", "fields": {"n": n}}

    flights.records = [record(0), record(1), record(2)]
    pauses = iter([[record(3)], [], [record(4), record(6)]])

    def pause(_: float) -> None:
        arrived = next(pauses, None)
        if arrived is None:
            raise KeyboardInterrupt
        flights.records += arrived

    monkeypatch.setattr("headrace.cli.observe.time.sleep", pause)
    result = run("tail", "nyc.flights", "-n", "2", "--follow", "-o", "json")
    assert result.exit_code == 0
    assert [json.loads(line)["offset"] for line in result.stdout.splitlines()] == [1, 2, 3, 4, 6]


def test_an_empty_topic_says_where_to_look(run: Run, flights: GatewayDouble) -> None:
    assert "headrace status nyc.flights" in run("tail", "nyc.flights").stdout


def test_version_names_both_sides(run: Run) -> None:
    known = json.loads(run("version", "-o", "json").stdout)
    assert known["gateway"] == "9.9"
    assert known["client"]


def test_version_works_without_a_gateway(run: Run) -> None:
    result = run("--token", "wrong", "version")
    assert result.exit_code == 0
    assert "headrace" in result.stdout


def test_a_wrong_option_is_not_mistaken_for_a_plan_with_changes(run: Run) -> None:
    assert run("plan", "--nonsense").exit_code == 1
    assert run("nonsense").exit_code == 1


def test_every_command_has_help_with_an_example(run: Run) -> None:
    for command in ("init", "validate", "plan", "apply", "status", "tail", "ledger", "query", "demo", "up", "down",
                    "doctor", "version", "quarantine ls", "quarantine show", "quarantine resubmit",
                    "quarantine discard", "contract export", "contract import"):  # fmt: skip
        result = run(*command.split(), "--help")
        assert result.exit_code == 0
        assert f"headrace {command}" in result.stdout
        assert "Examples" in result.stdout

"""Looking at a source from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from headrace import contract
from tests.unit.cli.gateway_double import GatewayDouble

CONNECTED = {"part": "step", "name": "connect", "ok": True, "message": "connected to db", "took_s": 0.25}
DENIED = {
    "part": "step", "name": "authenticate", "ok": False, "message": "password authentication failed",
    "field": "source.password", "remedy": "set the secret again", "took_s": 0.1,
}  # fmt: skip
ORDERS = {
    "part": "stream", "name": "public.orders", "rows_sampled": 100, "keys": ["id"], "keys_declared": True,
    "cursors": ["updated_at"],
    "columns": [
        {"name": "id", "type": {"logicalType": "integer"}, "null_share": 0.0, "unique": True, "examples": ["1", "2"]},
        {"name": "mail", "type": {"logicalType": "string"}, "null_share": 0.5, "unique": False, "examples": [],
         "personal": {"what": "email address", "why": "values"}},
    ],
}  # fmt: skip
SETTINGS = ("-s", "type=sql", "-s", "database=postgresql", "-s", "name=shop", "-s", "table=orders", "-s", "key=[id]")

Run = Callable[..., Result]


def end(ok: bool) -> dict[str, Any]:
    return {"part": "end", "ok": ok, "took_s": 0.35}


def test_each_step_is_shown_and_a_failure_ends_with_1(run: Run, gateway: GatewayDouble) -> None:
    gateway.source_parts = [CONNECTED, DENIED, end(False)]
    result = run("source", "check", *SETTINGS)
    assert result.exit_code == 1
    assert "✓ connect connected to db 0.25 s" in result.stderr
    assert "✗ authenticate password authentication failed" in result.stderr
    assert "source.password" in result.stderr
    assert "set the secret again" in result.stderr


def test_settings_are_put_into_the_files_source(run: Run, gateway: GatewayDouble, tmp_path: Path) -> None:
    gateway.source_parts = [CONNECTED, end(True)]
    file = tmp_path / "source.yaml"
    file.write_text("source: {type: file, path: a.csv, csv: {header: false}}\n")
    result = run("source", "check", str(file), "-s", "path=b.csv", "-s", "csv.delimiter=;")
    assert result.exit_code == 0
    (sent,) = gateway.sources
    assert yaml.safe_load(sent)["source"] == {
        "type": "file",
        "path": "b.csv",
        "csv": {"header": False, "delimiter": ";"},
    }


def test_what_is_offered_is_shown(run: Run, gateway: GatewayDouble) -> None:
    gateway.source_parts = [CONNECTED, ORDERS, end(True)]
    result = run("source", "discover", *SETTINGS)
    assert result.exit_code == 0
    assert "public.orders: 2 columns, 100 rows looked at" in result.stdout
    assert "email address (by its values)" in result.stdout
    assert "key: id" in result.stdout
    assert "may be resumed by: updated_at" in result.stdout


def test_programs_get_one_document(run: Run, gateway: GatewayDouble) -> None:
    gateway.source_parts = [CONNECTED, DENIED, end(False)]
    result = run("source", "discover", *SETTINGS, "-o", "json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert (said["ok"], said["streams"]) == (False, [])
    assert [(step["name"], step["ok"]) for step in said["steps"]] == [("connect", True), ("authenticate", False)]
    assert said["steps"][1]["field"] == "source.password"


def test_a_dataset_file_is_written(run: Run, gateway: GatewayDouble, tmp_path: Path) -> None:
    gateway.source_parts = [CONNECTED, ORDERS, end(True)]
    out = tmp_path / "orders.yaml"
    assert run("source", "propose", *SETTINGS, "--name", "shop.orders", "--out", str(out)).exit_code == 0
    made = contract.load(out.read_text())
    assert (made.dataset, made.source.type, made.key, made.load.mode) == ("shop.orders", "sql", ["id"], "upsert")
    assert [field.name for field in made.schema_.fields] == ["id", "mail"]


def test_nothing_is_written_for_a_source_that_fails(run: Run, gateway: GatewayDouble, tmp_path: Path) -> None:
    gateway.source_parts = [DENIED, end(False)]
    out = tmp_path / "orders.yaml"
    assert run("source", "propose", *SETTINGS, "--name", "shop.orders", "--out", str(out)).exit_code == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Say which source"),
        (("-s", "type"), "is not written as NAME=VALUE"),
        (("-s", "type=sql", "-s", "type.x=1"), "type is a value already"),
    ],
)
def test_what_is_missing_is_said(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run("source", "check", *arguments)
    assert result.exit_code == 1
    assert said in str(result.stderr) + str(result.exception)


def unchosen(name: str, kind: str, rows: int | None) -> dict[str, Any]:
    return {"part": "stream", "name": name, "columns": [], "kind": kind, "namespace": "public", "rows_estimated": rows}


def test_a_database_of_which_nothing_is_chosen_lists_what_there_is(run: Run, gateway: GatewayDouble) -> None:
    gateway.source_parts = [CONNECTED, unchosen("orders", "table", 1200), unchosen("of_today", "view", None), end(True)]
    shown = run("source", "discover", "-s", "type=sql", "-s", "database=postgresql", "-s", "name=shop")
    assert shown.exit_code == 0
    assert "1,200" in shown.stdout
    assert "of_today" in shown.stdout
    assert "--set table=NAME" in shown.stdout


@pytest.mark.parametrize("names", [["orders"], ["orders", "of_today"], []])
def test_nothing_is_proposed_for_what_is_not_chosen(run: Run, gateway: GatewayDouble, names: list[str]) -> None:
    gateway.source_parts = [CONNECTED, *(unchosen(name, "table", None) for name in names), end(True)]
    refused = run("source", "propose", "--name", "shop.orders", "-s", "type=sql", "--out", "-")
    assert refused.exit_code == 1
    assert ", ".join(names) in refused.stderr
    assert "Choose one" in refused.stderr

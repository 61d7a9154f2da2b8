"""The commands that run the local stack, as far as they can be shown without starting one.

The stack's own tests and the e2e tests start it; here a double stands in for `deploy.local.stack`.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rich.text import Text
from typer.testing import CliRunner, Result

from deploy.local import credentials
from headrace.cli import demo, stack
from headrace.cli.main import app
from headrace.cli.render import command
from headrace.cli.session import Session
from tests.unit.cli.gateway_double import TOKEN, GatewayDouble

Run = Callable[..., Result]

EXAMPLE = """\
dataset: nyc.{name}
description: A table.
owner: {{team: data}}
source: {{type: file, path: data/{name}.csv}}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("HEADRACE_STACK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEADRACE_STACK_DATA_DIR", str(tmp_path / "stack"))
    return tmp_path / "stack"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the stack's double was told to start or stop."""
    log: list[str] = []

    def up(
        settings: object,
        only: Iterable[str] | None = None,
        progress: Callable[[str, str], None] = print,
        extra: Iterable[str] = (),
    ) -> list[Any]:
        log.append("up")
        progress("kafka", "starting")
        progress("kafka", "ready")
        return []

    def down(settings: object, progress: Callable[[str, str], None]) -> list[str]:
        return log.copy()

    monkeypatch.setattr(stack, "module", lambda name="stack": SimpleNamespace(up=up, down=down))
    return log


def test_up_says_what_it_does_and_where_the_gateway_is(run: Run, started: list[str]) -> None:
    result = run("up")
    assert result.exit_code == 0
    assert "kafka: starting\nkafka: ready" in result.stderr
    assert "http://127.0.0.1:8080" in result.stdout


def test_a_component_that_does_not_exist_is_a_clear_error(run: Run) -> None:
    result = run("up", "--only", "kafak")
    assert result.exit_code == 1
    assert "kafak" in result.stderr
    assert "kafka" in result.stderr


def test_down_without_a_stack_is_no_error(run: Run) -> None:
    result = run("down")
    assert result.exit_code == 0
    assert "Nothing ran here" in result.stdout


def test_doctor_looks_at_the_machine_and_changes_nothing(run: Run, home: Path) -> None:
    result = run("doctor", "-o", "json")
    findings = json.loads(result.stdout)["findings"]
    assert "Python" in {finding["what"] for finding in findings}
    assert result.exit_code == int(any(finding["level"] == "fail" for finding in findings))
    assert not home.exists()


def test_without_the_extra_the_way_to_it_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'psutil'")

    monkeypatch.setattr(stack, "import_module", missing)
    result = run("up")
    assert result.exit_code == 1
    assert "uv sync --extra local" in result.stderr


def test_a_wrong_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STACK_GATEWAY_PORT", "eighty")
    result = run("down")
    assert result.exit_code == 1
    assert "HEADRACE_STACK_GATEWAY_PORT" in result.stderr


@pytest.mark.parametrize(("url", "sent"), [("http://127.0.0.1:8080", True), ("https://data.example.com", False)])
def test_the_local_token_goes_to_this_machine_only(home: Path, url: str, sent: bool) -> None:
    known = credentials.ensure(home).admin_token.get_secret_value()
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx.Response(200, json={"items": []})

    Session(url, transport=httpx.MockTransport(answer)).client().datasets.status()
    assert seen == [f"Bearer {known}" if sent else None]


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "examples"
    folder.mkdir()
    for name in ("airports", "flights"):
        (folder / f"{name}.yaml").write_text(EXAMPLE.format(name=name))
    monkeypatch.setattr(demo, "examples_dir", lambda: folder)
    monkeypatch.setattr(stack, "admin_token", lambda: TOKEN)
    return folder


def run_demo(gateway: GatewayDouble, *args: str) -> Result:
    return CliRunner().invoke(app, ["demo", *args], obj=Session(transport=httpx.MockTransport(gateway)))


@pytest.mark.usefixtures("started", "examples")
def test_the_demo_ends_with_the_books_the_answers_and_the_way_to_stop(gateway: GatewayDouble, home: Path) -> None:
    gateway.answer |= {"columns": [{"name": "airline", "type": "String"}], "rows": [["United"]]}
    result = run_demo(gateway)
    assert result.exit_code == 0
    assert (home / "files" / "data" / "flights.csv").stat().st_size > 30_000_000
    for shown in ("nyc.airports", "nyc.flights", "settled, books balance", "United", "headrace down", "8080"):
        assert shown in result.stdout
    for question in demo.QUESTIONS:
        assert question in result.stdout


@pytest.mark.usefixtures("started", "examples", "home")
def test_the_demo_fails_when_a_row_is_unaccounted_for(gateway: GatewayDouble) -> None:
    gateway.residue = 1
    result = run_demo(gateway)
    assert result.exit_code == 1
    assert "do not balance" in result.stderr


@pytest.mark.usefixtures("started", "examples", "home")
def test_the_demo_never_leaves_the_local_stack(gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_URL", "https://data.example.com")
    monkeypatch.setenv("HEADRACE_TOKEN", "the token of production")
    assert run_demo(gateway).exit_code == 0


def test_placing_the_data_again_leaves_it_alone(tmp_path: Path) -> None:
    demo.place_data(tmp_path)
    (tmp_path / "airlines.csv").write_text("mine")
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    demo.place_data(tmp_path)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before
    assert sorted(before) == ["airlines.csv", "airports.csv", "flights.csv", "planes.csv", "weather.csv"]


def test_the_examples_are_found() -> None:
    assert (demo.examples_dir() / "flights.yaml").is_file()


@pytest.mark.parametrize(
    ("on_path", "called", "shown"),
    [
        ("/usr/bin/headrace", "/usr/bin/headrace", "headrace down"),
        (None, ".venv/bin/headrace", ".venv/bin/headrace down"),
        (None, "pytest", "headrace down"),
    ],
)
def test_a_hint_names_the_program_so_that_this_shell_finds_it(
    monkeypatch: pytest.MonkeyPatch, on_path: str | None, called: str, shown: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: on_path)
    monkeypatch.setattr("sys.argv", [called, "demo"])
    assert Text.from_markup(command("down")).plain == shown

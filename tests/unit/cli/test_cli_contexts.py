"""`headrace context`, which gateway a command goes to, and what a shell completes."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.cli.session import Session

Run = Callable[..., Result]
PRODUCTION = "https://data.example.com"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("HEADRACE_CONFIG", str(path))
    monkeypatch.setenv("HEADRACE_STACK_DATA_DIR", str(tmp_path / "stack"))
    for name in ("HEADRACE_URL", "HEADRACE_TOKEN", "HEADRACE_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture
def seen() -> list[tuple[str, str | None]]:
    return []


@pytest.fixture
def do(file: Path, seen: list[tuple[str, str | None]]) -> Run:
    """Run the program; `seen` gets the gateway and the token of each request."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((str(request.url.copy_with(path="/")).rstrip("/"), request.headers.get("Authorization")))
        datasets = [
            {"name": name, "version": 1, "generation": 1, "state": "active"} for name in ("nyc.a", "nyc.b", "x.y")
        ]
        return httpx.Response(200, json={"items": datasets if request.url.path.endswith("/datasets") else []})

    def invoke(*args: str, input: str | None = None, env: dict[str, str] | None = None) -> Result:
        session = Session(transport=httpx.MockTransport(answer))
        return CliRunner().invoke(app, list(args), input=input, obj=session, env=env)

    return invoke


def test_a_context_is_added_used_shown_and_removed(do: Run, file: Path) -> None:
    added = do("context", "add", "production", PRODUCTION, "-", "--use", input="s3cret\n")
    assert added.exit_code == 0, added.output
    assert file.stat().st_mode & 0o777 == 0o600
    listed = json.loads(do("context", "ls", "-o", "json").stdout)["items"]
    assert [(each["name"], each["current"], each["token"]) for each in listed] == [
        ("local", False, "the local stack's administrator"), ("production", True, "file"),
    ]  # fmt: skip
    shown = json.loads(do("context", "show", "-o", "json").stdout)
    assert (shown["name"], shown["url"], shown["file"]) == ("production", PRODUCTION, str(file))
    for output in ("table", "json", "yaml"):
        for words in (("ls",), ("show",), ("show", "production")):
            assert "s3cret" not in do("context", *words, "-o", output).output
    assert do("context", "rm", "production").exit_code == 0
    assert "s3cret" not in file.read_text()
    assert json.loads(do("context", "show", "-o", "json").stdout)["name"] == "local"


def test_commands_go_to_the_context_in_use_with_its_token(do: Run, seen: list[tuple[str, str | None]]) -> None:
    do("context", "add", "production", PRODUCTION, "-", "--use", input="s3cret\n")
    do("context", "add", "staging", "https://staging.example.com", "--token-env", "STAGING")
    do("status")
    do("--context", "staging", "status", env={"STAGING": "t"})
    do("status", env={"HEADRACE_CONTEXT": "staging", "STAGING": "t"})
    do("status", env={"HEADRACE_TOKEN": "mine"})
    do("--url", "http://other.test", "status")
    assert seen == [
        (PRODUCTION, "Bearer s3cret"),
        ("https://staging.example.com", "Bearer t"),
        ("https://staging.example.com", "Bearer t"),
        (PRODUCTION, "Bearer mine"),
        ("http://other.test", None),
    ]


def test_two_gateways_at_once_are_refused(do: Run, seen: list[tuple[str, str | None]]) -> None:
    do("context", "add", "staging", "https://staging.example.com", "--no-token")
    result = do("--context", "staging", "status", env={"HEADRACE_URL": PRODUCTION})
    assert (result.exit_code, seen) == (1, [])
    assert "both name a gateway" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("context", "use", "nowhere"), "There is no context nowhere. There are: local"),
        (("context", "add", "local", PRODUCTION, "--no-token"), "Choose another name"),
        (("context", "add", "a", "data.example.com", "--no-token"), "is not an address"),
        (("context", "add", "a", PRODUCTION, "s3cret"), "A token is no argument"),
        (("context", "add", "a", PRODUCTION), "There is no terminal"),
        (("context", "add", "a", PRODUCTION, "-", "--no-token"), "Say one of"),
        (("--context", "nowhere", "status"), "There is no context nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    do: Run, file: Path, words: tuple[str, ...], said: str
) -> None:
    result = do(*words)
    assert (result.exit_code, file.exists()) == (1, False)
    assert said in " ".join(result.stderr.split())
    assert "s3cret" not in result.output


def test_a_context_is_replaced_only_when_asked_to(do: Run) -> None:
    add = ("context", "add", "a", PRODUCTION, "--no-token")
    assert [do(*add).exit_code, do(*add).exit_code, do(*add, "--replace").exit_code] == [0, 1, 0]


def completed(do: Run, line: str) -> list[str]:
    """What bash is offered at the end of a line."""
    words = line.split(" ")
    env = {"_HEADRACE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return do(env=env).stdout.split()


def test_a_shell_completes_datasets_and_contexts(do: Run, seen: list[tuple[str, str | None]]) -> None:
    do("context", "add", "production", PRODUCTION, "--no-token")
    assert completed(do, "headrace context use pro") == ["production"]
    assert completed(do, "headrace --context production ledger nyc.") == ["nyc.a", "nyc.b"]
    assert seen[-1] == (PRODUCTION, None)


def test_a_shell_is_left_alone_when_nobody_answers(file: Path) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    session = Session(transport=httpx.MockTransport(away))
    line = "headrace ledger nyc."
    env = {"_HEADRACE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "2"}
    result = CliRunner().invoke(app, [], obj=session, env=env)
    assert (result.stdout.strip(), result.stderr) == ("", "")
    file.write_text("nonsense")
    assert CliRunner().invoke(app, [], obj=session, env=env).output.strip() == ""

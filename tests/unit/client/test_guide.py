"""The examples of docs/sdk.md run, in order, against a double of the gateway that is reached over HTTP."""

import ast
import asyncio
import inspect
import re
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.core import TyperGroup

from headrace.cli.main import app
from headrace.client import Client, QueryResult
from tests.unit.cli.gateway_double import TOKEN, GatewayDouble

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "sdk.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
SOMEWHERE = "https://data.example.com"


class Served(BaseHTTPRequestHandler):
    """Hands what comes over HTTP on to the double."""

    double: GatewayDouble

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = httpx.Request(self.command, f"http://double{self.path}", headers=dict(self.headers), content=body)
        told = self.double(asked)
        self.send_response(told.status_code)
        self.send_header("Content-Length", str(len(told.content)))
        self.end_headers()
        self.wfile.write(told.content)

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - as the library names them

    def log_message(self, format: str, *args: Any) -> None:
        """It says nothing."""


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The URL of a double with a dataset, which the environment names."""
    double = GatewayDouble()
    double.answer |= {
        "columns": [{"name": "carrier", "type": "LowCardinality(String)"}, {"name": "flights", "type": "UInt64"}],
        "rows": [["UA", 58665]],
        "row_count": 1,
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Served,), {"double": double}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HEADRACE_URL", url)
    monkeypatch.setenv("HEADRACE_TOKEN", TOKEN)
    (tmp_path / "flights.yaml").write_text((ROOT / "examples/nyc/flights.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    yield url
    server.shutdown()
    server.server_close()
    thread.join(30)


async def run(source: str, names: dict[str, Any]) -> None:
    """As a notebook does it, where one may await."""
    for statement in ast.parse(source).body:
        form: ast.Module | ast.Expression = ast.Module([statement], [])
        if isinstance(statement, ast.Expr):
            form = ast.Expression(statement.value)
        code = compile(
            form, "docs/sdk.md", "eval" if isinstance(form, ast.Expression) else "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        )
        found = eval(code, names)
        if inspect.iscoroutine(found):
            await found


def test_the_examples_run_in_order(gateway: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}

    async def every() -> None:
        for example in EXAMPLES:
            await run(example.replace(SOMEWHERE, gateway).replace('"..."', repr(TOKEN)), names)

    asyncio.run(every())
    assert len(EXAMPLES) == 6
    assert isinstance(names["result"], QueryResult)
    assert names["books"].loaded > 0
    assert [row.id for row in names["rows"]] == ["0-7", "0-7"]
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == "9.9"
    assert "Not found" in shown.out
    assert "nyc.flights" in shown.err  # the progress


@pytest.mark.parametrize("command", re.findall(r"^headrace .*", GUIDE, re.MULTILINE))
def test_every_command_is_understood(command: str) -> None:
    words = shlex.split(command)[1:]
    context = typer.main.get_command(app).make_context("headrace", words)
    group = context.command
    while isinstance(group, TyperGroup):
        name, inner, words = group.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None, name
        context, group = inner.make_context(name, words, parent=context), inner


def test_the_guide_names_every_group_and_no_other() -> None:
    with Client("http://gateway.test") as client:
        known = {
            name for name, each in vars(client).items() if type(each).__module__.startswith("headrace.client.groups")
        }
    named = set(re.findall(r"`client\.(\w+)`", GUIDE))
    assert named - {"query"} == known

"""Exports from the command line: a file is there when it is whole, and what breaks off is gone on with."""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.cli.session import Session

Program = Callable[..., Result]
CONTENT = b'"id"\n1\n2\n'
ID = "5f0c6d7e8a9b4c3d"


class Breaking(httpx.SyncByteStream):
    """A body that breaks off after some of its bytes; after all of them, it does not."""

    def __init__(self, content: bytes, after: int | None) -> None:
        self._content, self._after = content, after

    def __iter__(self) -> Iterator[bytes]:
        yield self._content[: self._after]
        if self._after is not None:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


class Gateway:
    """Answers as the gateway does. `breaks`: after how many bytes each file breaks off, by turns."""

    def __init__(self) -> None:
        self.breaks: list[int | None] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.ranges: list[str] = []
        self.states = ["queued", "running", "done"]
        self.content = CONTENT

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        body = json.loads(request.content) if request.content else dict(request.url.params)
        self.asked.append((request.method, path, body))
        if path.endswith(("/export", "/file")):
            return self._file(request)
        if request.method == "DELETE":
            return httpx.Response(204)
        if path.startswith("/export-schedules"):
            return self._listed(path, self._schedule(), request)
        return self._listed(path, self._export(), request)

    def _file(self, request: httpx.Request) -> httpx.Response:
        start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.ranges.append(request.headers.get("range", ""))
        headers = {
            "content-disposition": 'attachment; filename="nyc.flights.csv"',
            "etag": '"x"',
            "x-headrace-sha256": sha256(CONTENT).hexdigest(),
            "x-headrace-waiting-for": "loader has not read all",
            "x-headrace-masked-columns": "email",
        }
        stream = Breaking(self.content[start:], self.breaks.pop(0) if self.breaks else None)
        return httpx.Response(206 if "range" in request.headers else 200, headers=headers, stream=stream)

    def _listed(self, path: str, item: dict[str, Any], request: httpx.Request) -> httpx.Response:
        listed = request.method == "GET" and path.count("/") == 1
        return httpx.Response(200, json={"items": [item]} if listed else item)

    def _export(self) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        told = {"id": ID, "owner": "ann", "dataset": "nyc.flights", "format": "csv", "state": state, "rows": 2}
        return told | {"created_at": "2026-01-02T03:04:05Z", "error": "too [red]large[/]" if state == "failed" else ""}

    def _schedule(self) -> dict[str, Any]:
        told = {"id": ID, "owner": "ann", "dataset": "nyc.flights", "format": "csv", "cron": "30 6 * * *"}
        return told | {"timezone": "UTC", "next_at": "2026-01-03T06:30:00Z", "created_at": "2026-01-02T03:04:05Z"}


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def run(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("headrace.cli.exports._POLL_S", 0.0)

    def invoke(*args: str) -> Result:
        session = Session(transport=httpx.MockTransport(gateway))
        return CliRunner().invoke(app, ["--url", "http://gateway.test", "--token", "t", *args], obj=session)

    return invoke


def test_a_dataset_is_written_to_a_file_in_the_format_of_its_ending(
    run: Program, gateway: Gateway, tmp_path: Path
) -> None:
    done = run("export", "nyc.flights", "-o", "flights.parquet", "-c", "id, day", "-w", "id > 1")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "flights.parquet").read_bytes() == CONTENT
    wanted = {"format": "parquet", "columns": "id,day", "where": "id > 1"}
    assert gateway.asked == [("GET", "/datasets/nyc.flights/export", wanted)]
    assert "Not complete: loader has not read all" in done.stderr
    assert "email" in done.stderr
    assert "is there already" in run("export", "file", "nyc.flights", "-o", "flights.parquet").stderr
    assert "--format" in run("export", "nyc.flights", "-o", "flights.xlsx").stderr
    assert len(gateway.asked) == 1, "nothing was asked for in vain"
    assert run("export", "nyc.flights").stdout_bytes == CONTENT


def test_a_download_that_breaks_off_leaves_no_file(run: Program, gateway: Gateway, tmp_path: Path) -> None:
    gateway.breaks = [4]
    broken = run("export", "nyc.flights", "-o", "flights.csv")
    assert broken.exit_code == 1
    assert "broke off" in broken.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_an_export_is_gone_on_with(run: Program, gateway: Gateway, tmp_path: Path) -> None:
    gateway.breaks = [4, 2]
    done = run("export", "download", ID)
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "nyc.flights.csv").read_bytes() == CONTENT
    assert gateway.ranges == ["", "bytes=4-", "bytes=6-"]


def test_it_is_gone_on_with_a_few_times_only_and_compared(run: Program, gateway: Gateway, tmp_path: Path) -> None:
    gateway.breaks = [1, 1, 1, 1]
    assert "broke off" in run("export", "download", ID).stderr
    gateway.content = CONTENT.replace(b"2", b"3")
    assert "another than was made" in run("export", "download", ID).stderr
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_started_and_waited_for(run: Program, gateway: Gateway) -> None:
    done = run("export", "start", "nyc.flights", "-f", "csv", "--wait")
    assert done.exit_code == 0, done.stderr
    assert "done" in done.stdout
    assert gateway.asked[0][:2] == ("POST", "/exports")
    assert gateway.asked[0][2]["format"] == "csv"
    gateway.states = ["failed"]
    failed = run("export", "start", "nyc.flights", "--wait")
    assert failed.exit_code == 1
    assert "too [red]large[/]" in failed.stdout
    assert ID in run("export", "ls").stdout
    assert ID in run("export", "show", ID).stdout
    assert run("export", "cancel", ID).exit_code == 0
    assert gateway.asked[-1][:2] == ("DELETE", f"/exports/{ID}")


def test_schedules_are_added_listed_paused_resumed_and_removed(run: Program, gateway: Gateway) -> None:
    assert "30 6 * * *" in run("export", "schedule", "add", "nyc.flights", "--cron", "30 6 * * *").stdout
    assert ID in run("export", "schedule", "ls").stdout
    for act in ("pause", "resume", "rm"):
        assert run("export", "schedule", act, ID).exit_code == 0
    assert [asked[:2] for asked in gateway.asked[-3:]] == [
        ("POST", f"/export-schedules/{ID}/pause"),
        ("POST", f"/export-schedules/{ID}/resume"),
        ("DELETE", f"/export-schedules/{ID}"),
    ]

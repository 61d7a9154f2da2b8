"""How the program behaves as a process: closed pipes, Ctrl-C, colours, start without a terminal."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

AIRPORTS = "dataset: nyc.airports\ndescription: Airports.\nowner: {team: data}\nsource: {type: file, path: a.csv}\n"
PROGRAM = (sys.executable, "-c", "from headrace.cli.main import app; app()")


class _Statuses(BaseHTTPRequestHandler):
    """A double of the gateway that knows one answer: nothing is there."""

    def do_GET(self) -> None:
        body = b'{"items": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Statuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def dataset_file(tmp_path: Path) -> Path:
    file = tmp_path / "airports.yaml"
    file.write_text(AIRPORTS)
    return file


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_a_closed_pipe_ends_the_program_silently(dataset_file: Path, form: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [*PROGRAM, "validate", str(dataset_file), "-o", form], stdout=closed, stderr=subprocess.PIPE, timeout=60
        )
    assert done.returncode == 141
    assert done.stderr == b""


@pytest.mark.parametrize("watching", [["status", "--watch"], ["status", "--watch", "-o", "json"]])
def test_ctrl_c_ends_a_watcher_without_a_trace(url: str, watching: list[str]) -> None:
    with subprocess.Popen(
        [*PROGRAM, "--url", url, *watching, "--interval", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # whoever started us may ignore it
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is at work
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"Traceback" not in said


def test_without_a_terminal_nothing_is_coloured_or_animated(dataset_file: Path) -> None:
    done = subprocess.run([*PROGRAM, "validate", str(dataset_file)], capture_output=True, timeout=60)
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout + done.stderr


def test_no_color_is_honoured_where_colour_would_be_used(dataset_file: Path) -> None:
    def output(**environment: str) -> bytes:
        return subprocess.run(
            [*PROGRAM, "validate", str(dataset_file)],
            capture_output=True,
            timeout=60,
            env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm", **environment},
        ).stdout

    assert b"\x1b[32m" in output()
    assert b"\x1b[32m" not in output(NO_COLOR="1")

"""Every line a process logs can be read by a program, those at its end too."""

import json
import subprocess
import sys

_CONFIGURED = """
from headrace.stream.log import configure
configure("transformer", "i-1", "info")
"""
_WORK = """
import logging, threading, duckdb
logging.getLogger("work").warning("begun")
at_work = threading.Event()

def serve():
    connection = duckdb.connect()
    connection.execute("SELECT 1").fetchall()
    at_work.set()
    threading.Event().wait()

threading.Thread(target=serve, daemon=True).start()
at_work.wait()
logging.getLogger("work").warning("done")
"""


def _log_of(program: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ended.stderr.splitlines()


def test_a_daemon_thread_with_a_connection_leaves_no_line_that_is_not_json() -> None:
    assert [json.loads(line)["message"] for line in _log_of(_CONFIGURED + _WORK)] == ["begun", "done"]


def test_the_control_a_library_has_the_last_word() -> None:
    unheard = "import atexit\natexit.unregister(__import__('headrace.stream.log').stream.log._end)\n"
    assert "nanobind: leaked" in "".join(_log_of(_CONFIGURED + unheard + _WORK))

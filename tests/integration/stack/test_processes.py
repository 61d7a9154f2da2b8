"""Only what was started is stopped: politely first, then for good; never anything else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from deploy.local import processes
from deploy.local.component import Component
from deploy.local.processes import Roster, Started
from tests.stack import eventually

POLITE = "import time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
PARENT = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print(child.pid, flush=True); time.sleep(600)"
)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator["Spawn"]:
    spawner = Spawn(tmp_path)
    yield spawner
    for started in spawner.started:
        processes.kill(started)


class Spawn:
    def __init__(self, folder: Path) -> None:
        self.log = folder / "component.log"
        self.started: list[Started] = []

    def __call__(self, program: str) -> Started:
        """Starts a Python program, and returns when it has said something."""
        command = (sys.executable, "-c", program)
        component = Component("component", command, {"port": 1}, ready=lambda: True, log=self.log, console=self.log)
        started = processes.spawn(component)
        self.started.append(started)
        eventually(lambda: self.log.stat().st_size > 0, 30, "the program runs")
        return started


def stop(started: Started, timeout_s: float) -> bool:
    processes.ask_to_stop(started)
    return processes.see_off(started, timeout_s)


def test_a_polite_process_ends_by_itself(spawn: Spawn) -> None:
    started = spawn(POLITE)
    assert processes.alive(started)
    assert stop(started, 30)
    assert processes.alive(started) is None


def test_a_deaf_process_is_killed_after_the_deadline(spawn: Spawn) -> None:
    started = spawn(DEAF)
    assert not stop(started, 0.5)
    assert processes.alive(started) is None


def test_a_paused_process_can_be_stopped(spawn: Spawn) -> None:
    started = spawn(POLITE)
    psutil.Process(started.pid).suspend()
    assert stop(started, 30)


def test_children_go_with_their_parent(spawn: Spawn) -> None:
    started = spawn(PARENT)
    child = psutil.Process(int(spawn.log.read_text()))
    assert stop(started, 30)
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 30, "the child has ended")


@pytest.mark.parametrize("changed", ["birth", "command"])
def test_a_stranger_with_the_same_number_is_left_alone(spawn: Spawn, changed: str) -> None:
    started = spawn(POLITE)
    stranger = (
        replace(started, uptime_s=started.uptime_s - 3600)
        if changed == "birth"
        else replace(started, command=("java", "kafka.Kafka"))
    )
    assert processes.alive(stranger) is None
    processes.ask_to_stop(stranger)
    processes.kill(stranger)
    assert processes.alive(started) is not None


def test_a_started_process_does_not_see_settings_of_headrace(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_DATA_DIR", "of the caller")
    spawn("import os, time; print(os.environ.get('HEADRACE_DATA_DIR'), flush=True); time.sleep(600)")
    assert spawn.log.read_text().strip() == "None"


def test_an_interrupt_at_the_terminal_does_not_reach_it(spawn: Spawn) -> None:
    assert os.getpgid(spawn(POLITE).pid) != os.getpgid(0)


def test_the_roster_keeps_what_was_started(tmp_path: Path, spawn: Spawn) -> None:
    roster, started = Roster(tmp_path / "run"), spawn(POLITE)
    assert roster.all() == []
    roster.put(started)
    assert Roster(tmp_path / "run").get("component") == started
    roster.remove("component")
    assert roster.get("component") is None


def test_a_process_that_ended_is_known_to_have_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    known = psutil.Process(process.pid)
    started = Started("x", process.pid, known.create_time() - psutil.boot_time(), tuple(process.args), {}, "", "")  # type: ignore[arg-type]
    eventually(lambda: processes.alive(started) is None, 30, "it has ended, though nobody has waited for it")
    process.wait()

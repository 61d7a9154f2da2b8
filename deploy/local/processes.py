"""Which processes are ours, and how they are started and stopped.

A pid alone proves nothing, since the system gives numbers away again: a process is ours when its start time and its
command line are those that were written down when it was started. Nothing is ever found, or killed, by name.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from deploy.local.component import Component

_POLL_S = 0.05
_CLOCK_STEP_S = 1.5  # the machine's start is known to the second


@dataclass(frozen=True)
class Started:
    """What is written down about a process we started. `uptime_s`: of the machine, when the process was born."""

    name: str
    pid: int
    uptime_s: float
    command: tuple[str, ...]
    ports: dict[str, int]
    log: str
    console: str

    @property
    def port(self) -> int:
        return next(iter(self.ports.values()))


class Roster:
    """The processes that were started from one data folder and not stopped, one file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Started]:
        return [self._read(file) for file in sorted(self._folder.glob("*.json"))]

    def get(self, name: str) -> Started | None:
        file = self._file(name)
        return self._read(file) if file.exists() else None

    def put(self, started: Started) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._file(started.name).with_suffix(".partial")
        partial.write_text(json.dumps(asdict(started), indent=2))
        partial.rename(self._file(started.name))

    def remove(self, name: str) -> None:
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    @staticmethod
    def _read(file: Path) -> Started:
        known = json.loads(file.read_text())
        return Started(**{**known, "command": tuple(known["command"])})


def spawn(component: Component) -> Started:
    """Starts the process as the leader of a group of its own: a signal to the terminal does not reach it."""
    component.console.parent.mkdir(parents=True, exist_ok=True)
    with component.console.open("ab") as console:
        process = subprocess.Popen(
            component.command,
            cwd=component.folder,
            env={**_inherited(), **component.environment},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Started(
        component.name,
        process.pid,
        _uptime_at_birth(psutil.Process(process.pid)),
        component.command,
        dict(component.ports),
        str(component.log),
        str(component.console),
    )


def alive(started: Started) -> psutil.Process | None:
    """The process, if it is still the one that was started and has not ended."""
    process = _same_birth(started)
    try:
        # A process that has just been started, or is about to end, has no command line.
        return process if process is not None and tuple(process.cmdline()) in (started.command, ()) else None
    except psutil.Error:
        return None


def ask_to_stop(started: Started) -> None:
    """SIGTERM to the process's group; a process that was paused is let go on, so that it can hear it."""
    _signal(started, signal.SIGTERM)
    _signal(started, signal.SIGCONT)


def see_off(started: Started, timeout_s: float) -> bool:
    """Waits for the end; SIGKILL when it has not come by the deadline. Returns whether the process went by itself."""
    if _gone(started, timeout_s):
        return True
    kill(started)
    return False


def kill(started: Started) -> None:
    """SIGKILL to the process's group, at once."""
    _signal(started, signal.SIGKILL)
    _gone(started, 10)


def _signal(started: Started, number: int) -> None:
    if alive(started) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, number)


def _gone(started: Started, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while alive(started) is not None:
        if time.monotonic() > deadline:
            return False
        _reap(started.pid)
        time.sleep(_POLL_S)
    _reap(started.pid)
    return True


def _same_birth(started: Started) -> psutil.Process | None:
    """The process with that number, if it was born when ours was."""
    try:
        process = psutil.Process(started.pid)
        same = abs(_uptime_at_birth(process) - started.uptime_s) < _CLOCK_STEP_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def _uptime_at_birth(process: psutil.Process) -> float:
    """Counted from the machine's start, because the time of day may be set anew while the process runs."""
    return process.create_time() - psutil.boot_time()


def _reap(pid: int) -> None:
    """Lets go of an ended process, if it happens to be this program's child."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _inherited() -> dict[str, str]:
    """This environment without what belongs to Headrace: a component is told what it needs by name."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}

"""A PostgreSQL server that a test starts, kills and starts again."""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.stack import eventually

_START_S: Final = 60.0


@dataclass
class PostgreSql:
    """A server with a data folder and a port of its own; whoever connects is believed."""

    home: Path
    port: int
    _binaries: Path = field(default_factory=lambda: _binaries(), init=False)

    @property
    def url(self) -> str:
        """Where it is: a user who may do everything."""
        return f"postgresql://headrace@127.0.0.1:{self.port}/postgres"

    def install(self) -> None:
        """Fill the data folder."""
        if self._user:
            shutil.chown(self.home, self._user)
        data = str(self._data)
        self._run(
            "initdb", "--pgdata", data, "--username", "headrace", "--auth", "trust", "--no-sync"
        ).check_returncode()

    def start(self) -> None:
        """Start it, and wait until it answers; one that was killed may leave processes that end a little later."""
        listen = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.home}"
        options = f"{listen} -c fsync=off -c wal_level=logical"
        log = str(self.home / "log")
        arguments = ["--pgdata", str(self._data), "--wait", "--log", log, "--options", options, "start"]
        eventually(lambda: self._run("pg_ctl", *arguments).returncode == 0, _START_S, "PostgreSQL starts")

    def stop(self) -> None:
        """End it, whatever is under way."""
        self._run("pg_ctl", "--pgdata", str(self._data), "--mode", "immediate", "stop")

    def kill(self) -> None:
        """SIGKILL to the server."""
        os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def _run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = [str(self._binaries / program), *arguments]
        return subprocess.run(command, user=self._user, cwd=self.home, stdout=subprocess.DEVNULL, timeout=60)

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def _user(self) -> str | None:
        """Who runs it: the server refuses to run as root."""
        return "postgres" if os.geteuid() == 0 else None


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.fail("the PostgreSQL server is not installed: apt-get install postgresql")
    return Path(on_path).parent

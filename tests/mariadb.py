"""A MariaDB server that a test starts, kills and starts again."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pymysql
import pytest

_START_S: Final = 60

#: A server whose changes can be captured.
BINLOG: Final = ("--log-bin=binlog", "--binlog-format=ROW", "--server-id=1")


@dataclass
class MariaDb:
    """A server with a data folder, a socket and a port of its own."""

    home: Path
    port: int
    options: Sequence[str] = ()
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where it is: a user who may do everything, and a database `shop`."""
        return f"mysql://root@127.0.0.1:{self.port}/shop"

    def install(self) -> None:
        """Fill the data folder."""
        install = shutil.which("mariadb-install-db")
        if install is None:
            pytest.fail("the MariaDB server is not installed: apt-get install mariadb-server")
        if self._user:
            shutil.chown(self.home, self._user)
        arguments = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(
            [install, *self._common, *arguments], check=True, cwd=self.home, stdout=subprocess.DEVNULL, timeout=120
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        server = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
        assert server is not None
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(server, *self._common),
                    f"--port={self.port}",
                    f"--socket={self.home / 'socket'}",
                    f"--pid-file={self.home / 'pid'}",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--innodb-buffer-pool-size=64M",
                    "--innodb-fast-shutdown=2",
                    *self.options,
                ],
                cwd=self.home,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_S
        while True:
            assert self._process.poll() is None, (self.home / "log").read_text()[-2000:]
            with suppress(pymysql.err.OperationalError):
                with pymysql.connect(host="127.0.0.1", port=self.port, user="root") as connection:
                    connection.cursor().execute("CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4")
                return
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a loss of power would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it: nothing of it is needed any more."""
        self.kill()

    @property
    def _user(self) -> str | None:
        """Who runs it: as root it wants to be told."""
        return "mysql" if os.geteuid() == 0 else None

    @property
    def _common(self) -> list[str]:
        return ["--no-defaults", f"--datadir={self.home / 'data'}", *([f"--user={self._user}"] if self._user else [])]

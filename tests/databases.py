"""Databases of the tests' own, each started once a run by the first test that asks for it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mariadb import MariaDb
from tests.stack import free_ports


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL cluster of its own, stopped and deleted afterwards."""
    binaries = _postgres_binaries()
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    home = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
    if user:
        shutil.chown(home, user)
    (port,), data = free_ports(1), home / "data"

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [binaries / program, *arguments], user=user, cwd=home, check=True, stdout=subprocess.DEVNULL, timeout=60
        )

    try:
        run("initdb", "--pgdata", str(data), "--username", "headrace", "--auth", "trust", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync=off -c wal_level=logical"
        run("pg_ctl", "--pgdata", str(data), "--wait", "--log", str(home / "log"), "--options", options, "start")
        try:
            yield f"postgresql://headrace@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "--pgdata", str(data), "--mode", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB server of its own, stopped and deleted afterwards."""
    home = Path(tempfile.mkdtemp(prefix="headrace-mariadb-"))
    (port,) = free_ports(1)
    server = MariaDb(home, port)
    try:
        server.install()
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb_url(mariadb: MariaDb) -> str:
    """Where it is: a user who may do everything, and a database `shop`."""
    return mariadb.url


def _postgres_binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.fail("the PostgreSQL server is not installed: apt-get install postgresql")
    return Path(on_path).parent

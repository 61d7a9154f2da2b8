"""Databases of the tests' own, each started once a run by the first test that asks for it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.mariadb import BINLOG, MariaDb
from tests.postgresql import PostgreSql
from tests.stack import free_ports

ServerT = TypeVar("ServerT", PostgreSql, MariaDb)


@contextmanager
def server(kind: Callable[[Path, int], ServerT]) -> Iterator[ServerT]:
    """A server of its own, stopped and deleted afterwards."""
    (port,) = free_ports(1)
    home = Path(tempfile.mkdtemp(prefix="headrace-database-"))
    found = kind(home, port)
    try:
        found.install()
        found.start()
        try:
            yield found
        finally:
            found.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    """A PostgreSQL server."""
    with server(PostgreSql) as found:
        yield found


@pytest.fixture(scope="session")
def postgres_url(postgresql: PostgreSql) -> str:
    """Where it is: a user who may do everything."""
    return postgresql.url


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB server that logs its changes."""
    with server(lambda home, port: MariaDb(home, port, BINLOG)) as found:
        yield found


@pytest.fixture(scope="session")
def mariadb_url(mariadb: MariaDb) -> str:
    """Where it is: a user who may do everything, and a database `shop`."""
    return mariadb.url

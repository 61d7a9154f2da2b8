"""Databases of the tests' own, each started once a run by the first test that asks for it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mariadb import MariaDb
from tests.postgresql import PostgreSql
from tests.stack import free_ports


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    """A PostgreSQL server, stopped and deleted afterwards."""
    server = PostgreSql(Path(tempfile.mkdtemp(prefix="headrace-postgres-")), *free_ports(1))
    try:
        server.install()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(server.home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(postgresql: PostgreSql) -> str:
    """Where it is: a user who may do everything."""
    return postgresql.url


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB server, stopped and deleted afterwards."""
    (port,) = free_ports(1)
    server = MariaDb(Path(tempfile.mkdtemp(prefix="headrace-mariadb-")), port)
    try:
        server.install()
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(server.home, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb_url(mariadb: MariaDb) -> str:
    """Where it is: a user who may do everything, and a database `shop`."""
    return mariadb.url

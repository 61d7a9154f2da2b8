"""One warehouse for the tests that only use it, and one of its own for each test that breaks it."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.warehouse.server import Warehouse


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """Shared: use the `database` of the test, and nothing else."""
    server = Warehouse(tmp_path_factory.mktemp("warehouse")).wait_until_ready()
    yield server
    server.terminate()


@pytest.fixture
def database(warehouse: Warehouse) -> str:
    """An empty database of the test's own."""
    name = f"t_{secrets.token_hex(6)}"
    warehouse.value(f"CREATE DATABASE {name}")
    return name


@pytest.fixture
def own_warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    """A server this test may kill."""
    server = Warehouse(tmp_path / "warehouse").wait_until_ready()
    yield server
    if server.process.poll() is None:
        server.kill()

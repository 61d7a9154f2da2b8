"""Ways into the stack's warehouse: as the loader has them, and as a person asks."""

import secrets
from collections.abc import Callable, Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from deploy.local.credentials import WRITER
from services.loader.adapters.clickhouse import ClickHouse
from tests.stack import Stack

#: Makes a connection to the warehouse of one kind or another, at its own address or at a proxy's.
Connect = Callable[..., ClickHouse]


@pytest.fixture
def connect(stack: Stack) -> Iterator[Connect]:
    """Makes connections as the loader has them."""
    made: list[ClickHouse] = []
    password = stack.credentials.warehouse_password.get_secret_value()

    def make(
        kind: type[ClickHouse] = ClickHouse, url: str = stack.warehouse_url, password: str = password
    ) -> ClickHouse:
        made.append(kind(url, WRITER, password))
        return made[-1]

    yield make
    for connection in made:
        connection.close()


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """How a person asks the warehouse."""
    found = clickhouse_connect.get_client(
        dsn=stack.warehouse_url,
        username=WRITER,
        password=stack.credentials.warehouse_password.get_secret_value(),
        autogenerate_session_id=False,
    )
    yield found
    found.close()


@pytest.fixture
def database(client: Client) -> Iterator[str]:
    """The name of a database for one test."""
    name = f"t_{secrets.token_hex(6)}"
    yield name
    client.command(f"DROP DATABASE IF EXISTS {name}")

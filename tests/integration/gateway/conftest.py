"""Gateways over real parts: the stack's Kafka, registry and warehouse, a PostgreSQL of the tests' own."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import adbc_driver_postgresql.dbapi
import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from fastapi.testclient import TestClient
from pydantic import SecretStr

from deploy.local.credentials import WRITER
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.registry import Registry
from services.gateway.bootstrap import build, serve
from services.gateway.settings import GatewaySettings
from tests.stack import Stack

ADMIN = "an-admin-token-of-a-test"


@pytest.fixture
def connection(stack: Stack) -> Connection:
    return Connection(stack.bootstrap_servers)


@pytest.fixture
def registry(stack: Stack) -> Registry:
    return Registry(stack.registry_url)


@pytest.fixture
def controls(registry: Registry) -> Controls:
    return Controls(registry)


@pytest.fixture
def domain() -> str:
    """A domain that no other test uses."""
    return f"gw{uuid.uuid4().hex[:10]}"


@pytest.fixture
def writer(stack: Stack) -> Client:
    """A connection to the warehouse that may write, as the loader has."""
    at = urlsplit(stack.warehouse_url)
    return clickhouse_connect.get_client(
        host=at.hostname or "",
        port=at.port or 0,
        username=WRITER,
        password=stack.credentials.warehouse_password.get_secret_value(),
        autogenerate_session_id=False,
    )


@pytest.fixture
def own_database_url(postgres_url: str) -> str:
    """A database of PostgreSQL that nobody else has tables in."""
    name = f"gateway_{uuid.uuid4().hex[:10]}"
    with (
        adbc_driver_postgresql.dbapi.connect(postgres_url, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"CREATE DATABASE {name}")
    return f"{postgres_url.rpartition('/')[0]}/{name}"


MakeGateway = Callable[..., TestClient]


@pytest.fixture
def make_gateway(stack: Stack, tmp_path: Path) -> Iterator[MakeGateway]:
    """Starts gateways, each with a database of its own unless told otherwise, and stops them."""
    with ExitStack() as running:

        def make(**settings: object) -> TestClient:
            values: dict[str, object] = {
                "gateway_admin_token": SecretStr(ADMIN),
                "data_dir": tmp_path / uuid.uuid4().hex,
                "bootstrap_servers": stack.bootstrap_servers,
                "registry_url": stack.registry_url,
                "warehouse_url": stack.warehouse_url,
                "warehouse_reader_password": stack.credentials.warehouse_reader_password,
            } | settings
            app = serve(build(GatewaySettings.model_validate(values)))
            return running.enter_context(TestClient(app, headers={"Authorization": f"Bearer {ADMIN}"}))

        yield make

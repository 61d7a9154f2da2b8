"""Gateways over real parts: the stack's Kafka, registry and warehouse, a PostgreSQL of the tests' own."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

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
from tests.stack import Stack, free_ports

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
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync=off"
        run("pg_ctl", "--pgdata", str(data), "--wait", "--log", str(home / "log"), "--options", options, "start")
        try:
            yield f"postgresql://headrace@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "--pgdata", str(data), "--mode", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _postgres_binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.fail("the PostgreSQL server is not installed: apt-get install postgresql")
    return Path(on_path).parent


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

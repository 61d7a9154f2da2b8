"""What tests of ingest may use."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from services.gateway.bootstrap import build, serve
from services.gateway.settings import GatewaySettings
from tests.integration.ingest.running import Platform
from tests.stack import Stack, eventually, free_ports

ADMIN = "an-admin-token-of-a-test"


@pytest.fixture(scope="session")
def platform(stack: Stack) -> Platform:
    """Real brokers and a real registry."""
    return Platform(stack)


@pytest.fixture
def dataset(platform: Platform) -> Iterator[str]:
    """A name nobody else uses."""
    name = f"ingest.t{uuid.uuid4().hex[:10]}"
    yield name
    platform.retire(name)


@pytest.fixture
def port() -> int:
    """A port nobody listens on."""
    return free_ports(1)[0]


@pytest.fixture
def another_port() -> Callable[[], int]:
    """More such ports."""
    return lambda: free_ports(1)[0]


@pytest.fixture
def gateway(stack: Stack, tmp_path: Path) -> Iterator[TestClient]:
    """A gateway of its own, asked as its administrator."""
    settings = GatewaySettings(
        gateway_admin_token=SecretStr(ADMIN),
        data_dir=tmp_path / "gateway",
        bootstrap_servers=stack.bootstrap_servers,
        registry_url=stack.registry_url,
        warehouse_url=stack.warehouse_url,
    )
    built = build(settings)
    with TestClient(serve(built), headers={"Authorization": f"Bearer {ADMIN}"}) as client:
        eventually(lambda: built.fold.fault is None, 30, "the topics it asks over are there")
        yield client

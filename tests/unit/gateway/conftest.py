"""A gateway over a fresh SQLite database, with nothing else within reach."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine

from services.gateway.adapters.database import open_database, upgrade
from services.gateway.bootstrap import build, serve
from services.gateway.gateway import Gateway
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.accesses import with_memory

ADMIN = "an-admin-token-of-a-test"
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'gateway.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def lonely(tmp_path: Path) -> Gateway:
    """A gateway whose Kafka, registry and warehouse are all down, but for who may do what."""
    settings = GatewaySettings(
        gateway_admin_token=SecretStr(ADMIN),
        data_dir=tmp_path,
        bootstrap_servers=NOWHERE,
        registry_url=f"http://{NOWHERE}",
        warehouse_url=f"http://{NOWHERE}",
    )
    return with_memory(build(settings), ADMIN)


@pytest.fixture
def client(lonely: Gateway) -> TestClient:
    """The administrator's client of the lonely gateway. The fold does not run: there is nothing to fold."""
    return TestClient(serve(lonely), headers={"Authorization": f"Bearer {ADMIN}"}, raise_server_exceptions=False)

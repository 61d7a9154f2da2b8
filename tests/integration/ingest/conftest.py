"""What tests of ingest may use."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.integration.ingest.running import Platform
from tests.stack import Stack, free_ports


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

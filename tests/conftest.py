"""What tests of every folder may use. The stack is started once a run, by the first test that asks for it."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from deploy.local import programs
from deploy.local import stack as local
from tests.stack import Platform, Stack, running

settings.register_profile("headrace", deadline=None)  # a timing is never a test
settings.load_profile("headrace")


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Kafka, registry and warehouse, shared by all tests: use topics, groups and tables of your own."""
    with running(local.INFRASTRUCTURE) as started:
        yield started


@pytest.fixture(scope="session")
def platform(stack: Stack) -> Iterator[Platform]:
    """The stack with the six services: use datasets of your own."""
    local.up(stack.settings, only=programs.SERVICES)
    with Platform.connect(stack) as connected:
        yield connected

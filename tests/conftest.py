"""What tests of every folder may use. The stack is started once a run, by the first test that asks for it."""

from collections.abc import Iterator

import pytest

from deploy.local import stack as local
from tests.stack import Stack, running


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Kafka, registry and warehouse, shared by all tests: use topics, groups and tables of your own."""
    with running(local.INFRASTRUCTURE) as started:
        yield started

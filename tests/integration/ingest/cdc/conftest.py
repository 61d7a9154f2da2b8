"""What tests of captured changes may use."""

import shutil
from collections.abc import Iterator

import pytest

from deploy.local import stack as local
from tests.stack import Stack


@pytest.fixture(scope="package")
def capturing(stack: Stack) -> Iterator[Stack]:
    """The stack with Kafka Connect, which these tests share; it is left out of the stack again."""
    local.up(stack.settings, only=["connect"])
    yield stack
    local.stop(stack.settings, "connect")
    shutil.rmtree(stack.settings.home / "connect")

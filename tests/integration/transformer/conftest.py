"""Datasets on the shared stack."""

import pytest

from tests.integration.transformer.flow import Flow
from tests.stack import Stack


@pytest.fixture
def flow(stack: Stack) -> Flow:
    """Topics that only this test uses."""
    return Flow(stack)

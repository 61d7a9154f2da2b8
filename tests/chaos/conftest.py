"""The platform these tests break: with small transactions, so that a fault meets work in progress."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from deploy.local import programs
from deploy.local import stack as local
from tests.chaos.faults import mended
from tests.chaos.pushing import GOOD_JSON, apply, name_of, pushed
from tests.chaos.run import LONG, SETTLED_S
from tests.stack import Platform, Stack, eventually, forget_datasets

SMALL_BATCHES = {"HEADRACE_MAX_BATCH_ROWS": "2000" if LONG else "500", "HEADRACE_LANDING_INTERVAL_S": "2"}


@pytest.fixture(scope="session")
def chaotic(stack: Stack) -> Stack:
    """The shared stack, its services started anew with small batches."""
    environment = {**stack.settings.service_environment, **SMALL_BATCHES}
    settings = stack.settings.model_copy(update={"service_environment": environment})
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda service: local.stop(settings, service), programs.SERVICES))
    forget_datasets(stack)
    return replace(stack, settings=settings)


@pytest.fixture
def platform(chaotic: Stack) -> Iterator[Platform]:
    """Whole at the start of a test, and whole again after it, whatever it broke."""
    mended(chaotic.settings)
    with Platform.connect(chaotic) as connected:
        yield connected
    mended(chaotic.settings)
    forget_datasets(chaotic)


@pytest.fixture
def open_dataset(platform: Platform) -> str:
    """A dataset that takes pushes, with one row."""
    dataset = name_of("push")
    apply(platform, dataset, "{type: http_push}")
    eventually(lambda: pushed(platform, dataset, GOOD_JSON[0]).status_code == 202, SETTLED_S, "ingest takes pushes")
    return dataset

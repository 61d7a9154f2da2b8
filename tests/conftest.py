"""What tests of every folder may use. The stack is started once a run (once a worker), by the first test that asks for it."""

import atexit
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from deploy.local import programs
from deploy.local import stack as local
from tests.databases import mariadb, mariadb_url, postgres_url, postgresql  # noqa: F401  # fixtures
from tests.stack import Platform, Stack, forget_datasets, running

settings.register_profile("headrace", deadline=None)  # a timing is never a test
settings.load_profile("headrace")


#: Everything here is plain HTTP on loopback: to read the machine's certificates takes each new client 60 ms of a core.
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)
#: Whoever runs the tests may work with other gateways; the tests do not.
os.environ["HEADRACE_CONFIG"] = os.devnull

_FOLDERS = ("unit", "contract", "integration", "e2e", "chaos")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Cheap folders first, so that a plain mistake shows early; what breaks the stack on purpose last. Random within.

    What is in a folder stays together, so that what its tests share is started once.
    """
    first: dict[Path, int] = {}
    for at, item in enumerate(items):
        first.setdefault(item.path.parent, at)

    def place(item: pytest.Item) -> tuple[int, int]:
        kind = item.path.relative_to(Path(__file__).parent).parts[0]
        return _FOLDERS.index(kind), first[item.path.parent]

    items.sort(key=place)


@atexit.register
def say_nothing_more() -> None:
    """DuckDB's bindings list objects of their own as leaked when the interpreter ends: that would follow pytest's summary."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Kafka, registry and warehouse, shared by all tests: use topics, groups and tables of your own."""
    with running(local.INFRASTRUCTURE) as started:
        yield started


@pytest.fixture(scope="session")
def platform(stack: Stack) -> Iterator[Platform]:
    """The stack with the six services: use datasets of your own."""
    forget_datasets(stack)
    local.up(stack.settings, only=programs.SERVICES)
    with Platform.connect(stack) as connected:
        yield connected

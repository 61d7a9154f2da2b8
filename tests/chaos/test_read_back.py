"""A loader dies after its insert and before its commit: the read-back keeps the rows single, and without it they double."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local import programs
from deploy.local import stack as local
from tests.chaos.crashing_loader import DIED
from tests.chaos.run import SETTLED_S, Run, begin
from tests.stack import Platform

FEW = 5_000


@contextmanager
def loader(platform: Platform, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    """A loader of `tests.chaos.crashing_loader` in the place of the platform's."""
    environment = programs.service(platform.stack.settings, platform.stack.credentials, "loader").environment
    command = [sys.executable, "-m", "tests.chaos.crashing_loader", kind]
    with subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def crashed(platform: Platform) -> Run:
    """A run whose loader has died with rows in the warehouse of which Kafka knows nothing."""
    local.stop(platform.stack.settings, "loader")
    run = begin(platform, rows=FEW)
    with loader(platform, "dying") as dying:
        assert dying.wait(SETTLED_S) == DIED
    return run


def test_the_successor_of_a_dead_loader_doubles_nothing(platform: Platform) -> None:
    run = crashed(platform)
    local.start_service(platform.stack.settings, "loader")
    assert run.faults(run.settle()) == []


def test_without_the_read_back_it_does(platform: Platform) -> None:
    run = crashed(platform)
    with loader(platform, "forgetful"):
        seen = run.seen(run.settle())
    assert seen.rows > seen.different == run.expected.rows

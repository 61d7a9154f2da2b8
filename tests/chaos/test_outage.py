"""The registry or the warehouse is away for a while: nothing is skipped, memory stays bounded, and all goes on by itself."""

import time

import pytest

from deploy.local import stack as local
from tests.chaos.faults import memory_mb
from tests.chaos.run import OUTAGE_S, begin
from tests.stack import Platform

MOST_GROWTH_MB = 400


@pytest.mark.parametrize(("missing", "at_work"), [("registry", "transformer"), ("warehouse", "loader")])
def test_an_outage_is_waited_out(platform: Platform, missing: str, at_work: str) -> None:
    """A service that starts meanwhile knows nothing of what it needs, and waits as well."""
    settings = platform.stack.settings
    run = begin(platform)
    run.wait_for(at_work, 30)
    before = memory_mb(settings)
    local.kill(settings, missing)
    local.restart(settings, at_work)
    most = dict(before)
    end = time.monotonic() + OUTAGE_S
    while time.monotonic() < end:
        most |= {name: max(mb, most.get(name, 0)) for name, mb in memory_mb(settings).items()}
        time.sleep(0.5)
    assert {name for name in before if name != missing} <= memory_mb(settings).keys(), "a process ended"
    local.up(settings, only=[missing])
    assert run.faults(run.settle()) == []
    assert {name: mb for name, mb in most.items() if mb > before.get(name, mb) + MOST_GROWTH_MB} == {}

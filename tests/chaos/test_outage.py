"""The registry or the warehouse is away for a while: nothing is skipped, memory stays bounded, and all goes on by itself."""

import time

import pytest

from deploy.local import stack as local
from tests.chaos.faults import memory_mb
from tests.chaos.pushing import GOOD_JSON, published, pushed
from tests.chaos.run import OUTAGE_S, SETTLED_S, begin
from tests.stack import Platform, eventually

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


def test_a_push_while_the_broker_is_down_is_refused_and_its_retry_accepted_once(
    platform: Platform, open_dataset: str
) -> None:
    settings = platform.stack.settings
    assert pushed(platform, open_dataset, GOOD_JSON[1], key="before").status_code == 202
    local.kill(settings, "kafka")
    refused = pushed(platform, open_dataset, GOOD_JSON[2], key="amid")
    local.up(settings, only=["kafka"])
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    for _ in range(2):
        eventually(
            lambda: pushed(platform, open_dataset, GOOD_JSON[2], key="amid").status_code == 202,
            120,
            "a retry is accepted",
        )
    eventually(lambda: published(platform, open_dataset) == [1, 10, 20], SETTLED_S, "each row is published once")
    platform.client.datasets.wait_settled(open_dataset, timeout_s=SETTLED_S)
    assert published(platform, open_dataset) == [1, 10, 20]

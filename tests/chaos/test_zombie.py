"""A process that was frozen until another had taken its place, and then wakes up, changes nothing."""

import pytest

from deploy.local import stack as local
from tests.chaos.faults import STAGES, frozen
from tests.chaos.run import LONG, SETTLED_S, begin
from tests.stack import Platform, eventually


@pytest.mark.parametrize("stage", STAGES if LONG else ["loader"])
def test_a_zombie_wakes_up(platform: Platform, stage: str) -> None:
    settings = platform.stack.settings
    run = begin(platform)
    run.wait_for(stage, 40)
    with frozen(settings, stage):
        stood_at = run.progress(stage)
        local.start_service(settings, stage, "2")
        eventually(lambda: run.progress(stage) > stood_at, SETTLED_S, "another instance goes on with the work")
    assert run.faults(run.settle()) == []

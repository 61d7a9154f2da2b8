"""kill -9 of each service, the broker, the warehouse, and of everything: no row is lost, doubled, changed or overtaken."""

import pytest

from deploy.local import stack as local
from tests.chaos.faults import STAGES, Kill, kill_everything, strike
from tests.chaos.run import LONG, SHARES, Mode, begin
from tests.stack import Platform

#: The gateway does no stage's work: it is killed as the loader works.
SERVICES = tuple(zip((*STAGES, "gateway"), (*STAGES, "loader"), strict=True))

EACH_SERVICE_ALONE = [(Kill(name, stage, share),) for name, stage in SERVICES for share in SHARES]
ALL_SERVICES_IN_ONE_RUN = [tuple(Kill(name, stage, SHARES[0]) for name, stage in SERVICES)]
INFRASTRUCTURE = [(Kill(name, "loader", share),) for name in ("kafka", "warehouse") for share in SHARES]


def name_of(kills: tuple[Kill, ...]) -> str:
    return "+".join(map(str, kills))


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize("kills", EACH_SERVICE_ALONE if LONG else ALL_SERVICES_IN_ONE_RUN, ids=name_of)
def test_a_service_dies(platform: Platform, kills: tuple[Kill, ...], mode: Mode) -> None:
    run = begin(platform, mode)
    strike(run, kills)
    assert run.faults(run.settle()) == []


@pytest.mark.parametrize("kills", INFRASTRUCTURE, ids=name_of)
def test_what_the_services_stand_on_dies(platform: Platform, kills: tuple[Kill, ...]) -> None:
    run = begin(platform)
    strike(run, kills)
    assert run.faults(run.settle()) == []


@pytest.mark.parametrize("share", SHARES)
def test_everything_dies_at_once(platform: Platform, share: int) -> None:
    run = begin(platform)
    run.wait_for("quality", share)
    kill_everything(platform.stack.settings)
    local.up(platform.stack.settings)
    assert run.faults(run.settle()) == []

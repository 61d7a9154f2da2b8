"""kill -9 of the gateway or the loader around a promotion: readers see the old generation or the new one, then it converges."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus

import pytest
from clickhouse_connect.driver.client import Client

from deploy.local import stack as local
from headrace.client import ApiError, Unreachable
from tests.chaos.run import LONG, SETTLED_S
from tests.full_loads import warehouse
from tests.generations import (
    AFTER,
    BEFORE,
    DOCUMENT,
    after,
    before,
    caught_up,
    generation,
    looked,
    reading,
    rows,
    shows,
)
from tests.stack import Platform, eventually

COUNT = 500
KEPT = COUNT - COUNT // 10
#: Who dies, and how long after the promotion was asked for. Units: milliseconds.
POINTS = [
    *((("gateway",), wait_ms) for wait_ms in (0, 20, 60, 150, 400)),
    *((("loader",), wait_ms) for wait_ms in (0, 150, 500, 900)),
    (("gateway", "loader"), 100),
]
SOME = [(("gateway",), 20), (("loader",), 500)]


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    with warehouse(platform.stack) as connected:
        yield connected


def test_kill_9_around_a_promotion(platform: Platform, client: Client) -> None:
    """Every point in one dataset: each is promoted to generation 2, and gone back from."""
    name = f"gen{uuid.uuid4().hex[:8]}.orders"
    platform.client.datasets.apply(name, DOCUMENT.format(name=name, more=BEFORE))
    platform.push(name, rows(1, COUNT))
    platform.client.datasets.wait_settled(name, timeout_s=SETTLED_S)
    platform.client.generations.replay(name, DOCUMENT.format(name=name, more=AFTER), "a test")
    caught_up(platform, name, 2)
    for services, wait_ms in POINTS if LONG else SOME:
        killed_while_promoting(platform, name, services, wait_ms)
        platform.client.generations.rollback(name, 2, "the next point")
        shows(platform, name, 1)
        assert looked(client, name) == before(COUNT)


def killed_while_promoting(platform: Platform, name: str, services: tuple[str, ...], wait_ms: int) -> None:
    settings = platform.stack.settings

    def promote() -> None:
        with suppress(ApiError, Unreachable), Platform.connect(platform.stack) as own:
            own.client.generations.promote(name, 2, "a test")

    with reading(platform.stack, name) as seen:
        asking = threading.Thread(target=promote, daemon=True)
        asking.start()
        asking.join(wait_ms / 1000)
        for service in services:
            local.kill(settings, service)
        local.up(settings, only=list(services))
        asking.join(SETTLED_S)
        eventually(lambda: converged(platform, name), SETTLED_S, "what is live is what shows")
        eventually(lambda: promoted(platform, name), SETTLED_S, "it is promoted")
        shows(platform, name, 2)
    assert seen == [before(COUNT), after(KEPT)]


def promoted(platform: Platform, name: str) -> bool:
    """Whatever became of the promotion before. A gateway that has just started answers 503 until it has read its topics."""
    try:
        platform.client.generations.promote(name, 2, "whatever became of the one before")
    except ApiError as error:
        if error.status != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return False
    return True


def converged(platform: Platform, name: str) -> bool:
    try:
        live = platform.client.datasets.get(name).generation
        return generation(platform, name, live).shown
    except (ApiError, Unreachable):
        return False

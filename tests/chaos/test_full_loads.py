"""kill -9 in the middle of a full load: the one before shows until the new one is whole, and then all of it at once."""

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from deploy.local import stack as local
from tests.full_loads import FullLoad, deliver, showing, shows, warehouse, watched
from tests.stack import Platform, eventually

ROWS = 30_000


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    with warehouse(platform.stack) as connected:
        yield connected


def in_the_table(client: Client, load: FullLoad, delivery: int) -> int:
    [(rows,)] = client.query(f"SELECT count() FROM {load.name}__g1 WHERE delivery = {delivery}").result_rows
    return int(rows)


@pytest.mark.parametrize("service", ["ingest", "stager", "transformer", "loader"])
def test_kill_9_in_the_middle_of_a_run(platform: Platform, client: Client, service: str) -> None:
    load = FullLoad(platform)
    first = deliver(load.file, 1, 1000)
    load.apply()
    shows(client, load.name, first)
    second = deliver(load.file, 2, ROWS)
    settings = platform.stack.settings
    with watched(platform.stack, load.name) as seen:
        load.start()
        eventually(lambda: in_the_table(client, load, 2) > 0, 60, "the run is under way")
        local.kill(settings, service)
        assert load.state_of(2) in ("begun", "ended"), "the fault came too late"
        assert showing(client, load.name) == first
        local.up(settings, only=[service])
        shows(client, load.name, second)
    assert seen == [first, second]
    run = load.runs()[2]
    assert (run.state, run.rows, run.loaded) == ("shown", ROWS, ROWS), "a run that was broken off is gone on with"


def test_a_source_that_changes_while_ingest_is_away_begins_a_new_run(platform: Platform, client: Client) -> None:
    load = FullLoad(platform)
    first = deliver(load.file, 1, 1000)
    load.apply()
    shows(client, load.name, first)
    deliver(load.file, 2, ROWS)
    settings = platform.stack.settings
    with watched(platform.stack, load.name) as seen:
        load.start()
        eventually(lambda: in_the_table(client, load, 2) > 0, 60, "the run is under way")
        local.kill(settings, "ingest")
        assert load.state_of(2) == "begun", "the fault came too late"
        third = deliver(load.file, 3, 500)
        local.up(settings, only=["ingest"])
        shows(client, load.name, third)
    assert seen == [first, third]
    assert [load.runs()[number].state for number in (1, 2, 3)] == ["shown", "abandoned", "shown"]


def test_everything_is_killed_in_the_middle_of_a_run(platform: Platform, client: Client) -> None:
    load = FullLoad(platform)
    first = deliver(load.file, 1, 1000)
    load.apply()
    shows(client, load.name, first)
    second = deliver(load.file, 2, ROWS)
    settings = platform.stack.settings
    load.start()
    eventually(lambda: in_the_table(client, load, 2) > 0, 60, "the run is under way")
    for component in (
        "gateway",
        "ingest",
        "loader",
        "quality",
        "transformer",
        "stager",
        "warehouse",
        "registry",
        "kafka",
    ):
        local.kill(settings, component)
    local.up(settings)
    with warehouse(platform.stack) as after:
        assert showing(after, load.name) in (first, second)
        shows(after, load.name, second)

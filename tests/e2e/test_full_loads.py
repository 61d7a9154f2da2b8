"""A full load shows when all of it is there, in the place of the one before, and can be taken back."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from clickhouse_connect.driver.client import Client

from headrace.client import ApiError
from tests.full_loads import FullLoad, State, deliver, showing, shows, warehouse, watched
from tests.stack import Platform, eventually

ROWS = 60_000
NOTHING = State(0, 0, ())


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    with warehouse(platform.stack) as connected:
        yield connected


def test_a_run_replaces_the_one_before_at_once_and_back_and_forth(platform: Platform, client: Client) -> None:
    load = FullLoad(platform)
    first = deliver(load.file, 1, ROWS)
    with watched(platform.stack, load.name) as seen:
        load.apply()
        shows(client, load.name, first)
    assert [state for state in seen if state is not None] in ([first], [NOTHING, first])

    second = deliver(load.file, 2, ROWS // 2)
    with watched(platform.stack, load.name) as seen:
        load.start()
        shows(client, load.name, second)
    assert seen == [first, second]
    with watched(platform.stack, load.name) as seen:
        platform.client.runs.rollback(load.name)
        shows(client, load.name, first)
        platform.client.runs.rollback(load.name)
        shows(client, load.name, second)
    assert seen == [second, first, second]

    third = deliver(load.file, 3, 10)
    load.start()
    shows(client, load.name, third)
    table = f"{load.name}__g1"
    kept = f"SELECT arraySort(groupUniqArray(delivery)) FROM {table}"
    eventually(lambda: client.query(kept).result_rows == [([2, 3],)], 60, "the rows of the first run are deleted")
    runs = load.runs()
    assert [(run.state, run.rows, run.loaded) for run in runs.values()] == [
        ("shown", 10, 10),
        ("shown", ROWS // 2, ROWS // 2),
        ("shown", ROWS, ROWS),
    ]
    assert [number for number, run in runs.items() if run.current] == [3]
    assert [number for number, run in runs.items() if run.previous] == [2]
    assert showing(client, load.name) == third


def test_without_ranges_a_view_shows_a_mixture(platform: Platform, client: Client) -> None:
    """The control of the test above: what is in the table while a run is loaded is no state that anybody should see."""
    load = FullLoad(platform)
    first = deliver(load.file, 1, ROWS)
    load.apply()
    shows(client, load.name, first)
    second = deliver(load.file, 2, ROWS // 2)
    with watched(platform.stack, f"{load.name}__g1") as seen:
        load.start()
        shows(client, load.name, second)
    assert any(state not in (None, first, second) for state in seen)


def test_a_new_version_is_a_new_run(platform: Platform, client: Client) -> None:
    load = FullLoad(platform)
    first = deliver(load.file, 1, 100)
    load.apply()
    shows(client, load.name, first)
    second = deliver(load.file, 2, 50)
    load.apply("Deliveries, described better.")
    shows(client, load.name, second)
    assert load.runs()[2].version == 2


def test_a_run_without_a_row_is_refused_unless_it_may_be(platform: Platform, client: Client) -> None:
    load = FullLoad(platform)
    first = deliver(load.file, 1, 100)
    load.apply()
    shows(client, load.name, first)
    deliver(load.file, 2, 0)
    load.start()
    refused = load.wait_for(2, "refused")
    assert "may_be_empty" in refused.message
    assert showing(client, load.name) == first

    empty = FullLoad(platform, load=", may_be_empty: true")
    first = deliver(empty.file, 1, 100)
    empty.apply()
    shows(client, empty.name, first)
    deliver(empty.file, 2, 0)
    empty.start()
    shows(client, empty.name, NOTHING)


def test_rows_that_are_dropped_or_set_aside_are_counted(platform: Platform, client: Client) -> None:
    checks = "checks:\n- {check: between, column: id, max: 899}\n"
    load = FullLoad(platform, sql="SELECT * FROM input WHERE id % 10 <> 0", more=checks)
    deliver(load.file, 0, 1000)
    load.apply()
    books = platform.client.datasets.wait_settled(load.name, timeout_s=120)
    assert (books.read, books.loaded, books.quarantined_rows, books.filtered_rows) == (1000, 810, 90, 100)
    run = load.runs()[1]
    assert (run.state, run.rows, run.loaded, run.quarantined, run.filtered) == ("shown", 1000, 810, 90, 100)
    [cause] = load.platform.client.runs.story(load.name, run.run).set_aside
    assert (cause.stage, cause.rule, cause.rows) == ("transformer", "between_id", 90)
    assert load.platform.client.quarantine.row(load.name, cause.first).rule == cause.rule


def test_only_full_loads_have_runs(platform: Platform) -> None:
    load = FullLoad(platform)
    deliver(load.file, 1, 10)
    load.apply()
    load.wait_for(1)
    with pytest.raises(ApiError) as refusal:
        platform.client.runs.rollback(load.name)
    assert refusal.value.status == 409
    other = f"{load.name}_appended"
    platform.client.datasets.apply(
        other, f"dataset: {other}\ndescription: d\nowner: {{team: t}}\nsource: {{type: http_push}}\n"
    )
    assert platform.client.runs.list(other) == []
    with pytest.raises(ApiError) as refusal:
        platform.client.runs.start(other)
    assert refusal.value.status == 409


def test_the_steps_of_a_run_are_in_order(platform: Platform) -> None:
    load = FullLoad(platform)
    for number in (1, 2, 3):
        deliver(load.file, number, 20)
        if number == 1:
            load.apply()
        else:
            load.start()
        load.wait_for(number)
    begun = [run.begun_at for run in load.runs().values() if run.begun_at]
    assert all(later > earlier for later, earlier in pairwise(begun))

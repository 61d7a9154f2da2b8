"""A changed rule fills tables of its own beside the live ones; readers see one generation or the other, never a mixture."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka.admin import AdminClient

from headrace.client import ApiError, Generation
from headrace.stream import topics
from headrace.stream.kafka import Connection
from tests.full_loads import warehouse
from tests.stack import Platform, Stack, eventually

DOCUMENT = """\
dataset: {name}
description: orders
owner: {{team: tests}}
source: {{type: http_push}}
key: [id]
load: {{mode: upsert}}
partitions: 2
{more}
"""
BEFORE = """\
transform: {sql: 'SELECT id, amount FROM input'}
schema: {fields: [{name: id, logicalType: integer, required: true}, {name: amount, logicalType: integer}]}
"""
#: Another rule, another type, and rows that are set aside: a breaking change.
AFTER = """\
transform: {sql: "SELECT id, concat('CHF ', amount * 2) AS amount FROM input WHERE id % 10 <> 0"}
schema: {fields: [{name: id, logicalType: integer, required: true}, {name: amount, logicalType: string}]}
checks: [{check: between, column: id, max: 9000}]
"""
ROWS = 2000


class Seen(NamedTuple):
    """What a reader gets: rows, distinct kinds of amount (text or number), and the type of the column."""

    rows: int
    texts: int
    type: str


@pytest.fixture(scope="module")
def name() -> str:
    return f"gen{uuid.uuid4().hex[:8]}.orders"


@pytest.fixture(scope="module")
def client(platform: Platform) -> Iterator[Client]:
    with warehouse(platform.stack) as connected:
        yield connected


def looked(client: Client, name: str) -> Seen | None:
    """What a reader sees at this moment; None where there is no view."""
    asked = f"SELECT count(), countIf(startsWith(toString(amount), 'CHF')), any(toTypeName(amount)) FROM {name}"
    try:
        [found] = client.query(asked).result_rows
    except ClickHouseError:
        return None
    return Seen(*found)


@contextmanager
def reading(stack: Stack, name: str) -> Iterator[list[Seen | None]]:
    """Somebody who looks every 10 ms; gives each answer that differs from the one before."""
    seen: list[Seen | None] = []
    done = threading.Event()

    def look() -> None:
        with warehouse(stack) as own:
            while not done.wait(0.01):
                found = looked(own, name)
                if not seen or seen[-1] != found:
                    seen.append(found)

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    try:
        eventually(lambda: bool(seen), 30, "the reader has looked")
        yield seen
    finally:
        done.set()
        reader.join(30)


def rows(first: int, count: int) -> list[dict[str, int]]:
    return [{"id": number, "amount": number % 7} for number in range(first, first + count)]


def generation(platform: Platform, name: str, number: int) -> Generation:
    return next(each for each in platform.client.generations(name) if each.generation == number)


def caught_up(platform: Platform, name: str, number: int) -> None:
    eventually(lambda: generation(platform, name, number).caught_up, 120, f"generation {number} has caught up")


def shows(platform: Platform, name: str, number: int) -> None:
    eventually(lambda: generation(platform, name, number).shown, 60, f"the view shows generation {number}")


def before(count: int) -> Seen:
    return Seen(count, 0, "Int64")


def after(count: int) -> Seen:
    return Seen(count, count, "String")


def test_a_change_is_replayed_promoted_taken_back_and_retired(platform: Platform, client: Client, name: str) -> None:
    platform.client.apply(name, DOCUMENT.format(name=name, more=BEFORE))
    platform.push(name, rows(1, ROWS))
    platform.client.wait_settled(name, timeout_s=120)
    assert looked(client, name) == before(ROWS)

    changed = DOCUMENT.format(name=name, more=AFTER)
    with pytest.raises(ApiError, match=f"headrace replay {name}"):
        platform.client.apply(name, changed)
    made = platform.client.replay(name, changed, "amounts are doubled")
    assert (made.generation, made.version, made.state, made.because) == (2, 2, "candidate", "amounts are doubled")
    assert platform.client.dataset(name).generation == 1
    caught_up(platform, name, 2)
    kept = ROWS - ROWS // 10
    assert generation(platform, name, 2).loaded == kept
    assert looked(client, name) == before(ROWS)

    with reading(platform.stack, name) as seen:
        assert platform.client.promote(name, 2, "it is right").state == "live"
        shows(platform, name, 2)
        platform.client.promote(name, 2, "once more")
        platform.client.promote(name, 2, "and again")
        assert platform.client.dataset(name).generation == 2
    assert seen == [before(ROWS), after(kept)]

    platform.push(name, rows(ROWS + 1, 5))
    eventually(lambda: looked(client, name) == after(kept + 5), 60, "new rows reach the new generation")
    caught_up(platform, name, 1)
    with reading(platform.stack, name) as seen:
        platform.client.rollback(name, 2, "it was not")
        shows(platform, name, 1)
    assert seen == [after(kept + 5), before(ROWS + 5)]
    with pytest.raises(ApiError, match="is live, not 2"):
        platform.client.rollback(name, 2, "once more")
    assert platform.client.dataset(name).generation == 1
    what_is_retired_is_dropped_and_nothing_else(platform, client, name)


def what_is_retired_is_dropped_and_nothing_else(platform: Platform, client: Client, name: str) -> None:
    connection = Connection(platform.stack.bootstrap_servers)
    with pytest.raises(ApiError, match="is live"):
        platform.client.retire(name, 1, "a mistake")
    admin = AdminClient(connection.client())
    before_it = everything(admin, client, name)
    gone = {topics.transformed(name, 2), topics.validated(name, 2), f"{name}__g2"}
    gone |= {topics.group(stage, name, 2) for stage in ("transformer", "quality", "loader")}
    assert gone <= before_it
    platform.client.retire(name, 2, "it is wrong")
    eventually(lambda: not gone & everything(admin, client, name), 120, "what is its own is dropped")
    assert everything(admin, client, name) == before_it - gone
    assert looked(client, name) == before(ROWS + 5)
    with pytest.raises(ApiError, match="is retired"):
        platform.client.promote(name, 2, "too late")

    made = platform.client.replay(name, DOCUMENT.format(name=name, more=AFTER), "once more")
    assert (made.generation, made.version) == (3, 3)
    caught_up(platform, name, 3)
    platform.client.promote(name, 3, "it is right now")
    shows(platform, name, 3)
    assert [(each.generation, each.state) for each in platform.client.generations(name)] == [
        (3, "live"),
        (2, "retired"),
        (1, "kept"),
    ]


def everything(admin: AdminClient, client: Client, name: str) -> set[str]:
    """The topics, groups and tables that begin with the dataset's name."""
    database = name.partition(".")[0]
    found = {topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(f"{name}.")}
    groups = admin.list_consumer_groups().result(10).valid
    found |= {group.group_id for group in groups if f".{name}" in group.group_id}
    asked = "SELECT name FROM system.tables WHERE database = {database:String}"
    return found | {f"{database}.{row[0]}" for row in client.query(asked, {"database": database}).result_rows}

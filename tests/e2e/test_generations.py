"""A changed rule fills tables of its own beside the live ones; readers see one generation or the other, never a mixture."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient
from pyiceberg.exceptions import NoSuchTableError

from headrace.client import ApiError
from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.kafka import Connection
from headrace.stream.lake import lake_catalog, landing_table
from services.stager.settings import StagerSettings
from tests.full_loads import warehouse
from tests.generations import (
    AFTER,
    BEFORE,
    DOCUMENT,
    ROWS,
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

BAD = 9001  # and the one behind it: set aside by both rules


@pytest.fixture(scope="module")
def name() -> str:
    return f"gen{uuid.uuid4().hex[:8]}.orders"


@pytest.fixture(scope="module")
def client(platform: Platform) -> Iterator[Client]:
    with warehouse(platform.stack) as connected:
        yield connected


def test_a_change_is_replayed_promoted_taken_back_and_retired(platform: Platform, client: Client, name: str) -> None:
    platform.client.datasets.apply(name, DOCUMENT.format(name=name, more=BEFORE))
    platform.push(name, [*rows(1, ROWS), *rows(BAD, 2)])
    platform.client.datasets.wait_settled(name, timeout_s=120)
    assert looked(client, name) == before(ROWS)
    given_up = set_aside(platform, name)[BAD]
    request = platform.client.quarantine.discard(name, because="a test", ids=[given_up])
    assert platform.client.quarantine.wait(name, request, timeout_s=120).discarded == 1

    changed = DOCUMENT.format(name=name, more=AFTER)
    with pytest.raises(ApiError, match=f"headrace replay {name}"):
        platform.client.datasets.apply(name, changed)
    made = platform.client.generations.replay(name, changed, "amounts are doubled")
    assert (made.generation, made.version, made.state, made.because) == (2, 2, "candidate", "amounts are doubled")
    assert platform.client.datasets.get(name).generation == 1
    caught_up(platform, name, 2)
    kept = ROWS - ROWS // 10
    assert generation(platform, name, 2).loaded == kept
    assert looked(client, name) == before(ROWS)

    with reading(platform.stack, name) as seen:
        assert platform.client.generations.promote(name, 2, "it is right").state == "live"
        shows(platform, name, 2)
        platform.client.generations.promote(name, 2, "once more")
        platform.client.generations.promote(name, 2, "and again")
        assert platform.client.datasets.get(name).generation == 2
    assert seen == [before(ROWS), after(kept)]
    balanced(platform, name, kept, filtered=ROWS - kept)
    assert platform.client.datasets.status(name)[0].settled

    platform.push(name, rows(ROWS + 1, 5))
    eventually(lambda: looked(client, name) == after(kept + 5), 60, "new rows reach the new generation")
    caught_up(platform, name, 1)
    with reading(platform.stack, name) as seen:
        platform.client.generations.rollback(name, 2, "it was not")
        shows(platform, name, 1)
    assert seen == [after(kept + 5), before(ROWS + 5)]
    with pytest.raises(ApiError, match="is live, not 2"):
        platform.client.generations.rollback(name, 2, "once more")
    assert platform.client.datasets.get(name).generation == 1
    balanced(platform, name, ROWS + 5, filtered=0)
    what_is_retired_is_dropped_and_nothing_else(platform, client, name)


def test_what_is_deleted_is_replayed_from_the_lake_and_a_range_is_only_looked_at(
    platform: Platform, client: Client
) -> None:
    name = f"gen{uuid.uuid4().hex[:8]}.orders"
    platform.client.datasets.apply(name, DOCUMENT.format(name=name, more=BEFORE))
    platform.push(name, rows(1, ROWS))
    platform.client.datasets.wait_settled(name, timeout_s=120)
    before_it = datetime.now(UTC)
    platform.push(name, [*rows(ROWS + 1, 20), *rows(BAD, 2)])
    platform.client.datasets.wait_settled(name, timeout_s=120)
    eventually(lambda: landed(platform, name) >= ROWS + 22, 120, "all is landed")
    deleted(platform, topics.staged(name))
    deleted(platform, topics.raw(name))

    changed = DOCUMENT.format(name=name, more=AFTER)
    platform.client.generations.replay(name, changed, "amounts are doubled")
    caught_up(platform, name, 2)
    kept = ROWS + 20 - (ROWS + 20) // 10
    assert generation(platform, name, 2).loaded == kept
    platform.push(name, rows(ROWS + 21, 5))  # the seam: the topic goes on
    caught_up(platform, name, 2)

    made = platform.client.generations.replay(name, changed, "a look", ingested_from=before_it)
    assert (made.generation, made.ingested_from, made.ingested_to) == (3, before_it, None)
    caught_up(platform, name, 3)
    ranged = generation(platform, name, 3)
    assert (ranged.read, ranged.loaded, ranged.quarantined) == (ROWS + 27, 25 - 2, 2)
    with pytest.raises(ApiError, match="holds only rows that were ingested from"):
        platform.client.generations.promote(name, 3, "a mistake", force=True)
    compared = [part for part in platform.client.generations.diff(name, 3, against=2) if part.part == "report"]
    assert [(part.added, part.removed, part.changed, part.before.rows) for part in compared] == [(0, 0, 0, 23)]

    platform.client.generations.promote(name, 2, "it is right")
    shows(platform, name, 2)
    books = platform.client.datasets.wait_settled(name, timeout_s=120)
    assert (books.loaded, books.residue) == (kept + 5, 0)


def landed(platform: Platform, name: str) -> int:
    """How many raw records the lake has."""
    try:
        return (
            lake_catalog(StagerSettings(data_dir=platform.stack.settings.home))
            .load_table(landing_table(name))
            .scan()
            .count()
        )
    except (NoSuchTableError, Transient):
        return 0


def deleted(platform: Platform, topic: str) -> None:
    """Retention deletes all that a topic has."""
    admin = AdminClient(Connection(platform.stack.bootstrap_servers).client())
    whole = [TopicPartition(topic, number, OFFSET_END) for number in range(2)]
    for asked in admin.delete_records(whole).values():
        asked.result(10)


def set_aside(platform: Platform, name: str) -> dict[int, str]:
    """The quarantined rows that wait for somebody: what they are called, by their id."""
    items = platform.client.quarantine.get(name).items
    return {row.fields["id"]: row.id for row in items if isinstance(row.fields, dict)}


def balanced(platform: Platform, name: str, loaded: int, filtered: int) -> None:
    """The books are those of the live generation, and a row that was given up is not offered again by another."""
    books = platform.client.datasets.wait_settled(name, timeout_s=120)
    assert (books.loaded, books.filtered_rows, books.residue) == (loaded, filtered, 0)
    assert (books.quarantined_rows, sum(books.discarded.values())) == (1, 1)
    assert set(set_aside(platform, name)) == {BAD + 1}
    every = platform.client.quarantine.get(name, everything=True)
    assert sorted(row.state for row in every.items) == ["discarded", "open"]


def what_is_retired_is_dropped_and_nothing_else(platform: Platform, client: Client, name: str) -> None:
    connection = Connection(platform.stack.bootstrap_servers)
    with pytest.raises(ApiError, match="is live"):
        platform.client.generations.retire(name, 1, "a mistake")
    admin = AdminClient(connection.client())
    before_it = everything(admin, client, name)
    gone = {topics.transformed(name, 2), topics.validated(name, 2), f"{name}__g2"}
    gone |= {topics.group(stage, name, 2) for stage in ("transformer", "quality", "loader")}
    assert gone <= before_it
    platform.client.generations.retire(name, 2, "it is wrong")
    eventually(lambda: not gone & everything(admin, client, name), 120, "what is its own is dropped")
    assert everything(admin, client, name) == before_it - gone
    assert looked(client, name) == before(ROWS + 5)
    with pytest.raises(ApiError, match="is retired"):
        platform.client.generations.promote(name, 2, "too late")

    made = platform.client.generations.replay(name, DOCUMENT.format(name=name, more=AFTER), "once more")
    assert (made.generation, made.version) == (3, 3)
    caught_up(platform, name, 3)
    platform.client.generations.promote(name, 3, "it is right now")
    shows(platform, name, 3)
    assert [(each.generation, each.state) for each in platform.client.generations.list(name)] == [
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


def test_a_swap_that_is_not_atomic_is_seen(platform: Platform, client: Client) -> None:
    """The control of the reader above: between dropping a view and making it there is none."""
    database = f"swap{uuid.uuid4().hex[:8]}"
    client.command(f"CREATE DATABASE {database}")
    for number, amount in ((1, "toInt64(1)"), (2, "'CHF 1'")):
        client.command(
            f"CREATE TABLE {database}.orders__g{number} ENGINE = Memory AS SELECT {amount} AS amount FROM numbers({ROWS})"
        )
    client.command(f"CREATE VIEW {database}.orders AS SELECT * FROM {database}.orders__g1")
    name = f"{database}.orders"
    with reading(platform.stack, name) as seen:
        client.command(f"DROP VIEW {name}")
        eventually(lambda: seen[-1] is None, 30, "the reader meets no view")
        client.command(f"CREATE VIEW {name} AS SELECT * FROM {database}.orders__g2")
        eventually(lambda: seen[-1] == after(ROWS), 30, "the reader sees the new one")
    assert seen == [before(ROWS), None, after(ROWS)]

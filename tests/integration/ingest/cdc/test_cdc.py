"""Changes of a real PostgreSQL, or MariaDB, come through a real Debezium exactly once, whatever happens to the worker."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from fastapi.testclient import TestClient

from deploy.local import stack as local
from headrace.connector.conformance import Conformance, Row
from headrace.contract import Contract
from headrace.errors import Fatal
from headrace.stream.holdings import Holding, HoldingLog
from services.ingest.connectors.cdc.connect import Connect
from services.ingest.connectors.cdc.departure import PUBLICATION, SLOT
from services.ingest.connectors.cdc.names import Names
from tests.integration.ingest.cdc.captured import KINDS, Captured, CapturedOfMariaDb, UnderTest
from tests.integration.ingest.running import Ingest, Platform, ingest, until
from tests.stack import Stack


@pytest.fixture
def captured(request: pytest.FixtureRequest, capturing: Stack) -> Iterator[Callable[..., Captured]]:
    """Tables, of PostgreSQL where the test does not say, taken away at the end with all that was set up for them."""
    made: list[Captured] = []
    kind, server = KINDS[getattr(request, "param", "postgres")]
    url = request.getfixturevalue(server)

    def table(*arguments: Any, **settings: Any) -> Captured:
        made.append(kind(url, capturing, *arguments, **settings))
        return made[-1]

    yield table
    for each in made:
        each.close()


of_each = pytest.mark.parametrize("captured", list(KINDS), indirect=True)


class TestTable(Conformance):
    @pytest.fixture
    def source(self, capturing: Stack, postgres_url: str) -> Iterator[UnderTest]:
        found = UnderTest(postgres_url, capturing)
        yield found
        found.close()


def folded(rows: Sequence[Row]) -> list[Row]:
    """The table that changes, in their order, lead to, as `Captured.content` shows it."""
    state: dict[int, Row] = {}
    for row in rows:
        if row["_op"] == "delete":
            del state[row["id"]]
        else:
            amount = None if row["amount"] is None else str(row["amount"])
            state[row["id"]] = {"id": row["id"], "name": row["name"], "amount": amount, "note": row["note"]}
    return [state[number] for number in sorted(state)]


@of_each
def test_inserts_updates_and_deletes_lead_to_the_same_table(captured: Callable[..., Captured]) -> None:
    table = captured()
    table.insert(0, 100)
    connector = table.connector()
    first, position = table.read(connector, None, 100)
    assert Counter(row["_op"] for row in first) == {"snapshot": 100}
    table.execute(f"UPDATE {table.name} SET amount = amount + 1, note = 'seen' WHERE id % 2 = 0")
    table.execute(f"DELETE FROM {table.name} WHERE id % 10 = 0")
    table.execute(f"UPDATE {table.name} SET id = 1000 WHERE id = 1")
    table.insert(200, 5)
    more, position = table.read(connector, position, 50 + 10 + 2 + 5)
    assert Counter(row["_op"] for row in more) == {"update": 50, "delete": 11, "insert": 6}
    assert folded([*first, *more]) == table.content()
    assert all(row["_source_ts"] is not None for row in more)
    deleted = next(row for row in more if row["_op"] == "delete")
    assert (deleted["name"] is not None) == table.whole_deletes, "what the log does not have is not made up"


def test_a_large_value_that_an_update_does_not_touch_stays(captured: Callable[..., Captured]) -> None:
    table = captured()
    table.execute(f"ALTER TABLE {table.name} ALTER note SET STORAGE EXTERNAL")
    table.execute(f"INSERT INTO {table.name} VALUES (1, 'a', 1, repeat('x', 9000))")
    connector = table.connector()
    _, position = table.read(connector, None, 1)
    table.execute(f"UPDATE {table.name} SET name = 'b'")
    (row,), _ = table.read(connector, position, 1)
    assert (row["_op"], row["name"], row["note"]) == ("update", "b", "x" * 9000)


@of_each
def test_a_new_column_flows_on_and_a_dropped_one_is_missing(captured: Callable[..., Captured]) -> None:
    table = captured()
    table.insert(0, 1)
    connector = table.connector()
    _, position = table.read(connector, None, 1)
    table.execute(f"ALTER TABLE {table.name} ADD COLUMN extra int")
    table.execute(f"INSERT INTO {table.name} (id, name, extra) VALUES (1, 'a', 7)")
    table.execute(f"ALTER TABLE {table.name} DROP COLUMN note")
    table.execute(f"INSERT INTO {table.name} (id, name, extra) VALUES (2, 'b', 8)")
    rows, _ = table.read(connector, position, 2)
    assert [(row["id"], row["note"], row["extra"]) for row in rows] == [(1, None, 7), (2, None, 8)]


@of_each
def test_truncate_stops_until_a_person_has_decided(captured: Callable[..., Captured]) -> None:
    table = captured()
    table.insert(0, 3)
    connector = table.connector()
    _, position = table.read(connector, None, 3)
    table.execute(f"TRUNCATE {table.name}")
    table.insert(10, 2)
    with pytest.raises(Fatal, match=r"TRUNCATE.*on_truncate: ignore"):
        table.read(connector, position, 2)
    rows, _ = table.read(table.connector(on_truncate="ignore"), position, 2)
    assert [row["id"] for row in rows] == [10, 11]


def test_a_dropped_slot_stops_it_and_only_a_new_number_takes_a_new_snapshot(captured: Callable[..., Captured]) -> None:
    table = captured()
    table.insert(0, 3)
    connector = table.connector()
    _, position = table.read(connector, None, 3)
    slot = Names(table.dataset, 1).slot

    def dropped() -> bool:
        mine = f"FROM pg_replication_slots WHERE slot_name = '{slot}'"
        table.asked(f"SELECT pg_terminate_backend(active_pid) {mine}")
        table.asked(f"SELECT pg_drop_replication_slot(slot_name)::text {mine} AND NOT active")
        return not table.asked(f"SELECT 1 {mine}")

    until(dropped, "the slot is dropped")
    table.insert(10, 1)
    for again in (connector, table.connector()):
        with pytest.raises(Fatal, match=r"dropped.*source\.snapshot` to 2"):
            table.read(again, position, 1)
    rows, position = table.read(table.connector(snapshot=2), position, 4)
    assert [(row["id"], row["_op"]) for row in rows] == [(number, "snapshot") for number in (0, 1, 2, 10)]
    table.insert(20, 1)
    rows, _ = table.read(table.connector(snapshot=2), position, 1)
    assert [(row["id"], row["_op"]) for row in rows] == [(20, "insert")]
    with pytest.raises(Fatal, match="only rises"):
        table.read(table.connector(), position, 1)


@of_each
def test_what_is_taken_away_leaves_nothing(captured: Callable[..., Captured], capturing: Stack) -> None:
    table = captured()
    table.insert(0, 3)
    table.read(table.connector(), None, 3)
    assert table.held() == table.holds
    name = Names(table.dataset, 1).connector
    for _ in range(2):
        assert table.connector().leave(name, tuple(table.holds)) == []
    assert table.held() == set()
    topics = (
        Consumer({"bootstrap.servers": capturing.bootstrap_servers, "group.id": "x"}).list_topics(timeout=10).topics
    )
    assert [each for each in topics if table.dataset in each] == []
    rows, _ = table.read(table.connector(), None, 3)
    assert len(rows) == 3, "it can be set up again"


def test_what_was_there_before_stays(captured: Callable[..., Captured]) -> None:
    table = captured()
    table.insert(0, 3)
    name, slot = Names(table.dataset, 1).connector, Names(table.dataset, 1).slot
    table.execute(f"CREATE PUBLICATION {slot} FOR TABLE {table.name}")
    seen = table.surroundings()
    table.read(table.connector(seen), None, 3)
    made = seen.holdings.made(name)
    assert made is not None
    assert set(made) == {SLOT}
    assert table.connector(seen).leave(name, made) == []
    assert table.held() == {PUBLICATION}


def test_what_cannot_be_taken_away_is_said_with_the_sql_that_does_it(captured: Callable[..., Captured]) -> None:
    """The rest is taken away: here the connector, so that nothing makes the slot anew."""
    table = captured()
    table.insert(0, 1)
    table.read(table.connector(), None, 1)
    name, slot = Names(table.dataset, 1).connector, Names(table.dataset, 1).slot
    left = table.connector(port=1).leave(name, (SLOT, PUBLICATION))
    assert [each.by_hand for each in left] == [
        f"SELECT pg_drop_replication_slot('{slot}')",
        f'DROP PUBLICATION IF EXISTS "{slot}"',
    ]
    assert table.held() == {SLOT, PUBLICATION}
    table.asked(f"{left[0].by_hand}::text")
    table.execute(left[1].by_hand)
    assert table.held() == set()


def everything(stack: Stack, topic: str) -> int:
    """How many records a topic has, of transactions that were given up too."""
    consumer = Consumer(
        {
            "bootstrap.servers": stack.bootstrap_servers,
            "group.id": "x",
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
        }
    )
    count = 0
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while (message := consumer.poll(10)) is not None and message.error() is None:
            count += 1
    finally:
        consumer.close()
    return count


def test_what_a_killed_worker_had_not_committed_is_not_read(
    captured: Callable[..., Captured], capturing: Stack
) -> None:
    """The control: a reader of all records sees it."""
    table = captured()
    table.insert(0, 3)
    connector = table.connector()
    _, position = table.read(connector, None, 3)
    topic = Names(table.dataset, 1).topic
    producer = Producer({"bootstrap.servers": capturing.bootstrap_servers, "transactional.id": table.dataset})
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic, b"what a dying worker wrote")
    producer.flush(10)
    producer.abort_transaction()
    table.insert(3, 1)
    rows, _ = table.read(connector, position, 1)
    assert [row["id"] for row in rows] == [3]
    assert everything(capturing, topic) == 5


@of_each
def test_a_null_stays_null_where_the_column_has_a_default(captured: Callable[..., Captured]) -> None:
    table = captured("id int PRIMARY KEY, name varchar(9) DEFAULT 'none', amount int DEFAULT 7")
    insert = f"INSERT INTO {table.name} VALUES ({{}}, NULL, NULL)"
    table.execute(insert.format(1))
    table.execute(f"INSERT INTO {table.name} (id) VALUES (2)")
    connector = table.connector()
    first, position = table.read(connector, None, 2)
    table.execute(insert.format(3))
    more, _ = table.read(connector, position, 1)
    assert [(row["name"], row["amount"]) for row in (*first, *more)] == [(None, None), ("none", 7), (None, None)]


@of_each
def test_numbers_stay_exact(captured: Callable[..., Captured]) -> None:
    table = captured()
    table.execute(f"INSERT INTO {table.name} VALUES (1, 'a', 9999999999.99, NULL), (2, 'b', NULL, NULL)")
    rows, _ = table.read(table.connector(), None, 2)
    assert [row["amount"] for row in rows] == [Decimal("9999999999.99"), None]


def test_what_has_been_read_is_deleted_from_the_topic_and_missed_by_who_has_not(
    captured: Callable[..., Captured],
) -> None:
    table = captured()
    table.insert(0, 3)
    connector = table.connector()
    _, position = table.read(connector, None, 3)
    connector.trim_every_s = 0.0
    table.insert(3, 1)
    _, position = table.read(connector, position, 1)
    assert list(connector.read(position)) == []
    with pytest.raises(Fatal, match=r"were not read.*source\.snapshot` to 2"):
        table.read(table.connector(), None, 4)
    table.insert(4, 1)
    rows, _ = table.read(table.connector(), position, 1)
    assert [row["id"] for row in rows] == [4]


def test_a_step_that_was_not_taken_to_its_end_is_gone_on_with(captured: Callable[..., Captured]) -> None:
    table = captured()
    table.insert(0, 9)
    connector = table.connector(table.surroundings(batch_rows=4))
    table.read(table.connector(), None, 9)
    fetched, position = next(iter(connector.read(None)))
    assert fetched.rows.column("id").to_pylist() == [0, 1, 2, 3]
    rows, _ = table.read(connector, position, 5)
    assert [row["id"] for row in rows] == [4, 5, 6, 7, 8]


@of_each
def test_a_check_says_what_the_worker_and_the_database_say(captured: Callable[..., Captured]) -> None:
    table = captured()
    steps = ["resolve", "worker", "table", *(["log"] if isinstance(table, CapturedOfMariaDb) else []), "capture"]
    assert [(step.name, step.ok) for step in table.connector().check()] == [(name, True) for name in steps]
    wrong = {"table": "no_such.table", "row_key": ["no_such_column"], "user": "nobody_at_all"}
    if "name" in table.settings():
        wrong["name"] = "no_such_database"
    for setting, value in wrong.items():
        step = list(table.connector(None, **{setting: value}).check())[-1]
        assert not step.ok
        assert (step.field or "").startswith("source.")


def test_a_topic_that_was_deleted_is_not_made_anew_in_silence(
    captured: Callable[..., Captured], capturing: Stack
) -> None:
    table = captured()
    table.insert(0, 3)
    _, position = table.read(table.connector(), None, 3)
    admin = AdminClient({"bootstrap.servers": capturing.bootstrap_servers})
    for deleted in admin.delete_topics([Names(table.dataset, 1).topic]).values():
        deleted.result(30)
    for place in (None, position):
        with pytest.raises(Fatal, match=r"deleted.*source\.snapshot` to 2"):
            table.read(table.connector(), place, 1)


@pytest.fixture
def ingesting(
    platform: Platform, capturing: Stack, another_port: Callable[[], int], tmp_path: Path
) -> Callable[[], AbstractContextManager[Ingest]]:
    """Starts ingest, which knows the Kafka Connect."""
    settings = capturing.settings
    told = {"connect_url": settings.connect_url, "connect_secrets": settings.connect_secrets}
    return lambda: ingest(platform, another_port(), tmp_path, **told)


def taken(platform: Platform, table: Captured) -> None:
    """Make the table a dataset, and wait until its three rows are read."""
    table.insert(0, 3)
    document = table.document()
    platform.apply(table.dataset, document["source"], key=document["key"], load=document["load"])


def holdings(gateway: TestClient, dataset: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.get("/api/v1/source-holdings", params={"dataset": dataset}).json()["items"]
    return found


def test_a_source_that_is_gone_leaves_nothing_and_others_are_let_be(
    platform: Platform,
    capturing: Stack,
    captured: Callable[..., Captured],
    ingesting: Callable[[], AbstractContextManager[Ingest]],
    gateway: TestClient,
    tmp_path: Path,
) -> None:
    """The control is the source that is still there."""
    removed, changed, released, control = tables = [captured() for _ in range(4)]
    (tmp_path / "rows.csv").write_text("id,name\n7,seven\n")
    with ingesting():
        for table in tables:
            taken(platform, table)
        for table in tables:
            until(lambda of=table: platform.rows_read(of.dataset) == 3, "the snapshot is read")  # type: ignore[misc]
            assert table.held() == {SLOT, PUBLICATION}
            held = [(Names(table.dataset, 1).connector, "held")]
            until(
                lambda of=table, held=held: (  # type: ignore[misc]
                    [(each["name"], each["state"]) for each in holdings(gateway, of.dataset)] == held
                ),
                "it is known to be held",
            )
        platform.retire(removed.dataset)
        platform.apply(
            changed.dataset, {"type": "file", "path": "rows.csv"}, version=2, key=["id"], load={"mode": "upsert"}
        )
        path = f"/api/v1/datasets/{released.dataset}/source"
        assert gateway.post(f"{path}/release", json={"because": "we moved"}).status_code == 202
        for table in (removed, changed, released):
            until(lambda of=table: not holdings(gateway, of.dataset), "nothing is kept")  # type: ignore[misc]
            assert table.held() == set()
            assert Connect(capturing.settings.connect_url).config(Names(table.dataset, 1).connector) is None
        assert control.held() == {SLOT, PUBLICATION}
        control.insert(10, 1)
        until(lambda: platform.rows_read(control.dataset) == 4, "the other one goes on")
        until(lambda: 7 in platform.column(changed.dataset, "id"), "the new source is read")

        platform.apply(released.dataset, released.settings(snapshot=2), version=2, key=["id"], load={"mode": "upsert"})
        assert gateway.post(f"{path}/resume").status_code == 200
        until(lambda: platform.rows_read(released.dataset) == 6, "it is taken up again, from a new snapshot")
    for table in (changed, released, control):
        platform.retire(table.dataset)


def test_what_was_begun_to_be_taken_away_is_taken_away_after_a_kill(
    platform: Platform,
    capturing: Stack,
    captured: Callable[..., Captured],
    ingesting: Callable[[], AbstractContextManager[Ingest]],
    gateway: TestClient,
) -> None:
    """The control: while nobody takes it away, it stands."""
    table, settings = captured(), capturing.settings
    with ingesting() as first:
        taken(platform, table)
        until(lambda: platform.rows_read(table.dataset) == 3, "the snapshot is read")
        first.kill()
    platform.retire(table.dataset)
    assert table.held() == {SLOT, PUBLICATION}
    until(lambda: [left["state"] for left in holdings(gateway, table.dataset)] == ["held"], "it is known to be held")
    local.kill(settings, "connect")
    with ingesting() as second:
        until(lambda: table.held() == set(), "the slot does not wait for Kafka Connect")
        until(lambda: any(left["message"] for left in holdings(gateway, table.dataset)), "what is left is said")
        (left,) = holdings(gateway, table.dataset)
        assert (left["state"], left["because"]) == ("leaving", "the dataset was removed")
        assert f"/connectors/{Names(table.dataset, 1).connector}" in left["message"]
        second.kill()
    local.up(settings, only=["connect"])  # the connector runs again, and may make its slot anew
    with ingesting():
        until(lambda: not holdings(gateway, table.dataset), "the rest is taken away")
    assert table.held() == set()
    assert Connect(settings.connect_url).config(Names(table.dataset, 1).connector) is None


def test_what_cannot_be_taken_away_is_said_until_somebody_gives_it_up(
    platform: Platform,
    captured: Callable[..., Captured],
    ingesting: Callable[[], AbstractContextManager[Ingest]],
    gateway: TestClient,
) -> None:
    """As of a dataset whose database is gone."""
    table = captured(port=1)
    contract = Contract.from_json(json.dumps(table.document()))
    name, slot = Names(table.dataset, 1).connector, Names(table.dataset, 1).slot
    held = Holding(name, table.dataset, "held", datetime.now(UTC), (SLOT, PUBLICATION), contract.canonical_json())
    HoldingLog(platform.connection, platform.controls).change(name, lambda _: held)
    release = f"/api/v1/datasets/{table.dataset}/source/release"
    with ingesting():
        until(lambda: any(left["message"] for left in holdings(gateway, table.dataset)), "what is left is said")
        assert f"SELECT pg_drop_replication_slot('{slot}')" in holdings(gateway, table.dataset)[0]["message"]
        assert gateway.post(release, json={"because": "it is gone"}).status_code == 202
        assert len(holdings(gateway, table.dataset)) == 1, "the control: it is not given up by being asked again"
        assert gateway.post(release, json={"because": "it is gone", "abandon": True}).status_code == 202
        until(lambda: not holdings(gateway, table.dataset), "it is given up")
    assert gateway.post(release, json={"because": "it is gone"}).status_code == 404

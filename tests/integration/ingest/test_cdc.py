"""Changes of a real PostgreSQL come through a real Debezium exactly once, whatever happens to the worker in between."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.local import stack as local
from headrace.connector.conformance import Conformance, Row
from headrace.errors import Fatal
from services.ingest.connectors.cdc import __main__ as remove
from services.ingest.connectors.cdc.names import Names
from tests.integration.ingest.captured import Captured, UnderTest, without_worker
from tests.integration.ingest.running import until
from tests.stack import Stack


@pytest.fixture(scope="module")
def capturing(stack: Stack) -> Iterator[Stack]:
    """The stack with Kafka Connect, which is left out of it again."""
    local.up(stack.settings, only=["connect"])
    yield stack
    without_worker(stack)


@pytest.fixture
def captured(capturing: Stack, postgres_url: str) -> Iterator[Callable[..., Captured]]:
    """Tables, taken away at the end with all that was set up for them."""
    made: list[Captured] = []

    def table(*arguments: Any, **settings: Any) -> Captured:
        made.append(Captured(postgres_url, capturing, *arguments, **settings))
        return made[-1]

    yield table
    for each in made:
        each.close()


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
    assert (deleted["name"], deleted["amount"]) == (None, None), "what the log does not have is not made up"


def test_a_large_value_that_an_update_does_not_touch_stays(captured: Callable[..., Captured]) -> None:
    table = captured()
    table.execute(f"ALTER TABLE {table.name} ALTER note SET STORAGE EXTERNAL")
    table.execute(f"INSERT INTO {table.name} VALUES (1, 'a', 1, repeat('x', 9000))")
    connector = table.connector()
    _, position = table.read(connector, None, 1)
    table.execute(f"UPDATE {table.name} SET name = 'b'")
    (row,), _ = table.read(connector, position, 1)
    assert (row["_op"], row["name"], row["note"]) == ("update", "b", "x" * 9000)


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


def test_cleanup_leaves_nothing(captured: Callable[..., Captured], capturing: Stack) -> None:
    table = captured()
    table.insert(0, 3)
    table.read(table.connector(), None, 3)
    slot = Names(table.dataset, 1).slot
    held = (
        f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{slot}' "
        f"UNION ALL SELECT 2 FROM pg_publication WHERE pubname = '{slot}'"
    )
    assert len(table.asked(held)) == 2
    table.connector().cleanup()
    assert table.asked(held) == []
    topics = (
        Consumer({"bootstrap.servers": capturing.bootstrap_servers, "group.id": "x"}).list_topics(timeout=10).topics
    )
    assert [name for name in topics if table.dataset in name] == []
    rows, _ = table.read(table.connector(), None, 3)
    assert len(rows) == 3, "it can be set up again"


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


def test_a_check_says_what_the_worker_and_the_database_say(captured: Callable[..., Captured]) -> None:
    table = captured()
    assert [(step.name, step.ok) for step in table.connector().check()] == [
        ("resolve", True),
        ("worker", True),
        ("table", True),
        ("capture", True),
    ]
    wrong = {
        "table": "no_such_table",
        "row_key": ["no_such_column"],
        "name": "no_such_database",
        "user": "nobody_at_all",
    }
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


def test_the_command_takes_everything_away(
    captured: Callable[..., Captured], capturing: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = captured()
    table.insert(0, 3)
    table.read(table.connector(), None, 3)
    told = {
        "BOOTSTRAP_SERVERS": capturing.bootstrap_servers,
        "REGISTRY_URL": capturing.registry_url,
        "CONNECT_URL": capturing.settings.connect_url,
        "CONNECT_SECRETS": str(capturing.settings.connect_secrets),
        "SOURCE_NETWORKS": '["127.0.0.0/8"]',
    }
    for name, value in told.items():
        monkeypatch.setenv(f"HEADRACE_{name}", value)
    file = tmp_path / "orders.yaml"
    file.write_text(json.dumps(table.document()))
    assert remove.main([str(file)]) == 0
    slot = Names(table.dataset, 1).slot
    assert table.asked(f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{slot}'") == []
    file.write_text("dataset: a")
    assert remove.main([str(file)]) == 1

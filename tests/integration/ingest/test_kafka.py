"""The `kafka` connector on a real broker and registry: what is committed is read once, whatever happens in the topic."""

import io
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from headrace.connector import Connector, Ranged, SourceRow, Stretch, Surroundings, opened
from headrace.connector.conformance import LOOPBACK, Conformance, Row
from headrace.errors import Fatal, Transient
from headrace.stream import topics
from headrace.stream.codec.wire import header
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from services.ingest.connectors.kafka.settings import KafkaSource
from tests.integration.ingest.running import Ingest, Platform, ingest, until
from tests.stack import Stack, eventually, free_ports, let_commits_arrive

Message = tuple[bytes | None, bytes | None]
"""A key and a value."""


class SourceTopic:
    """A topic of its own, as those who write to it see it."""

    def __init__(self, stack: Stack, partitions: int = 1) -> None:
        self.stack = stack
        self.name = f"shop.t-{uuid.uuid4().hex[:10]}"
        self.connection = Connection(stack.bootstrap_servers)
        self.admin = AdminClient(self.connection.client())
        kafka_topics.ensure(self.connection, {self.name: partitions})

    def write(self, *values: bytes | None, key: bytes | None = None, partition: int = 0, **more: Any) -> None:
        producer = Producer(self.connection.client(linger_ms=5))
        for value in values:
            producer.produce(self.name, value, key, partition=partition, **more)
        assert producer.flush(30) == 0

    def transaction(self, *values: bytes, commit: bool) -> None:
        producer = Producer(self.connection.client(transactional_id=f"{self.name}-{uuid.uuid4().hex}"))
        producer.init_transactions(30)
        producer.begin_transaction()
        for value in values:
            producer.produce(self.name, value, partition=0)
        assert producer.flush(30) == 0
        if commit:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
        let_commits_arrive(self.connection, self.name)

    def grow(self, partitions: int) -> None:
        self.admin.create_partitions([NewPartitions(self.name, partitions)])[self.name].result(30)
        eventually(
            lambda: len(self.admin.list_topics(self.name, timeout=10).topics[self.name].partitions) == partitions,
            30,
            "the topic has more partitions",
        )

    def delete_before(self, offset: int) -> None:
        """As retention does."""
        self.admin.delete_records([TopicPartition(self.name, 0, offset)])[TopicPartition(self.name, 0)].result(30)

    def source(self, **settings: Any) -> KafkaSource:
        where = {"type": "kafka", "bootstrap_servers": self.stack.bootstrap_servers, "topic": self.name}
        return KafkaSource.model_validate({**where, **settings})

    def connect(self, batch_rows: int = 1000, schema: pa.Schema | None = None, **settings: Any) -> Connector:
        surroundings = Surroundings("shop.orders", schema, batch_rows=batch_rows, targets=LOOPBACK)
        return opened(self.source(**settings), surroundings)


@pytest.fixture
def topic(stack: Stack) -> SourceTopic:
    return SourceTopic(stack)


AVRO = json.dumps(
    {
        "type": "record",
        "name": "order",
        "fields": [{"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"], "default": None}],
    }
)


def body(avro: str, record: Any) -> bytes:
    content = io.BytesIO()
    fastavro.schemaless_writer(content, fastavro.parse_schema(json.loads(avro)), record)
    return content.getvalue()


def numbered(first: int, count: int) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"n{number}"} for number in range(first, first + count)]


class Written:
    """A topic with known rows, in one of the formats."""

    def __init__(self, topic: SourceTopic, form: str) -> None:
        self._topic = topic
        self._form = form
        self.rows: list[Row] = []
        registry = {"registry": {"url": topic.stack.registry_url}}
        encodings: dict[str, dict[str, Any]] = {
            "json": {"format": "json"},
            "avro": {"format": "avro", **registry},
            "bare": {"format": "avro", "avro_schema": AVRO},
            "string": {"format": "string", "column": "name"},
        }
        self._settings = {"value": encodings[form]}
        self._id = Registry(topic.stack.registry_url).register(f"{topic.name}-value", AVRO) if form == "avro" else 0
        self.add()
        self.add()

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        rows: list[dict[str, Any]] = numbered(len(self.rows), 20)
        match self._form:
            case "json":
                values = [json.dumps(row).encode() for row in rows]
            case "string":
                values = [row["name"].encode() for row in rows]
                rows = [{"name": row["name"]} for row in rows]
            case "avro":
                values = [header(self._id) + body(AVRO, row) for row in rows]
            case _:
                values = [body(AVRO, row) for row in rows]
        self._topic.write(*values)
        self.rows += rows
        return rows

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(self._topic.source(**self._settings), surroundings)

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        (port,) = free_ports(1)
        source = self._topic.source(bootstrap_servers=f"127.0.0.1:{port}")
        return opened(source, Surroundings("shop.orders", targets=LOOPBACK))


@pytest.mark.parametrize("form", ["json", "avro", "bare", "string"])
class TestTopic(Conformance):
    @pytest.fixture
    def source(self, topic: SourceTopic, form: str) -> Written:
        return Written(topic, form)


def lines(first: int, count: int) -> list[bytes]:
    return [json.dumps(row).encode() for row in numbered(first, count)]


def read(connector: Connector, position: str | None = None) -> tuple[list[int], str | None, list[SourceRow]]:
    """The ids that are read, how far that is, and what is set aside."""
    found: list[int] = []
    aside: list[SourceRow] = []
    for fetched, reached in connector.read(position):
        position = reached
        if "id" in fetched.rows.schema.names:
            found += fetched.rows.column("id").to_pylist()  # type: ignore[arg-type]
        aside += fetched.rejected
    return found, position, aside


class TestTransactions:
    def write(self, topic: SourceTopic) -> None:
        topic.transaction(*lines(0, 5), commit=True)
        topic.transaction(*lines(100, 5), commit=False)
        topic.transaction(*lines(5, 5), commit=True)
        topic.transaction(*lines(200, 5), commit=False)

    def test_what_was_aborted_is_never_shown(self, topic: SourceTopic) -> None:
        self.write(topic)
        found, position, _ = read(topic.connect(batch_rows=3))
        assert found == list(range(10))
        assert position == '{"0": 24}', "the marks of transactions have offsets too, and are behind it"
        assert read(topic.connect(), position) == ([], position, [])

    def test_the_control_read_uncommitted_shows_it(self, topic: SourceTopic) -> None:
        self.write(topic)
        found, _, _ = read(topic.connect(isolation="read_uncommitted"))
        assert found == [*range(5), *range(100, 105), *range(5, 10), *range(200, 205)]

    def test_what_stands_behind_an_open_transaction_waits_for_it(self, topic: SourceTopic) -> None:
        producer = Producer(topic.connection.client(transactional_id=topic.name))
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(topic.name, lines(0, 1)[0], partition=0)
        assert producer.flush(30) == 0
        topic.write(*lines(1, 3))
        found, position, _ = read(topic.connect())
        assert found == []
        producer.commit_transaction(30)
        let_commits_arrive(topic.connection, topic.name)
        assert read(topic.connect(), position)[0] == [0, 1, 2, 3]

    def test_another_isolation_level_is_not_taken_for_another_topic(self, topic: SourceTopic) -> None:
        producer = Producer(topic.connection.client(transactional_id=topic.name))
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(topic.name, lines(0, 1)[0], partition=0)
        assert producer.flush(30) == 0
        found, position, _ = read(topic.connect(isolation="read_uncommitted"))
        assert found == [0]
        assert read(topic.connect(), position) == ([], position, [])
        producer.abort_transaction(30)


class TestLostMessages:
    def test_what_was_deleted_before_it_was_read_is_said(self, topic: SourceTopic) -> None:
        topic.write(*lines(0, 5))
        _, position, _ = read(topic.connect())
        topic.write(*lines(5, 10))
        topic.delete_before(8)
        with pytest.raises(Fatal, match=r"partition 0 has lost offsets 5 to 7: up to 3 messages.*on_lost: continue"):
            read(topic.connect(), position)

    def test_the_control_what_was_read_may_be_deleted(self, topic: SourceTopic) -> None:
        topic.write(*lines(0, 5))
        _, position, _ = read(topic.connect())
        topic.write(*lines(5, 10))
        topic.delete_before(5)
        assert read(topic.connect(), position)[0] == list(range(5, 15))

    def test_reading_goes_on_when_the_source_says_so(
        self, topic: SourceTopic, caplog: pytest.LogCaptureFixture
    ) -> None:
        topic.write(*lines(0, 5))
        _, position, _ = read(topic.connect())
        topic.write(*lines(5, 10))
        topic.delete_before(8)
        assert read(topic.connect(on_lost="continue"), position)[0] == list(range(8, 15))
        assert "has lost offsets 5 to 7" in caplog.text

    def test_it_is_said_as_well_when_it_happens_while_it_is_read(self, topic: SourceTopic) -> None:
        topic.write(*lines(0, 5))
        first = topic.connect(batch_rows=1)
        steps = first.read(None)
        _, position = next(steps)
        steps.close()  # type: ignore[attr-defined]
        assert position == '{"0": 1}'
        topic.delete_before(3)
        with pytest.raises(Fatal, match="lost offsets 1 to 2"):
            read(first, position)

    def test_a_topic_that_was_made_anew_is_not_taken_for_the_one_that_was_read(self, topic: SourceTopic) -> None:
        topic.write(*lines(0, 5))
        _, position, _ = read(topic.connect())
        topic.admin.delete_topics([topic.name])[topic.name].result(30)
        eventually(lambda: topic.name not in topic.admin.list_topics(timeout=10).topics, 30, "the topic is gone")
        with pytest.raises(Transient, match="it was read before"):
            read(topic.connect(), position)
        kafka_topics.ensure(topic.connection, {topic.name: 1})
        topic.write(*lines(0, 2))
        with pytest.raises(Fatal, match="was read up to offset 5, and now ends at offset 2: its topic was made anew"):
            read(topic.connect(), position)
        assert read(topic.connect(on_lost="continue"), position)[0] == [0, 1]


class TestStart:
    def test_latest_begins_behind_what_is_there(self, topic: SourceTopic) -> None:
        topic.write(*lines(0, 5))
        found, position, _ = read(topic.connect(start="latest"))
        assert found == []
        assert position == '{"0": 5}', "it is kept, so that what comes before the next reading is not missed"
        topic.write(*lines(5, 5))
        assert read(topic.connect(start="latest"), position)[0] == list(range(5, 10))

    def test_a_time_begins_with_the_first_message_that_is_not_older(self, topic: SourceTopic) -> None:
        day_ms = 86_400_000
        for day in range(5):
            topic.write(*lines(day, 1), timestamp=1_700_000_000_000 + day * day_ms)
        assert read(topic.connect(start="timestamp", start_time="2023-11-16T22:13:20Z"))[0] == [2, 3, 4]
        assert read(topic.connect(start="timestamp", start_time="2030-01-01T00:00:00+01:00"))[0] == []

    def test_partitions_that_come_later_are_read_from_their_start(self, topic: SourceTopic) -> None:
        topic.write(*lines(0, 5))
        _, position, _ = read(topic.connect(start="latest"))
        topic.grow(3)
        topic.write(*lines(5, 5), partition=2)
        found, position, _ = read(topic.connect(start="latest"), position)
        assert found == list(range(5, 10))
        assert position == '{"0": 5, "1": 0, "2": 5}'

    def test_messages_of_several_partitions_are_each_read_once(self, stack: Stack) -> None:
        topic = SourceTopic(stack, partitions=4)
        for partition in range(4):
            topic.write(*lines(partition * 100, 100), partition=partition)
        steps = list(topic.connect(batch_rows=30).read(None))
        for _, position in (steps[0], steps[len(steps) // 2], steps[-2]):
            before = next(number for number, (_, reached) in enumerate(steps, 1) if reached == position)
            found = [number for fetched, _ in steps[:before] for number in fetched.rows.column("id").to_pylist()]
            rest, _, _ = read(topic.connect(batch_rows=30), position)
            assert sorted([*found, *rest]) == list(range(400))  # type: ignore[type-var]


class TestBadMessages:
    def test_each_is_set_aside_alone(self, topic: SourceTopic) -> None:
        topic.write(*lines(0, 3), b"not JSON", b"\xff\xfe", b"[1]", b'{"id": "x", "name": "y"}', b"", *lines(3, 3))
        topic.write(b'{"id": 6, "name": "' + b"x" * 2000 + b'"}', *lines(7, 1))
        topic.write(b'{"id": 8,\n "name": "of two lines"}', b'{"id": 1}\n{"id": 2}')
        columns: list[pa.Field] = [pa.field("id", pa.int64()), pa.field("name", pa.string())]
        found, _, aside = read(topic.connect(schema=pa.schema(columns), max_record_bytes=1000))
        assert found == [0, 1, 2, 3, 4, 5, 7, 8]
        places = {row.source.removeprefix(topic.name): row.reason for row in aside}
        assert places == {
            "[0]@3": "unreadable_row",
            "[0]@4": "unreadable_row",
            "[0]@5": "unreadable_row",
            "[0]@6": "wrong_type",
            "[0]@7": "unreadable_row",
            "[0]@11": "too_large",
            "[0]@14": "unreadable_row",
        }
        assert [row.raw for row in aside][:2] == [b"not JSON", b"\xff\xfe"]

    def test_two_halves_of_an_object_are_not_one(self, topic: SourceTopic) -> None:
        topic.write(*lines(0, 2), b'{"id": 7}\n{"name": ', b'{"id": 8}}')
        found, _, aside = read(topic.connect())
        assert found == [0, 1]
        assert len(aside) == 2

    def test_avro_that_is_none_of_its_schema_is_set_aside(self, topic: SourceTopic) -> None:
        registry = Registry(topic.stack.registry_url)
        known = registry.register(f"{topic.name}-value", AVRO)
        good = [header(known) + body(AVRO, row) for row in numbered(0, 3)]
        topic.write(good[0], b"no header", header(known) + b"\xff", good[1], header(known), good[2])
        avro = {"format": "avro", "registry": {"url": topic.stack.registry_url}}
        found, _, aside = read(topic.connect(value=avro))
        assert found == [0, 1, 2]
        assert [(row.reason, row.source.partition("@")[2]) for row in aside] == [
            ("not_wire_format", "1"),
            ("undecodable", "2"),
            ("undecodable", "4"),
        ]


class TestUnknownSchemas:
    """A registry that has just started denies schemas it has not read yet."""

    UNKNOWN = 2_000_000_000

    def written(self, topic: SourceTopic) -> dict[str, Any]:
        known = Registry(topic.stack.registry_url).register(f"{topic.name}-value", AVRO)
        good = [header(known) + body(AVRO, row) for row in numbered(0, 4)]
        topic.write(good[0], good[1], header(self.UNKNOWN) + good[2][5:], good[3])
        return {"format": "avro", "registry": {"url": topic.stack.registry_url}}

    def test_a_message_whose_schema_is_denied_waits_with_those_behind_it(self, topic: SourceTopic) -> None:
        connector = topic.connect(value=self.written(topic))
        found, position, aside = read(connector)
        assert (found, aside) == ([0, 1], [])
        assert position == '{"0": 2}'
        assert connector.waiting
        assert read(connector, position) == ([], position, [])

    def test_other_partitions_go_on(self, topic: SourceTopic) -> None:
        topic.grow(2)
        avro = self.written(topic)
        known = Registry(topic.stack.registry_url).register(f"{topic.name}-value", AVRO)
        topic.write(*(header(known) + body(AVRO, row) for row in numbered(100, 50)), partition=1)
        found, position, _ = read(topic.connect(value=avro, batch_rows=2))
        assert sorted(found) == [0, 1, *range(100, 150)]
        assert position == '{"0": 2, "1": 50}'

    def test_the_control_without_patience_it_is_set_aside(self, topic: SourceTopic) -> None:
        avro = self.written(topic)
        avro["registry"]["patience_s"] = 0.0
        found, position, aside = read(topic.connect(value=avro))
        assert found == [0, 1, 3]
        assert position == '{"0": 4}'
        assert [(row.reason, row.source.partition("@")[2]) for row in aside] == [("unknown_schema", "2")]

    def test_a_registry_that_is_down_is_waited_for(self, topic: SourceTopic) -> None:
        avro = self.written(topic)
        (port,) = free_ports(1)
        avro["registry"]["url"] = f"http://127.0.0.1:{port}"
        with pytest.raises(Transient, match="asking the registry"):
            read(topic.connect(value=avro))


class TestTombstones:
    def write(self, topic: SourceTopic) -> None:
        topic.write(lines(0, 1)[0], key=b"0")
        topic.write(lines(1, 1)[0], key=b"1")
        topic.write(None, key=b"0")
        topic.write(None, key=None)
        topic.write(lines(2, 1)[0], key=b"2")

    def test_they_are_passed_over(self, topic: SourceTopic) -> None:
        self.write(topic)
        assert read(topic.connect()) == ([0, 1, 2], '{"0": 5}', [])

    def test_or_delete_the_row_of_their_key(self, topic: SourceTopic) -> None:
        self.write(topic)
        key = {"format": "string", "columns": ["id"]}
        ((fetched, _),) = topic.connect(tombstones="delete", key=key).read(None)
        assert fetched.rows.to_pylist() == [
            {"id": 0, "name": "n0", "_op": "insert"},
            {"id": 1, "name": "n1", "_op": "insert"},
            {"id": 0, "name": None, "_op": "delete"},
            {"id": 2, "name": "n2", "_op": "insert"},
        ]
        assert [(row.reason, row.source.partition("@")[2]) for row in fetched.rejected] == [("missing_value", "3")]


def test_what_a_message_is_beside_its_value_becomes_columns_that_are_asked_for(topic: SourceTopic) -> None:
    topic.write(*lines(0, 1), key=b"k", timestamp=1_700_000_000_123, headers=[("a", b"1"), ("a", b"2")])
    topic.write(*lines(1, 1), timestamp=1_700_000_000_000)
    topic.write(*lines(2, 1), key=b"\xff")
    names = {"key": "k", "partition": "p", "offset": "o", "timestamp": "t", "headers": "h"}
    ((fetched, _),) = topic.connect(metadata=names).read(None)
    first, second = fetched.rows.to_pylist()
    assert first["t"].isoformat() == "2023-11-14T22:13:20.123000+00:00"
    assert {name: first[name] for name in "kpoh"} == {
        "k": "k",
        "p": 0,
        "o": 0,
        "h": [{"name": "a", "value": b"1"}, {"name": "a", "value": b"2"}],
    }
    assert {name: second[name] for name in ("id", "k", "h")} == {"id": 1, "k": None, "h": []}
    assert [(row.reason, row.column) for row in fetched.rejected] == [("unreadable_row", "k")]


class TestChecks:
    @pytest.mark.parametrize(
        ("settings", "field", "said"),
        [
            ({"topic": "shop.none"}, "source.topic", "has no topic shop.none"),
            ({"bootstrap_servers": "no-such-host.invalid:9092"}, "source.bootstrap_servers", "is not found"),
            ({"value": {"format": "avro", "avro_schema": AVRO}}, "source.value", "can be decoded"),
        ],
    )
    def test_what_is_wrong_is_found_before_anything_is_read(
        self, topic: SourceTopic, settings: dict[str, Any], field: str, said: str
    ) -> None:
        topic.write(*lines(0, 3))
        step = list(topic.connect(**settings).check())[-1]
        assert (step.ok, step.field) == (False, field)
        assert said in step.message

    def test_a_topic_that_is_not_there_stops_the_source_and_is_not_made(self, topic: SourceTopic) -> None:
        with pytest.raises(Fatal, match=r"has no topic shop\.none"):
            read(topic.connect(topic="shop.none"))
        assert "shop.none" not in topic.admin.list_topics(timeout=10).topics

    def test_a_network_that_is_not_allowed_is_not_reached(self, topic: SourceTopic) -> None:
        connector = opened(topic.source(), Surroundings("shop.orders"))
        (step,) = connector.check()
        assert (step.name, step.ok, step.field) == ("resolve", False, "source.bootstrap_servers")
        with pytest.raises(Fatal, match="in a private network"):
            read(connector)


def test_a_group_is_neither_joined_nor_left_behind(topic: SourceTopic) -> None:
    topic.write(*lines(0, 5))
    assert read(topic.connect())[0] == list(range(5))
    listed = topic.admin.list_consumer_groups(request_timeout=10).result(10)
    assert "headrace-shop.orders" not in {group.group_id for group in listed.valid}


ROWS = 5000


def test_kill_9_in_the_middle_loses_nothing_and_doubles_nothing(
    platform: Platform,
    dataset: str,
    port: int,
    tmp_path: Path,
    another_port: Callable[[], int],
    stack: Stack,
) -> None:
    topic = SourceTopic(stack, partitions=3)
    for partition in range(3):
        topic.write(
            *lines(partition * ROWS // 3, (partition + 1) * ROWS // 3 - partition * ROWS // 3), partition=partition
        )
    source = {"type": "kafka", "bootstrap_servers": stack.bootstrap_servers, "topic": topic.name}
    platform.apply(dataset, source)
    first = Ingest(platform, port, tmp_path, max_batch_rows=20).wait()
    try:
        until(lambda: first.rows_in(dataset) >= ROWS // 3, "a part of the topic is read")
    finally:
        first.kill()
    assert platform.rows_read(dataset) < ROWS, "the test came too late to interrupt anything"
    with ingest(platform, another_port(), tmp_path):
        until(lambda: platform.caught_up(dataset, ROWS), "the topic is read to its end")
    assert platform.column(dataset, "id") == list(range(ROWS))
    assert platform.books(dataset) == {"rows_in": ROWS, "emitted": ROWS}


def test_without_its_position_the_same_topic_is_read_twice(
    platform: Platform, dataset: str, port: int, tmp_path: Path, topic: SourceTopic
) -> None:
    """The control of the test above."""
    topic.write(*lines(0, 100))
    platform.apply(dataset, {"type": "kafka", "bootstrap_servers": platform.bootstrap_servers, "topic": topic.name})
    with ingest(platform, port, tmp_path):
        until(lambda: platform.caught_up(dataset, 100), "the topic is read")
    platform.forget_position(dataset)
    with ingest(platform, port, tmp_path):
        until(lambda: len(platform.messages(topics.raw(dataset))) >= 200, "the topic is read again")
    assert platform.column(dataset, "id") == sorted([*range(100), *range(100)])


def test_deletions_reach_the_raw_topic(
    platform: Platform, dataset: str, port: int, tmp_path: Path, topic: SourceTopic
) -> None:
    TestTombstones().write(topic)
    source = {
        "type": "kafka",
        "bootstrap_servers": platform.bootstrap_servers,
        "topic": topic.name,
        "tombstones": "delete",
        "key": {"columns": ["id"]},
    }
    platform.apply(dataset, source, key=["id"], partitions=1)
    with ingest(platform, port, tmp_path):
        until(lambda: platform.caught_up(dataset, 5), "the topic is read")
    table = platform.rows(dataset).select(["id", "name", "_op"]).to_pylist()
    assert [tuple(row.values()) for row in table] == [
        (0, "n0", "insert"),
        (1, "n1", "insert"),
        (0, None, "delete"),
        (2, "n2", "insert"),
    ]


def test_messages_of_a_stretch_of_time_are_read_again_and_no_others(topic: SourceTopic) -> None:
    for number in range(6):
        topic.write(json.dumps({"id": number}).encode(), timestamp=1_767_225_600_000 + number * 1000)
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    stretch = Stretch(new_year.replace(second=1), new_year.replace(second=4))
    found = topic.connect(batch_rows=2)
    assert isinstance(found, Ranged)
    steps = list(found.read_range(stretch, None))
    assert [row["id"] for fetched, _ in steps for row in fetched.rows.to_pylist()] == [1, 2, 3]
    another = topic.connect(batch_rows=2)
    assert isinstance(another, Ranged)
    after = another.read_range(stretch, steps[0][1])
    read = len(steps[0][0].rows)
    assert [row["id"] for fetched, _ in after for row in fetched.rows.to_pylist()] == [1, 2, 3][read:]

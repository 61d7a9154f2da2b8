"""The parts of the `kafka` connector that need no broker: positions, what bytes mean, and whom it would speak to."""

import base64
import datetime as dt
import io
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from headrace.connector import Surroundings, Targets
from headrace.connector.conformance import LOOPBACK
from headrace.errors import Fatal, Transient
from headrace.stream.codec.wire import header
from headrace.stream.stage import Records
from services.ingest.connectors.kafka import offsets
from services.ingest.connectors.kafka.avro import WireDecoder, bare_decoder
from services.ingest.connectors.kafka.cluster import Cluster
from services.ingest.connectors.kafka.connector import opened
from services.ingest.connectors.kafka.metadata import Metadata
from services.ingest.connectors.kafka.offsets import Bounds, Gap
from services.ingest.connectors.kafka.registry import Denials, ForeignRegistry, inlined
from services.ingest.connectors.kafka.servers import Server, servers_of
from services.ingest.connectors.kafka.settings import KafkaSource
from services.ingest.connectors.kafka.tombstones import DeletingDecoder, SkippingDecoder
from services.ingest.connectors.kafka.topic import Messages
from services.ingest.connectors.kafka.values import Decoded, JsonDecoder, PlainDecoder

EMPTY = pa.schema([])


def messages(*values: bytes | None, keys: Sequence[bytes | None] | None = None) -> Messages:
    count = len(values)
    places = pa.array([0] * count, pa.int32()), pa.array(range(count), pa.int64()), pa.array([1000] * count, pa.int64())
    return Messages(Records("t", *places, list(keys or [None] * count), list(values)))


class TestServers:
    def test_a_list_of_brokers(self) -> None:
        assert servers_of("a:9092, b.example.com:1,[::1]:9093") == [
            Server("a", 9092),
            Server("b.example.com", 1),
            Server("::1", 9093),
        ]

    @pytest.mark.parametrize("text", ["", "a", "a:", "a:0", "a:65536", "a:1,", "a:1;b:2", "http://a:1", "u:p@a:1"])
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="brokers as"):
            servers_of(text)


class TestPositions:
    @given(st.dictionaries(st.integers(0, 1000), st.integers(0, 2**62)))
    def test_they_come_back_from_their_text(self, position: dict[int, int]) -> None:
        assert offsets.from_json(offsets.to_json(position)) == position

    def test_there_is_none_before_the_first(self) -> None:
        assert offsets.from_json(None) is None

    def test_what_is_missing_in_front_of_them(self) -> None:
        bounds = {0: Bounds(5, 9), 1: Bounds(5, 9), 2: Bounds(5, 9), 3: Bounds(5, 9)}
        found = offsets.gaps({0: 5, 1: 9, 2: 3, 3: 10, 4: 1, 5: 0}, bounds)
        assert found == [Gap(2, 3, Bounds(5, 9)), Gap(3, 10, Bounds(5, 9)), Gap(4, 1, Bounds(0, 0))]
        assert [gap.resume for gap in found] == [5, 5, 0]
        assert "lost offsets 3 to 4: up to 2 messages" in str(found[0])
        assert "made anew" in str(found[1])

    def test_what_is_left(self) -> None:
        assert offsets.left({0: 3, 1: 9, 2: 0}, {0: 5, 1: 7}) == 2


class TestDenials:
    def test_a_denial_is_believed_after_a_while(self) -> None:
        denials = Denials(60)
        assert not denials.believed(7, 100)
        assert not denials.believed(7, 159)
        assert denials.believed(7, 160)

    def test_a_registry_that_is_watched_is_believed_of_others_as_well(self) -> None:
        denials = Denials(60)
        assert not any(denials.believed(7, second) for second in range(60))
        assert denials.believed(8, 61)

    def test_one_that_was_not_watched_may_have_started_anew(self) -> None:
        denials = Denials(60)
        assert not denials.believed(7, 0)
        assert denials.believed(7, 70)
        assert not denials.believed(8, 71)

    def test_a_schema_that_was_found_begins_anew(self) -> None:
        denials = Denials(60)
        denials.believed(7, 0)
        denials.found(7)
        assert not denials.believed(7, 70)


class Registry:
    """A registry that says what it is told to say, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append((self.command, self.path, self.headers.get("Authorization")))
                status, answer = registry.answers.get(self.path, (404, {"error_code": 40403, "message": "none"}))
                body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if status == 302:
                    self.send_header("Location", "http://169.254.169.254/")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def serving() -> Iterator[Registry]:
    registry = Registry()
    thread = threading.Thread(target=registry.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        registry.server.shutdown()
        registry.server.server_close()
        thread.join()


class TestRegistry:
    def test_a_schema_is_found(self) -> None:
        with serving() as registry:
            registry.answers["/schemas/ids/7"] = 200, {"schema": '"long"'}
            assert ForeignRegistry(registry.url, LOOPBACK).schema(7) == '"long"'
            assert ForeignRegistry(registry.url, LOOPBACK).schema(8) is None

    def test_whoever_has_to_says_who_it_is(self) -> None:
        with serving() as registry:
            registry.answers["/schemas/ids/7"] = 200, {"schema": '"long"'}
            client = ForeignRegistry(registry.url, LOOPBACK, "me", lambda: SecretStr("hush"))
            client.schema(7)
            assert registry.asked == [("GET", "/schemas/ids/7", f"Basic {base64.b64encode(b'me:hush').decode()}")]
            assert "hush" not in repr(client)

    @pytest.mark.parametrize(
        ("status", "answer", "error", "said"),
        [
            (404, {"message": "no route"}, Transient, "answered 404 no route"),
            (500, {}, Transient, "answered 500"),
            (503, "<html>", Transient, "answered 503"),
            (200, "<html>", Transient, "answered 200"),
            (401, {"message": "who?"}, Fatal, r"401 who\?; correct the username"),
            (302, "", Fatal, "redirects are not followed"),
            (422, {}, Fatal, "correct source.value.registry"),
        ],
    )
    def test_what_other_answers_mean(self, status: int, answer: Any, error: type[Exception], said: str) -> None:
        with serving() as registry:
            registry.answers["/schemas/ids/7"] = status, answer
            with pytest.raises(error, match=said):
                ForeignRegistry(registry.url, LOOPBACK).schema(7)

    def test_one_in_a_network_that_is_not_allowed_is_not_asked(self) -> None:
        with serving() as registry:
            with pytest.raises(Fatal, match="private network"):
                ForeignRegistry(registry.url, Targets()).schema(7)
            assert registry.asked == []

    def test_schemas_that_it_refers_to_are_fetched(self) -> None:
        order = {
            "type": "record",
            "name": "shop.Order",
            "fields": [{"name": "by", "type": "shop.Person"}, {"name": "to", "type": ["null", "shop.Person"]}],
        }
        person = {
            "type": "record",
            "name": "Person",
            "namespace": "shop",
            "fields": [{"name": "at", "type": "Address"}, {"name": "boss", "type": ["null", "Person"]}],
        }
        address = {"type": "record", "name": "shop.Address", "fields": [{"name": "zip", "type": "string"}]}

        def reference(name: str) -> dict[str, Any]:
            return {"name": f"shop.{name}", "subject": name, "version": 1}

        with serving() as registry:
            registry.answers["/schemas/ids/7"] = (
                200,
                {"schema": json.dumps(order), "references": [reference("Person")]},
            )
            registry.answers["/subjects/Person/versions/1"] = (
                200,
                {"schema": json.dumps(person), "references": [reference("Address")]},
            )
            registry.answers["/subjects/Address/versions/1"] = 200, {"schema": json.dumps(address)}
            avro = ForeignRegistry(registry.url, LOOPBACK).schema(7)
        assert avro is not None
        assert avro.count('"zip"') == 1, "each is defined once"
        mr = {"at": {"zip": "1"}, "boss": None}
        decoder = bare_decoder(avro, {}, "evolve", "value")
        rows = decoder.decode(messages(body(json.loads(avro), {"by": mr, "to": mr})), EMPTY).rows.to_pylist()
        assert rows == [{"by": mr, "to": mr}]

    def test_a_schema_of_another_language_is_none(self) -> None:
        with serving() as registry:
            registry.answers["/schemas/ids/7"] = 200, {"schema": "{}", "schemaType": "PROTOBUF"}
            with pytest.raises(ValueError, match="PROTOBUF, not AVRO"):
                ForeignRegistry(registry.url, LOOPBACK).schema(7)


def test_a_name_that_is_defined_nowhere_else_stays() -> None:
    tree = {"type": "record", "name": "a.Tree", "fields": [{"name": "left", "type": ["null", "Tree"]}]}
    assert inlined(tree, {}) == tree
    assert inlined({"type": "array", "items": "b.X"}, {"b.X": "long"}) == {"type": "array", "items": "long"}


def body(avro: Any, record: Any) -> bytes:
    content = io.BytesIO()
    fastavro.schemaless_writer(content, fastavro.parse_schema(avro), record)
    return content.getvalue()


FOREIGN: Any = {
    "type": "record",
    "name": "x.Foreign",
    "fields": [
        {"name": "either", "type": ["null", "long", "string"]},
        {
            "name": "tree",
            "type": {"type": "record", "name": "Tree", "fields": [{"name": "kid", "type": ["null", "Tree"]}]},
        },
        {"name": "hash", "type": {"type": "fixed", "name": "H", "size": 2}},
        {"name": "length", "type": {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["a", "b"]}},
        {"name": "tags", "type": {"type": "array", "items": {"type": "map", "values": "int"}}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "_own", "type": "boolean"},
    ],
}


def test_every_foreign_type_of_avro_comes_through() -> None:
    at = dt.datetime(2024, 1, 2, 3, 4, 5, 678000, dt.UTC)
    record = {
        "either": "text",
        "tree": {"kid": {"kid": None}},
        "hash": b"\x01\x02",
        "length": bytes(range(12)),
        "price": Decimal("1234.56"),
        "kind": "b",
        "tags": [{"x": 1}, {}],
        "day": dt.date(2024, 1, 2),
        "at": at,
        "_own": True,
    }
    decoder = bare_decoder(json.dumps(FOREIGN), {}, "evolve", "value")
    found = decoder.decode(messages(body(FOREIGN, record), b"\xff"), EMPTY)
    (row,) = found.rows.to_pylist(maps_as_pydicts="strict")
    assert row["tree"]["kid"] is not None
    assert json.loads(row.pop("tree")["kid"]) == {"kid": None}
    assert row == {
        "either": {"long": None, "string": "text"},
        **{name: record[name] for name in ("hash", "length", "price", "kind", "tags", "day", "at")},
        "own_": True,
    }
    assert [(fault.row, fault.reason) for fault in found.faults] == [(1, "undecodable")]


def test_a_schema_that_is_none_stops_the_source() -> None:
    with pytest.raises(Fatal, match="avro_schema of the source cannot be used"):
        bare_decoder('{"type": "record"}', {}, "evolve", "value")


V1: Any = {"type": "record", "name": "o", "fields": [{"name": "id", "type": "long"}]}
V2: Any = {"type": "record", "name": "o", "fields": [*V1["fields"], {"name": "note", "type": "string"}]}


class TestWireDecoder:
    def decoder(self, registry: Registry, evolution: Any = "evolve", patience_s: float = 0) -> WireDecoder:
        registry.answers["/schemas/ids/1"] = 200, {"schema": json.dumps(V1)}
        registry.answers["/schemas/ids/2"] = 200, {"schema": json.dumps(V2)}
        registry.answers["/schemas/ids/3"] = 200, {"schema": "{}", "schemaType": "JSON"}
        return WireDecoder(ForeignRegistry(registry.url, LOOPBACK), Denials(patience_s), {}, evolution, "value")

    def mixed(self) -> Messages:
        old = [header(1) + body(V1, {"id": number}) for number in (0, 2)]
        new = [header(2) + body(V2, {"id": number, "note": "n"}) for number in (1, 3)]
        return messages(old[0], new[0], b"{}", old[1], header(3) + b"{}", header(9) + b"\0", new[1])

    def test_rows_of_several_schemas_keep_their_order(self) -> None:
        with serving() as registry:
            decoder = self.decoder(registry)
            found = decoder.decode(self.mixed(), pa.schema([("id", pa.int64())]))
            asked = len(registry.asked)
            decoder.decode(messages(header(1) + body(V1, {"id": 1})), found.rows.schema)
            assert len(registry.asked) == asked, "what was found is not asked for again"
        assert found.rows.to_pylist() == [
            {"id": 0, "note": None},
            {"id": 1, "note": "n"},
            {"id": 2, "note": None},
            {"id": 3, "note": "n"},
        ]
        assert found.index.tolist() == [0, 1, 3, 6]
        assert [(fault.row, fault.reason) for fault in found.faults] == [
            (2, "not_wire_format"),
            (4, "unknown_schema"),
            (5, "unknown_schema"),
        ]
        assert "of type JSON" in found.faults[1].detail

    def test_a_schema_that_is_denied_is_waited_for(self) -> None:
        with serving() as registry:
            decoder = self.decoder(registry, patience_s=60)
            held = messages(header(9) + body(V1, {"id": 9}))
            assert list(decoder.decode(held, EMPTY).held) == [0]
            registry.answers["/schemas/ids/9"] = 200, {"schema": json.dumps(V1)}
            assert decoder.decode(held, EMPTY).rows.to_pylist() == [{"id": 9}]

    def test_a_strict_source_sets_aside_rows_with_more_columns(self) -> None:
        with serving() as registry:
            found = self.decoder(registry, "quarantine").decode(self.mixed(), pa.schema([("id", pa.int64())]))
        assert found.rows.to_pylist() == [{"id": 0}, {"id": 2}]
        assert [fault.row for fault in found.faults if fault.reason == "unknown_field"] == [1, 6]

    def test_a_sample_shows_the_columns_of_all_its_schemas(self) -> None:
        with serving() as registry:
            assert self.decoder(registry).sample(self.mixed()).names == ["id", "note"]


def test_json_may_stand_behind_the_header_of_the_wire_format() -> None:
    decoder = JsonDecoder({}, "evolve")
    found = decoder.decode(messages(header(4) + b'{"id": 1}', b'{"id": 2}'), pa.schema([("id", pa.int64())]))
    assert found.rows.to_pylist() == [{"id": 1}, {"id": 2}]


def test_text_becomes_the_declared_type_or_is_set_aside() -> None:
    decoder = PlainDecoder("n", True, {"n": pa.int64()})
    assert decoder.sample(messages()) == pa.schema([("n", pa.int64())])
    found = decoder.decode(messages(b"1", b"\xff", b"x", b"4"), pa.schema([("n", pa.int64())]))
    assert found.rows.column("n").to_pylist() == [1, 4]
    assert found.index.tolist() == [0, 3]
    assert [(fault.row, fault.reason) for fault in found.faults] == [(1, "unreadable_row"), (2, "wrong_type")]


class TestTombstones:
    KEYS = (b'{"id": 1}', b'{"id": 1}', None, b"none", b'{"id": 2}')
    VALUES = (b'{"id": 1, "n": "a"}', None, None, None, b'{"id": 2, "n": "b"}')
    FIELDS: tuple[pa.Field, ...] = (pa.field("id", pa.int64()), pa.field("n", pa.string()))
    SCHEMA = pa.schema(FIELDS)

    def test_they_are_passed_over(self) -> None:
        found = SkippingDecoder(JsonDecoder({}, "evolve")).decode(messages(*self.VALUES), self.SCHEMA)
        assert found.index.tolist() == [0, 4]
        assert found.faults == []

    def test_or_delete_by_their_key(self) -> None:
        json_rows = JsonDecoder({}, "evolve")
        decoder = DeletingDecoder(json_rows, json_rows, ["id"])
        found = decoder.decode(messages(*self.VALUES, keys=self.KEYS), self.SCHEMA)
        assert found.rows.to_pylist() == [
            {"id": 1, "n": "a", "_op": "insert"},
            {"id": 1, "n": None, "_op": "delete"},
            {"id": 2, "n": "b", "_op": "insert"},
        ]
        assert found.index.tolist() == [0, 1, 4]
        assert [(fault.row, fault.reason) for fault in found.faults] == [(2, "missing_value"), (3, "unreadable_row")]

    def test_keys_of_columns_that_rows_do_not_have_stop_the_source(self) -> None:
        json_rows = JsonDecoder({}, "evolve")
        with pytest.raises(Fatal, match=r"no column key; correct source\.key\.columns"):
            DeletingDecoder(json_rows, json_rows, ["key"]).decode(messages(None, keys=[b"{}"]), self.SCHEMA)

    def test_a_key_that_is_one_value_of_avro_is_the_one_column(self) -> None:
        decoder = DeletingDecoder(JsonDecoder({}, "evolve"), bare_decoder('"long"', {}, "evolve", "id"), ["id"])
        found = decoder.decode(messages(None, keys=[body("long", 7)]), self.SCHEMA)
        assert found.rows.to_pylist() == [{"id": 7, "n": None, "_op": "delete"}]


class TestMetadata:
    METADATA = Metadata({"partition": "p", "offset": "o"})

    def decoded(self, *names: str) -> Decoded:
        rows = pa.RecordBatch.from_pydict({name: pa.array([1]) for name in names})
        return Decoded(rows, np.array([1]))

    def test_it_comes_behind_the_values_at_first(self) -> None:
        found = self.METADATA.beside(self.decoded("a", "b"), messages(b"", b""), None)
        assert found.rows.to_pylist() == [{"a": 1, "b": 1, "p": 0, "o": 1}]

    def test_what_is_new_comes_at_the_end(self) -> None:
        pinned = pa.schema([pa.field("a", pa.int64()), pa.field("p", pa.int32())])
        found = self.METADATA.beside(self.decoded("a", "b", "_op"), messages(b"", b""), pinned)
        assert found.rows.schema.names == ["a", "p", "o", "b", "_op"]

    def test_two_columns_of_one_name_stop_the_source(self) -> None:
        with pytest.raises(Fatal, match="have a column p themselves"):
            self.METADATA.beside(self.decoded("p"), messages(b"", b""), None)


def source(**settings: Any) -> KafkaSource:
    return KafkaSource.model_validate({"type": "kafka", "bootstrap_servers": "h:1", "topic": "t", **settings})


SASL = {"username": "me", "password": "secret://kafka"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"bootstrap_servers": "nowhere"}, "brokers as `host:port`"),
        ({"start": "timestamp"}, "both or none"),
        ({"start": "timestamp", "start_time": "2024-01-01T00:00:00"}, "a time with its zone"),
        ({"start": "timestamp", "start_time": "soon"}, "start_time"),
        ({"security": "sasl_ssl"}, "both or none"),
        ({"sasl": SASL}, "both or none"),
        ({"ca_file": "x.pem"}, "no certificates"),
        ({"tombstones": "delete"}, "both or none"),
        ({"tombstones": "delete", "key": {"columns": ["a", "b"]}}, "one column"),
        ({"value": {"format": "avro"}}, "one of both"),
        ({"value": {"format": "json", "avro_schema": '"long"'}}, "only Avro"),
        ({"value": {"format": "avro", "registry": {"url": "http://u:p@h"}}}, "settings of their own"),
        ({"metadata": {"key": "_key"}}, "metadata.key"),
        ({"metadata": {"key": "x", "offset": "x"}}, "a name of its own"),
        ({"security": "sasl_ssl", "sasl": SASL | {"password": "hush"}}, "secret://NAME"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected) as failed:
        source(**settings)
    assert "hush" not in str(failed.value)


def test_a_time_is_milliseconds() -> None:
    assert source(start="timestamp", start_time="1970-01-01T01:00:01.5+01:00").start_ms == 1500


class TestTargets:
    def cluster(self, targets: Targets, **more: Any) -> Cluster:
        return Cluster([Server("127.0.0.1", 1)], targets, "r", **more)

    def test_a_cluster_that_sends_elsewhere_is_refused(self) -> None:
        cluster = self.cluster(LOOPBACK)
        cluster.check_advertised([Server("127.0.0.1", 2), Server("no-such-host.invalid", 1)])
        with pytest.raises(Fatal, match="link-local"):
            cluster.check_advertised([Server("127.0.0.1", 2), Server("169.254.169.254", 80)])
        with pytest.raises(Fatal, match="private network"):
            cluster.check_advertised([Server("10.0.0.1", 9092)])

    def test_no_client_is_made_for_a_network_that_is_not_allowed(self) -> None:
        with pytest.raises(Fatal, match="private network"):
            self.cluster(Targets()).client("read_committed")

    def test_nothing_shows_the_password(self) -> None:
        surroundings = Surroundings("a.b", secret=lambda _: SecretStr("hush"), targets=LOOPBACK)
        settings = source(bootstrap_servers="127.0.0.1:1", security="sasl_plaintext", sasl=SASL)
        connector = opened(settings, surroundings)
        assert "hush" not in repr(connector) + repr(connector._topic.cluster) + repr(settings)

    def test_a_file_of_certificates_lies_where_files_may_be_read(self, tmp_path: Any) -> None:
        folder = tmp_path / "files"
        folder.mkdir()
        (tmp_path / "ca.pem").touch()
        surroundings = Surroundings("a.b", folder=folder)
        with pytest.raises(Fatal, match="HEADRACE_SOURCE_ROOTS"):
            opened(source(security="ssl", ca_file="../ca.pem"), surroundings)
        with pytest.raises(Fatal, match="there is no file"):
            opened(source(security="ssl", ca_file="ca.pem"), surroundings)

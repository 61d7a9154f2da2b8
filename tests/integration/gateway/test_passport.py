"""The passport of a row over real topics, groups, lake and warehouse; the services' work is done by hand, step by step."""

import base64
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from fastapi.testclient import TestClient

from headrace.contract import Contract, load
from headrace.stream import columns, topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.control import Controls, schema_text
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection, Replay, TransactionalWriter
from headrace.stream.lake import lake_catalog
from headrace.stream.ledger import LedgerEntry
from headrace.stream.registry import Registry
from headrace.stream.stage import Batch
from services.loader.core.table import (
    LOAD_FIELDS,
    UPSERT_FIELDS,
    create_table,
    create_view,
    published,
    quarantined,
    shape,
)
from services.stager.adapters.lake import LakeTable
from services.stager.core.landing import landed
from services.stager.settings import StagerSettings
from tests.accounts import token_of
from tests.integration.gateway.conftest import MakeGateway
from tests.integration.gateway.test_apply import put
from tests.integration.gateway.test_warehouse import rejected

DOCUMENT: Final = """
dataset: {name}
description: Orders.
owner: {{team: tests}}
source: {{type: http_push}}
transform:
  sql: SELECT * FROM input WHERE n >= 0 AND item <> 'test'
checks: [{{name: few, check: between, column: n, max: 100, severity: flag}}]
{more}
"""
OWN: "Final[tuple[pa.Field[Any], ...]]" = (pa.field("n", pa.int64()), pa.field("item", pa.string()))
RAW: Final = pa.schema([*OWN, *columns.RAW_FIELDS])
STAGED: Final = pa.schema([*OWN, *columns.STAGED_FIELDS])
TRANSFORMED: Final = pa.schema([*OWN, *columns.TRANSFORMED_FIELDS])
AT: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Bench:
    """A dataset whose stages are moved by hand, in partition 1."""

    def __init__(
        self, client: TestClient, connection: Connection, registry: Registry, warehouse: Client, name: str, more: str
    ) -> None:
        self.client = client
        self.name = name
        self.folder = Path()
        self._connection = connection
        self._registry = registry
        self._warehouse = warehouse
        self._writer = TransactionalWriter(connection, f"test-{name}")
        document = DOCUMENT.format(name=name, more=more)
        status, answer = put(client, name, document)
        assert status == HTTPStatus.OK, answer
        self.contract: Contract = load(document)
        self._topics = dict(
            zip(("raw", "staged", "transformed", "validated", "quarantine"), topics.of_dataset(name, 1), strict=True)
        )

    def close(self) -> None:
        self._writer.close()

    def send(self, kind: str, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> list[int]:
        """Write rows to one of the topics, in a transaction. Returns their offsets."""
        topic = self._topics[kind]
        avro = avro_schema(schema, "orders")
        batch = pa.RecordBatch.from_pylist(list(rows), schema)
        values = Codec(avro).encode(batch, self._registry.register(topics.subject(topic), avro))
        return self.write(kind, values)

    def write(self, kind: str, values: Sequence[bytes]) -> list[int]:
        with self._writer.transaction() as transaction:
            transaction.produce(self._topics[kind], list(values), partition=1)
        return [offset for offset, _ in self.messages(kind)][-len(values) :]

    def abort(self, kind: str) -> int:
        """Write a record and take it back. Returns where it was."""
        places: list[int] = []
        producer = Producer(self._connection.client(transactional_id=f"abort-{self.name}"))
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(
            self._topics[kind],
            b"nobody may see this",
            partition=1,
            on_delivery=lambda _, sent: places.append(sent.offset() or 0),
        )
        assert producer.flush(30) == 0
        producer.abort_transaction(30)
        return places[0]

    def messages(self, kind: str) -> list[tuple[int, bytes | None]]:
        """Offset and value of every record in the partition, by a reader of the tests' own."""
        consumer = Consumer(
            self._connection.client(
                group_id=f"independent-{self.name}", enable_auto_commit=False, isolation_level="read_committed",
                enable_partition_eof=True, auto_offset_reset="earliest",
            )
        )  # fmt: skip
        found: list[tuple[int, bytes | None]] = []
        consumer.assign([TopicPartition(self._topics[kind], 1, 0)])
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is not None and message.error() is not None:
                break
            if message is not None:
                found.append((message.offset() or 0, message.value()))
        consumer.close()
        return found

    def made(self, offset: int, seq: int = 0, **own: Any) -> dict[str, Any]:
        """A row of a later topic, made of a raw record."""
        return {
            "n": 1, "item": "pen", "_partition": 1, "_offset": offset, "_seq": seq, "_ingested_at": AT, "_source_ts": None,
            "_op": "insert", "_version": 1, "_flags": [], **own,
        }  # fmt: skip

    def has_read(self, stage: str, upto: int) -> None:
        """Let the group of a stage have read its topic up to an offset, that one not included."""
        kind = {"stager": "raw", "transformer": "staged", "quality": "transformed", "loader": "validated"}[stage]
        consumer = Consumer(self._connection.client(group_id=topics.group(stage, self.name, 1)))
        consumer.commit(offsets=[TopicPartition(self._topics[kind], 1, upto)], asynchronous=False)
        consumer.close()

    def enter(self, stage: str, offsets: Sequence[int], filtered: dict[str, int]) -> None:
        """Write into the books what a stage did in one transaction."""
        entry = LedgerEntry(
            self.name,
            1,
            1,
            stage,
            "1",
            1,
            offsets[0],
            offsets[-1],
            len(offsets),
            0,
            0,
            0,
            0,
            0,
            filtered,
            0,
            {},
            0,
            [],
            0,
            AT,
        )
        value = Controls(self._registry).encode("ledger_entry", asdict(entry))
        with self._writer.transaction() as transaction:
            transaction.produce(topics.LEDGER, [value], keys=[self.name.encode()])

    def load(self, rows: Sequence[dict[str, Any]], loaded_at: Sequence[int]) -> None:
        """Put rows into the table, as the loader would."""
        more = UPSERT_FIELDS if self.contract.load.mode == "upsert" else ()
        schema = pa.schema([*TRANSFORMED, *LOAD_FIELDS, *more])
        table = published(self.contract, 1)
        self._warehouse.command(f"CREATE DATABASE IF NOT EXISTS {table.database}")
        self._warehouse.command(create_table(table, shape(schema)))
        self._warehouse.command(create_view(table, shape(schema)).replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))
        every = [
            {**row, "_load_partition": 1, "_load_offset": at, "_row_version": row["_offset"], "_is_deleted": 0}
            for row, at in zip(rows, loaded_at, strict=True)
        ]
        self._warehouse.insert_arrow(table.id, pa.Table.from_pylist(every, schema))

    def set_aside(self, **fields: Any) -> None:
        """Put a row into the quarantine table."""
        schema = pa.schema([*Codec(schema_text("quarantined")).arrow_schema, *LOAD_FIELDS])
        table = quarantined(self.contract)
        self._warehouse.command(f"CREATE DATABASE IF NOT EXISTS {table.database}")
        self._warehouse.command(create_table(table, shape(schema)))
        row = rejected(fields.pop("offset"), partition=1, **fields)
        self._warehouse.insert_arrow(table.id, pa.Table.from_pylist([row], schema))

    def land(self) -> None:
        """Land everything in the raw topic, as the stager would."""
        lake = LakeTable(lake_catalog(StagerSettings(data_dir=self.folder)), self.name, lambda _: None)
        lake.positions([1])
        replay = Replay(self._connection, self._topics["raw"])
        batches: list[Batch] = []
        upto = 0
        for records in replay.advance():
            batches += Decoder(self._registry)(records)[0]
            upto = int(records.offset[-1].as_py() or 0) + 1
        replay.close()
        lake.append(pa.concat_tables([landed(batch, 1) for batch in batches]), {1: upto})

    def forget(self, kind: str, before: int) -> None:
        """Let retention take the oldest records."""
        admin = AdminClient(self._connection.client())
        for done in admin.delete_records([TopicPartition(self._topics[kind], 1, before)]).values():
            done.result(30)

    def passport(self, offset: int, more: str = "") -> dict[str, Any]:
        response = self.client.get(f"/api/v1/datasets/{self.name}/rows/1:{offset}{more}/passport")
        assert response.status_code == HTTPStatus.OK, response.text
        found: dict[str, Any] = response.json()
        return found

    def where(self, condition: str, **more: Any) -> dict[str, Any]:
        response = self.client.post(f"/api/v1/datasets/{self.name}/rows/passport", json={"where": condition, **more})
        assert response.status_code == HTTPStatus.OK, response.text
        found: dict[str, Any] = response.json()
        return found


MakeBench = Any


@pytest.fixture
def make_bench(
    make_gateway: MakeGateway, connection: Connection, registry: Registry, writer: Client, domain: str, tmp_path: Path
) -> Iterator[MakeBench]:
    made: list[Bench] = []

    def make(more: str = "", name: str = "orders") -> Bench:
        client = make_gateway(data_dir=tmp_path / name)
        bench = Bench(client, connection, registry, writer, f"{domain}.{name}", more)
        bench.folder = tmp_path / name
        made.append(bench)
        return bench

    yield make
    for bench in made:
        bench.close()


def raw(*numbers: int) -> list[dict[str, Any]]:
    return [{"n": n, "item": "pen", "_source_ts": None, "_op": "insert"} for n in numbers]


def test_a_record_is_followed_from_topic_to_topic_into_the_table(make_bench: MakeBench) -> None:
    """At each moment where it is, and its bytes as an independent reader has them."""
    bench: Bench = make_bench()
    first, at, last = bench.send("raw", raw(7, 8, 9), RAW)
    here = bench.passport(at)
    assert (here["fate"]["state"], here["fate"]["stage"]) == ("in_flight", "stager")
    assert base64.b64decode(here["raw"]["value"]) == dict(bench.messages("raw"))[at]
    assert here["raw"]["fields"]["n"] == 8
    assert [field["name"] for field in here["raw"]["schema"]["fields"]] == ["n", "item", "_source_ts", "_op"]
    assert here["lake"]["state"] == "none"
    assert here["rows"] == []

    offsets: dict[str, list[int]] = {"raw": [first, at, last]}
    stages = ("stager", "transformer", "quality", "loader")
    for before, stage, kind, schema in zip(
        ("raw", "staged", "transformed"), stages, ("staged", "transformed", "validated"), (STAGED, TRANSFORMED, TRANSFORMED),
        strict=False,
    ):  # fmt: skip
        bench.has_read(stage, offsets[before][-1] + 1)
        offsets[kind] = bench.send(kind, [bench.made(each) for each in (first, at, last)], schema)
        here = bench.passport(at)
        waits_for = stages[stages.index(stage) + 1]
        assert (here["fate"]["state"], here["fate"]["stage"]) == ("in_flight", waits_for)
        assert [leg["done"] for leg in here["legs"]] == [each != waits_for and bool(leg["offsets"]) for each, leg in zip(
            stages, here["legs"], strict=True)]  # fmt: skip

    bench.load([bench.made(each, n=each) for each in (first, at, last)], offsets["validated"])
    bench.has_read("loader", offsets["validated"][-1] + 1)
    here = bench.passport(at)
    assert here["fate"]["state"] == "loaded"
    assert [leg["offsets"] for leg in here["legs"]] == [
        [offsets[kind][1]] for kind in ("raw", "staged", "transformed", "validated")
    ]
    [row] = here["rows"]
    assert (row["fields"]["n"], row["fields"]["_offset"], row["shown"]) == (at, at, True)
    assert row["loaded"] == {"table": f"{bench.name}__g1", "partition": 1, "offset": offsets["validated"][1]}
    assert (here["version"]["version"], here["version"]["generation"]) == (1, 1)
    assert here["version"]["sql"].startswith("SELECT * FROM input")
    assert [(check["name"], check["severity"]) for check in here["version"]["checks"]] == [("few", "flag")]
    assert here["origin"] == {"type": "http_push", "changed_at": None, "op": "insert", "place": None}


def test_a_row_leads_back_with_its_siblings_and_only_by_a_condition(make_bench: MakeBench) -> None:
    bench: Bench = make_bench()
    first, second = bench.send("raw", raw(1, 2), RAW)
    assert bench.where("n = 1") == {"items": [], "truncated": False}  # there is no table yet
    rows = [bench.made(first, 0, n=10), bench.made(first, 1, n=11, _flags=["few"]), bench.made(second, n=20)]
    bench.load(rows, bench.send("validated", rows, TRANSFORMED))
    found = bench.where("n = 11")
    [item] = found["items"]
    assert item["id"] == f"1:{first}"
    assert [(row["seq"], row["fields"]["n"], row["matched"], row["flags"]) for row in item["rows"]] == [
        (0, 10, False, []),
        (1, 11, True, ["few"]),
    ]
    assert [row["matched"] for row in bench.passport(first, ":1")["rows"]] == [False, True]
    everything = bench.where("n > 0", limit=1)
    assert (len(everything["items"]), everything["truncated"]) == (1, True)
    assert {item["id"] for item in bench.where("n > 0")["items"]} == {f"1:{first}", f"1:{second}"}
    assert bench.where("n = 99")["items"] == []

    path = f"/api/v1/datasets/{bench.name}/rows/passport"
    for wrong in ("n = 1 LIMIT 1", "n IN (SELECT 1)", "1) UNION ALL SELECT (1", "nothing = 1", "n = 1; DROP TABLE x"):
        response = bench.client.post(path, json={"where": wrong})
        assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, wrong
        assert response.json()["type"] in ("urn:headrace:problem:refused-query", "urn:headrace:problem:failed-query")


def test_what_never_was_a_record_is_not_one(make_bench: MakeBench) -> None:
    bench: Bench = make_bench()
    (at,) = bench.send("raw", raw(1), RAW)
    aborted = bench.abort("raw")
    bench.send("raw", raw(2), RAW)
    for place, said in (
        (f"1:{at + 1}", "a transaction ended there"),
        (f"1:{aborted}", "was not committed"),
        ("1:999", "ends in front of offset"),
        ("2:0", "has the partitions 0 to 1"),
        ("1-0", "PARTITION:OFFSET"),
    ):
        response = bench.client.get(f"/api/v1/datasets/{bench.name}/rows/{place}/passport")
        assert response.status_code == HTTPStatus.NOT_FOUND, place
        assert said in response.json()["detail"]
    assert bench.passport(at)["fate"]["state"] == "in_flight"  # the control: next to them is one
    assert bench.client.get(f"/api/v1/datasets/{bench.name}x/rows/1:{at}/passport").status_code == HTTPStatus.NOT_FOUND


def test_what_is_filtered_names_the_condition(make_bench: MakeBench) -> None:
    """Two conditions dropped a row each in one transaction: the SQL is asked which. The control is their neighbour."""
    bench: Bench = make_bench()
    negative, test, kept = bench.send("raw", [*raw(-1), {**raw(1)[0], "item": "test"}, *raw(2)], RAW)
    bench.has_read("stager", kept + 1)
    staged = bench.send("staged", [bench.made(each) for each in (negative, test, kept)], STAGED)
    assert bench.passport(negative)["fate"]["state"] == "in_flight"
    bench.has_read("transformer", staged[-1] + 1)
    bench.send("transformed", [bench.made(kept)], TRANSFORMED)
    fate = bench.passport(negative)["fate"]
    assert (fate["state"], fate["stage"], fate["rule"], fate["candidates"]) == ("filtered", "transformer", None, [])
    bench.enter("transformer", staged, {"n >= 0": 1, "item <> 'test'": 1})
    for offset, rule in ((negative, "n >= 0"), (test, "item <> 'test'")):
        here = bench.passport(offset)
        assert (here["fate"]["state"], here["fate"]["rule"]) == ("filtered", rule)
        assert [leg["committed_at"] for leg in here["legs"]] == [
            None,
            AT.isoformat().replace("+00:00", "Z"),
            None,
            None,
        ]
        assert here["version"]["version"] == 1
    assert bench.passport(kept)["fate"]["state"] == "in_flight"


def test_a_quarantined_row_says_why_and_what_was_done(make_bench: MakeBench) -> None:
    bench: Bench = make_bench()
    bad, _ = bench.send("raw", raw(1, 2), RAW)
    bench.has_read("stager", bad + 9)
    bench.set_aside(offset=3, raw_offset=bad, dataset=bench.name, topic=topics.staged(bench.name), fields=None)
    here = bench.passport(bad)
    assert here["fate"]["state"] == "quarantined"
    [aside] = here["quarantined"]
    assert (aside["id"], aside["reason"], aside["state"], aside["became"]) == ("1-3", "check_references", "open", [])


def test_records_that_retention_took_are_told_by_the_lake_or_not_at_all(make_bench: MakeBench) -> None:
    bench: Bench = make_bench()
    first, second = bench.send("raw", raw(1, 2), RAW)
    bench.land()
    (third,) = bench.send("raw", raw(3), RAW)
    (newest,) = bench.send("raw", raw(4), RAW)
    rows = [bench.made(first, n=1), bench.made(third, n=3)]
    bench.load(rows, bench.send("validated", rows, TRANSFORMED))
    here = bench.passport(first)
    assert (here["raw"]["held"], here["lake"]["state"]) == ("topic", "landed")  # the control: nothing is gone yet
    assert Path(here["lake"]["file"].removeprefix("file://")).exists()
    waiting = bench.passport(third)["lake"]
    assert waiting["state"] == "waiting"
    assert "not landed yet" in waiting["detail"]

    bench.forget("raw", newest)
    here = bench.passport(first)
    assert (here["raw"]["held"], here["raw"]["value"], here["raw"]["fields"]["n"]) == ("lake", None, 1)
    assert [field["name"] for field in here["raw"]["schema"]["fields"]] == ["n", "item", "_source_ts", "_op"]
    assert here["fate"]["state"] == "loaded"
    here = bench.passport(third)
    assert (here["raw"]["held"], here["raw"]["value"], here["raw"]["fields"]) == ("nowhere", None, None)
    assert here["fate"]["state"] == "loaded"
    # It was landed and is older than the newest that was passed on, which is all that is left to tell by.
    assert bench.passport(second)["fate"]["state"] == "filtered"
    assert bench.passport(newest)["raw"]["held"] == "topic"


def test_a_row_that_a_newer_one_replaced_is_superseded(make_bench: MakeBench) -> None:
    bench: Bench = make_bench("key: [item]\nload: {mode: upsert}", "stock")
    old, new = bench.send("raw", raw(1, 2), RAW)
    rows = [bench.made(old, n=1), bench.made(new, n=2)]
    for kind, schema in (("staged", STAGED), ("transformed", TRANSFORMED), ("validated", TRANSFORMED)):
        offsets = bench.send(kind, rows, schema)
    for stage in ("stager", "transformer", "quality", "loader"):
        bench.has_read(stage, 99)
    bench.load(rows, offsets)
    assert bench.passport(new)["fate"]["state"] == "loaded"
    assert bench.passport(old)["fate"]["state"] == "superseded"
    [item] = bench.where("item = 'pen'")["items"]
    assert item["id"] == f"1:{new}"


def test_it_asks_for_the_right_that_a_query_does(make_bench: MakeBench) -> None:
    bench: Bench = make_bench()
    (at,) = bench.send("raw", raw(1), RAW)
    path, ask = f"/api/v1/datasets/{bench.name}/rows/1:{at}/passport", f"/api/v1/datasets/{bench.name}/rows/passport"
    for headers, status in (
        ({"Authorization": "Bearer nobody"}, HTTPStatus.UNAUTHORIZED),
        ({"Authorization": f"Bearer {token_of(bench.client, 'analyst', f'dataset:{bench.name}')}"}, HTTPStatus.OK),
    ):
        assert bench.client.get(path, headers=headers).status_code == status
        assert bench.client.post(ask, json={"where": "n = 1"}, headers=headers).status_code == status
        assert bench.client.post("/api/v1/query", json={"sql": "select 1"}, headers=headers).status_code == status

"""The lake holds each raw record once, whatever happens between reading and landing it."""

import threading
import uuid
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from headrace.errors import Fenced
from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection, KafkaSource, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from services.stager.adapters.lake import LakeTable
from services.stager.adapters.lander import Lander
from services.stager.settings import StagerSettings
from tests.stack import Stack


class Landing:
    """A dataset with a raw topic, and as many landers as a test wants."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.dataset = f"lake.t_{uuid.uuid4().hex[:8]}"
        self.connection = Connection(stack.bootstrap_servers)
        self.registry = Registry(stack.registry_url)
        self.folder = folder
        self.announced: list[str] = []
        kafka_topics.ensure_dataset(self.connection, self.dataset, 1, 2)

    def catalog(self) -> SqlCatalog:
        return SqlCatalog(
            "headrace", uri=f"sqlite:///{self.folder}/catalog.db", warehouse=f"file://{self.folder}/files"
        )

    def table(self) -> LakeTable:
        return LakeTable(self.catalog(), self.dataset, self.announced.append, snapshots=2)

    def send(self, rows: pa.RecordBatch, partition: int = 0) -> None:
        avro = avro_schema(rows.schema, self.dataset)
        schema_id = self.registry.register(topics.subject(topics.raw(self.dataset)), avro)
        writer = TransactionalWriter(self.connection, f"send-{self.dataset}")
        with writer.transaction() as transaction:
            transaction.produce(topics.raw(self.dataset), Codec(avro).encode(rows, schema_id), partition=partition)
        writer.close()

    def lander(self, table: LakeTable, rows_a_file: int) -> Lander:
        source = KafkaSource(
            self.connection,
            topics.raw(self.dataset),
            f"land-{self.dataset}",
            positions=table.positions,
            session_timeout_ms=6000,
        )
        limits = StagerSettings(landing_rows=rows_a_file, landing_interval_s=0.5)
        return Lander(self.dataset, 1, source, Decoder(self.registry), table, limits)

    def land_until(self, rows: int, rows_a_file: int = 100) -> None:
        """Run a lander until the lake holds `rows`."""
        stopping = threading.Event()
        thread = threading.Thread(target=self.lander(self.table(), rows_a_file).run, args=(stopping,))
        thread.start()
        for _ in range(600):
            if len(self.landed()) >= rows:
                break
            thread.join(0.05)
        stopping.set()
        thread.join(30)

    def landed(self) -> list[tuple[int, int]]:
        """The coordinates of every record in the lake."""
        try:
            rows = self.catalog().load_table(f"{self.dataset}__raw").scan().to_arrow().to_pylist()
        except Exception:
            return []
        return sorted((row["_partition"], row["_offset"]) for row in rows)


@pytest.fixture
def landing(stack: Stack, tmp_path: Path) -> Landing:
    return Landing(stack, tmp_path)


def numbered(first: int, count: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"n": pa.array(range(first, first + count)), "_op": pa.array(["insert"] * count)})


def test_every_record_is_landed_once_over_restarts_and_the_asset_announced_once(landing: Landing) -> None:
    landing.send(numbered(0, 250))
    landing.send(numbered(250, 250), partition=1)
    landing.land_until(500)
    landing.send(numbered(500, 100))
    landing.land_until(600)
    assert len(landing.landed()) == 600
    assert len(set(landing.landed())) == 600
    assert landing.announced == [f"{landing.dataset}__raw"]


def test_a_lander_that_was_replaced_cannot_land_the_same_records_again(landing: Landing) -> None:
    rows = pa.table({"n": [1], "_ingested_at": pa.array([0], pa.timestamp("us", tz="UTC"))})
    old, new = landing.table(), landing.table()
    old.positions([0])
    new.positions([0])
    new.append(rows, {0: 10})
    with pytest.raises(Fenced, match="landed to 10 by another"):
        old.append(rows, {0: 10})
    assert landing.catalog().load_table(f"{landing.dataset}__raw").scan().to_arrow().num_rows == 1


def test_landers_of_different_partitions_keep_each_others_offsets(landing: Landing) -> None:
    rows = pa.table({"n": [1], "_ingested_at": pa.array([0], pa.timestamp("us", tz="UTC"))})
    zero, one = landing.table(), landing.table()
    zero.positions([0])
    one.positions([1])
    zero.append(rows, {0: 10})
    one.append(rows, {1: 20})
    zero.append(rows, {0: 11})
    assert landing.table().positions([0, 1]) == {0: 11, 1: 20}


def test_offsets_move_without_rows_where_there_is_a_table(landing: Landing) -> None:
    rows = pa.table({"n": [1], "_ingested_at": pa.array([0], pa.timestamp("us", tz="UTC"))})
    table = landing.table()
    table.positions([0])
    table.append(None, {0: 3})
    assert landing.table().positions([0]) == {}
    table.append(rows, {0: 10})
    table.append(None, {0: 12})
    assert landing.table().positions([0]) == {0: 12}
    table.append(rows, {0: 13})
    assert landing.catalog().load_table(f"{landing.dataset}__raw").scan().to_arrow().num_rows == 2


def test_a_column_that_appears_later_is_added(landing: Landing) -> None:
    landing.send(numbered(0, 3))
    landing.land_until(3)
    landing.send(
        pa.RecordBatch.from_pydict({"n": pa.array([3]), "_op": pa.array(["insert"]), "extra": pa.array(["new"])})
    )
    landing.land_until(4)
    rows = landing.catalog().load_table(f"{landing.dataset}__raw").scan().to_arrow().to_pylist()
    assert sorted((row["n"], row["extra"]) for row in rows) == [(0, None), (1, None), (2, None), (3, "new")]


def test_a_column_that_widens_and_a_struct_that_grows_are_followed(landing: Landing) -> None:
    op = pa.array(["insert"])
    narrow = {"n": pa.array([1], pa.int32()), "s": pa.array([{"x": 1}], pa.struct([("x", pa.int32())])), "_op": op}
    wide = {
        "n": pa.array([1 << 40]),
        "s": pa.array([{"x": 2, "y": "b"}], pa.struct([("x", pa.int64()), ("y", pa.string())])),
    }
    landing.send(pa.RecordBatch.from_pydict(narrow))
    landing.land_until(1)
    landing.send(pa.RecordBatch.from_pydict({**wide, "_op": op}))
    landing.land_until(2)
    rows = landing.catalog().load_table(f"{landing.dataset}__raw").scan().to_arrow().to_pylist()
    assert sorted((row["n"], row["s"]["x"], row["s"]["y"]) for row in rows) == [(1, 1, None), (1 << 40, 2, "b")]


def test_old_snapshots_are_forgotten_and_no_record_with_them(landing: Landing) -> None:
    for number in range(7):
        landing.send(numbered(number, 1))
        landing.land_until(number + 1, rows_a_file=1)
    table = landing.catalog().load_table(f"{landing.dataset}__raw")
    assert 2 <= len(table.snapshots()) <= 4
    assert len(set(landing.landed())) == len(landing.landed()) == 7

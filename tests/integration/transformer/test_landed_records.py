"""What was landed is read back as it was staged: every value, in order, and no more than was asked for."""

import uuid
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.errors import Fatal
from headrace.stream import columns, topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.decode import Decoder
from headrace.stream.lake import lake_catalog
from headrace.stream.memory import MemorySchemas
from headrace.stream.stage import Batch, Records
from headrace.stream.staging import staged
from services.stager.adapters.lake import LakeTable
from services.stager.core.landing import landed
from services.stager.settings import StagerSettings
from services.transformer.adapters.landed_records import LandedRecords
from services.transformer.core.stretches import Stretch

ORDERS = "shop.orders"
VALUES: dict[str, pa.Array] = {
    "id": pa.array([1, 2, 3], pa.int64()),
    "small": pa.array([-1, None, 127], pa.int8()),
    "unsigned": pa.array([0, 2**32 - 1, None], pa.uint32()),
    "huge": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "price": pa.array([Decimal("12345678901234567890.1234567890123456789"), None, Decimal(0)], pa.decimal256(50, 19)),
    "rate": pa.array([Decimal("1.50"), None, Decimal("-2.25")], pa.decimal128(9, 2)),
    "ratio": pa.array([1.5, None, float("inf")], pa.float32()),
    "name": pa.array(["Zürich", None, ""], pa.string()),
    "odd name": pa.array(["a", "b", None], pa.string()),
    "bytes": pa.array([b"\0\xff", None, b""], pa.binary()),
    "day": pa.array([date(2024, 2, 29), None, date(1969, 12, 31)], pa.date32()),
    "at": pa.array([time(23, 59, 59, 999999), None, time(0)], pa.time64("us")),
    "moment": pa.array([datetime(2024, 2, 29, 1), None, datetime(1969, 1, 1)], pa.timestamp("us", "UTC")),
    "local": pa.array([datetime(2024, 2, 29, 1), None, datetime(1969, 1, 1)], pa.timestamp("us")),
    "uuid": pa.array([uuid.UUID(int=5).bytes, None, uuid.UUID(int=7).bytes], pa.uuid()),
    "tags": pa.array([["a", None], None, []], pa.list_(pa.string())),
    # None of these is null: PyIceberg writes a list of structs that is null as one that is empty.
    "sizes": pa.array([[{"w": 1}, {"w": None}], [], [{"w": 3}]], pa.list_(pa.struct([pa.field("w", pa.int16())]))),
    "where": pa.array(
        [{"x": 1, "deep": {"y": [5]}}, None, {"x": None, "deep": None}],
        pa.struct([pa.field("x", pa.int16()), pa.field("deep", pa.struct([pa.field("y", pa.list_(pa.uint32()))]))]),
    ),
    "counts": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.uint32())),
    columns.OP: pa.array(["insert", "update", "delete"]),
}


class Lake:
    """A landing table, and the staged records that belong to it."""

    def __init__(self, folder: Path) -> None:
        self.settings = StagerSettings(data_dir=folder)
        self.schemas = MemorySchemas()
        self.table = LakeTable(lake_catalog(self.settings), ORDERS, lambda _: None)
        self.table.positions([0, 1])
        self.landed_to: dict[int, int] = {}
        self.staged: list[dict[str, Any]] = []

    def land(self, *places: tuple[int, int], **values: pa.Array) -> None:
        """Raw records at these places, in one landing. Shapes: each of `values` has an entry for each place."""
        rows = pa.RecordBatch.from_pydict(values)
        avro = avro_schema(rows.schema, ORDERS)
        schema_id = self.schemas.register(topics.subject(topics.raw(ORDERS)), avro)
        raw = Records(
            topics.raw(ORDERS),
            pa.array([partition for partition, _ in places], pa.int32()),
            pa.array([offset for _, offset in places], pa.int64()),
            pa.array([1_700_000_000_123 + 86_400_000 * (offset % 2) for _, offset in places], pa.int64()),
            [None] * len(places),
            list(Codec(avro).encode(rows, schema_id)),
        )
        for batch in Decoder(self.schemas)(raw)[0]:
            one = Batch(batch.raw, batch.rows, batch.schema_id)
            self.landed_to |= {partition: offset + 1 for partition, offset in places}
            self.table.append(landed(one, 3), self.landed_to)
            self.staged += staged(one, 3).to_pylist()

    def read(self, wanted: dict[int, Stretch]) -> list[dict[str, Any]]:
        reader = LandedRecords(self.settings, self.schemas, ORDERS)
        found = []
        landings = reader.landings(wanted)
        assert landings.reached == self.landed_to
        for rows in landings.each:
            records = reader.records(rows)
            assert records.topic == topics.raw(ORDERS)
            batches, rejected = Decoder(self.schemas)(records)
            assert not rejected
            for batch in batches:
                assert batch.raw.offset.to_pylist() == batch.rows.column(columns.OFFSET).to_pylist()
                ingested = batch.rows.column(columns.INGESTED_AT).cast(pa.int64())
                assert batch.raw.timestamp_ms.to_pylist() == [at // 1000 for at in ingested.to_numpy().tolist()]
                found += batch.rows.to_pylist()
        return found


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_every_value_comes_back_as_it_was_staged(lake: Lake) -> None:
    lake.land((0, 0), (0, 1), (1, 0), **VALUES)
    assert lake.read({0: Stretch(0, 2), 1: Stretch(0, 1)}) == lake.staged


def test_records_of_many_landings_come_in_order_and_only_those_asked_for(lake: Lake) -> None:
    op = pa.array(["insert"] * 2)
    for first in range(0, 20, 2):  # two days in turn: each landing has a file for each
        lake.land((0, first), (0, first + 1), n=pa.array([first, first + 1]), _op=op)
    lake.land((1, 0), (0, 21), n=pa.array([7, 8], pa.int64()), _op=op, more=pa.array(["a", None]))  # a column more
    found = lake.read({0: Stretch(3, 22), 1: Stretch(0, 0)})
    assert [row[columns.OFFSET] for row in found] == [*range(3, 20), 21]
    assert found == [row for row in lake.staged if row[columns.PARTITION] == 0 and row[columns.OFFSET] >= 3]
    assert "more" in found[-1]
    assert "more" not in found[0]


def test_there_is_no_lake(tmp_path: Path) -> None:
    reader = LandedRecords(StagerSettings(data_dir=tmp_path / "nowhere"), MemorySchemas(), ORDERS)
    with pytest.raises(Fatal, match="the lake has no table"):
        reader.landings({0: Stretch(0, 1)})

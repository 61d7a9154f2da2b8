"""The stager gives each raw record its identity and changes nothing else."""

from datetime import UTC, datetime

import pyarrow as pa

from headrace.stream import columns
from headrace.stream.lake import offsets_of, properties_of
from headrace.stream.stage import Batch, Records
from services.stager.core.landing import landed, landed_type
from services.stager.core.stage import StagerStage

RAW = Records(
    "shop.orders.raw",
    pa.array([0, 1], pa.int32()),
    pa.array([7, 3], pa.int64()),
    pa.array([1_700_000_000_123, 1_700_000_000_456], pa.int64()),
    [None, None],
    [b"a", b"b"],
)


def rows(**more: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"name": pa.array(["x", None]), **more})


def test_a_row_gets_its_coordinates_and_the_time_the_broker_took_it() -> None:
    outcome = StagerStage(4)(Batch(RAW, rows(), 1))
    (emitted,) = outcome.emitted
    assert emitted.row.to_pylist() == [0, 1]
    assert emitted.rows is not None
    assert emitted.rows.to_pylist()[1] == {
        "name": None,
        "_partition": 1,
        "_offset": 3,
        "_seq": 0,
        "_ingested_at": datetime(2023, 11, 14, 22, 13, 20, 456000, tzinfo=UTC),
        "_source_ts": None,
        "_op": "insert",
        "_version": 4,
    }
    assert emitted.rows.schema.names[-len(columns.STAGED_FIELDS) :] == [field.name for field in columns.STAGED_FIELDS]


def test_what_the_connector_said_stands() -> None:
    said = datetime(2020, 2, 29, tzinfo=UTC)
    given = rows(_op=pa.array(["delete", "update"]), _source_ts=pa.array([said, None], columns.TIMESTAMP))
    (emitted,) = StagerStage(1)(Batch(RAW, given, 1)).emitted
    assert emitted.rows is not None
    assert emitted.rows.column("_op").to_pylist() == ["delete", "update"]
    assert emitted.rows.column("_source_ts").to_pylist() == [said, None]
    assert emitted.rows.schema.names.count("_op") == 1


def test_landed_rows_name_their_schema_and_system_columns_are_never_null() -> None:
    table = landed(Batch(RAW, rows(), 42), 1)
    assert table.column("_schema_id").to_pylist() == [42, 42]
    assert not table.schema.field("_offset").nullable
    assert table.schema.field("name").nullable


def test_types_iceberg_lacks_become_wider_ones() -> None:
    assert landed_type(pa.uint64()) == pa.decimal128(20, 0)
    assert landed_type(pa.uint32()) == pa.int64()
    assert landed_type(pa.int8()) == pa.int32()
    assert landed_type(pa.list_(pa.struct([("n", pa.uint16())]))) == pa.list_(
        pa.field("element", pa.struct([("n", pa.int32())]))
    )
    assert landed_type(pa.map_(pa.string(), pa.uint8())) == pa.map_(pa.string(), pa.int32())


def test_offsets_survive_the_snapshot_properties() -> None:
    assert offsets_of({**properties_of({0: 5, 11: 7}), "added-records": "3"}) == {0: 5, 11: 7}

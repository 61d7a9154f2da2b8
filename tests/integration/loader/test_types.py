"""Every type of the map goes into the real engine and comes back as it was."""

import re
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from math import inf, isnan, nan
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client

from services.loader.adapters.digest import Digest, comparable, differences
from services.loader.core.fencing import Fence
from services.loader.core.table import INTERNAL, LOAD_FIELDS, Table
from services.loader.core.types import of_field
from tests.integration.loader.conftest import Connect

UUIDS = [uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"), None, uuid.UUID(int=1)]
TS = pa.timestamp("us", tz="UTC")
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def struct(members: dict[str, pa.DataType]) -> pa.DataType:
    return pa.struct([pa.field(name, kind) for name, kind in members.items()])


def map_of(keys: list[str], values: pa.Array) -> pa.Array:
    """A map with one entry in each row."""
    starts: Any = pa.array(range(len(keys) + 1), pa.int32())
    return pa.MapArray.from_arrays(starts, pa.array(keys), values)


def uuids(values: list[uuid.UUID | None]) -> pa.Array:
    storage = pa.array([None if value is None else value.bytes for value in values], pa.binary(16))
    return pa.ExtensionArray.from_storage(pa.uuid(), storage)


INTEGERS = [
    pytest.param(pa.array([0, 1, None, low, high], kind), f"Nullable({name})", id=name)
    for bits in (8, 16, 32, 64)
    for kind, name, low, high in (
        (getattr(pa, f"int{bits}")(), f"Int{bits}", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
        (getattr(pa, f"uint{bits}")(), f"UInt{bits}", 0, 2**bits - 1),
    )
]
OTHERS: list[Any] = [
    (pa.array([True, False, None]), "Nullable(Bool)"),
    (pa.array([1.5, -0.0, nan, inf, -inf, None], pa.float64()), "Nullable(Float64)"),
    (pa.array([0.1, nan, inf, -inf, None], pa.float32()), "Nullable(Float32)"),
    (pa.array([1.5, nan, None], pa.float16()), "Nullable(Float32)"),
    (pa.array(["", "é😀", "a\0b", "it's `quoted` \\", None]), "Nullable(String)"),
    (pa.array(["text", None], pa.large_string()), "Nullable(String)"),
    (pa.array(["a", "b", "a", None]).dictionary_encode(), "Nullable(String)"),
    (pa.array([b"", b"\0\xff\xfe", None], pa.binary()), "Nullable(String)"),
    (pa.array([b"abcd", None], pa.binary(4)), "Nullable(FixedString(4))"),
    (pa.array([Decimal("-99999999.99"), Decimal("0.01"), None], pa.decimal128(10, 2)), "Nullable(Decimal(10, 2))"),
    (pa.array([Decimal("9" * 36 + ".99"), None], pa.decimal128(38, 2)), "Nullable(Decimal(38, 2))"),
    (pa.array([Decimal("-" + "9" * 70 + ".999999"), None], pa.decimal256(76, 6)), "Nullable(Decimal(76, 6))"),
    (pa.array([date.min, date(1899, 12, 31), date(2300, 1, 1), date.max, None]), "Nullable(Date32)"),
    (pa.array([FIRST, LAST, datetime(1969, 12, 31, tzinfo=UTC), None], TS), "Nullable(DateTime64(6, 'UTC'))"),
    (pa.array([LAST.replace(year=2026), None], pa.timestamp("us", tz="Europe/Berlin")), "Nullable(DateTime64(6, 'UTC'))"),
    (pa.array([1, None], pa.timestamp("ms", tz="UTC")), "Nullable(DateTime64(3, 'UTC'))"),
    (pa.array([1, None], pa.timestamp("s", tz="UTC")), "Nullable(DateTime64(0, 'UTC'))"),
    (pa.array([2**63 - 1, -(2**63) + 1, None], pa.timestamp("ns", tz="UTC")), "Nullable(DateTime64(9, 'UTC'))"),
    (pa.array([time.min, time.max, None], pa.time64("us")), "Nullable(Time64(6))"),
    (pa.array([time(1, 2, 3, 4000), None], pa.time32("ms")), "Nullable(Time64(3))"),
    (uuids(UUIDS), "Nullable(UUID)"),
    (
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"b": 1.0, "a": [null]}', None, "{}"])),
        "Nullable(String)",
    ),
    (pa.array([None, None], pa.null()), "Nullable(String)"),
    (pa.array([[1, None, 2], []], pa.list_(pa.int64())), "Array(Nullable(Int64))"),
    (pa.array([[[1], []], [[None]]], pa.list_(pa.list_(pa.int64()))), "Array(Array(Nullable(Int64)))"),
    (pa.array([["a"]], pa.large_list(pa.field("item", pa.string(), nullable=False))), "Array(String)"),
    (pa.array([[1, 2]], pa.list_(pa.int32(), 2)), "Array(Nullable(Int32))"),
    (
        pa.array([{"a": 1, "b c": None}, None, {"a": None, "b c": "x"}], struct({"a": pa.int64(), "b c": pa.string()})),
        "Nullable(Tuple(`a` Nullable(Int64), `b c` Nullable(String)))",
    ),
    (pa.array([[("k", 1), ("l", None)], []], pa.map_(pa.string(), pa.int32())), "Map(String, Nullable(Int32))"),
    (
        pa.array([[(1, LAST)]], pa.map_(pa.int32(), TS)),
        "Map(Int32, Nullable(DateTime64(6, 'UTC')))",
    ),
    (
        pa.array(
            [[{"day": date.max, "tags": [[("k", [Decimal("1.50"), None])]]}, None]],
            pa.list_(
                struct(
                    {"day": pa.date32(), "tags": pa.list_(pa.map_(pa.string(), pa.list_(pa.decimal128(9, 2))))}
                )
            ),
        ),
        "Array(Nullable(Tuple(`day` Nullable(Date32), `tags` Array(Map(String, Array(Nullable(Decimal(9, 2))))))))",
    ),
    (
        pa.array(
            [{"in": {"deep": [time.max]}}, {"in": None}, None],
            struct({"in": struct({"deep": pa.list_(pa.time64("us"))})}),
        ),
        "Nullable(Tuple(`in` Nullable(Tuple(`deep` Array(Nullable(Time64(6)))))))",
    ),
    (pa.ListArray.from_arrays([0, 3], uuids(UUIDS)), "Array(Nullable(UUID))"),
    (pa.StructArray.from_arrays([uuids(UUIDS)], ["id"]), "Nullable(Tuple(`id` Nullable(UUID)))"),
    (map_of(["a", "b", "c"], uuids(UUIDS)), "Map(String, Nullable(UUID))"),
]  # fmt: skip
#: What a value comes back as where the warehouse holds less than Arrow: (sent, received, ClickHouse type).
LESSER: list[Any] = [
    # No nullable arrays and maps: a null one becomes an empty one.
    (pa.array([[1], None], pa.list_(pa.int32())), [[1], []], "Array(Nullable(Int32))"),
    (pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())), [[("a", 1)], []], "Map(String, Nullable(Int32))"),
    # No local timestamps: the wall clock is shown as if it were UTC.
    (
        pa.array([datetime(2026, 3, 29, 2, 30), None], pa.timestamp("us")),
        [datetime(2026, 3, 29, 2, 30, tzinfo=UTC), None],
        "Nullable(DateTime64(6, 'UTC'))",
    ),
    # No durations: a count of the type's unit.
    (pa.array([1_500_000, None], pa.duration("us")), [1_500_000, None], "Nullable(Int64)"),
]


def there_and_back(
    connect: Connect, client: Client, database: str, field: pa.Field, values: pa.Array
) -> pa.ChunkedArray:
    table = Table(database, "there_and_back", order_by=("_load_partition", "_load_offset"))
    partition, offset = pa.array([0] * len(values), pa.int32()), pa.array(range(len(values)), pa.int64())
    rows = pa.Table.from_arrays([values, partition, offset], schema=pa.schema([field, *LOAD_FIELDS]))
    warehouse = connect()
    warehouse.prepare(table, rows.schema)
    warehouse.prepare(table, rows.schema)  # what the engine says it holds must fit the same rows again
    warehouse.fence(table, {0: Fence(1, "me")})
    warehouse.insert(table, rows, {0: Fence(1, "me")})
    as_bytes = {"output_format_arrow_string_as_string": 0} if pa.types.is_binary(values.type) else {}
    return client.query_arrow(f"SELECT v FROM {table.path} ORDER BY _load_offset", settings=as_bytes).column("v")


def same(one: Any, other: Any) -> bool:
    return one == other or (isinstance(one, float) and isinstance(other, float) and isnan(one) and isnan(other))


@pytest.mark.parametrize(
    ("values", "kind"), [*INTEGERS, *(pytest.param(*case, id=str(case[0].type)) for case in OTHERS)]
)
def test_there_and_back(connect: Connect, client: Client, database: str, values: pa.Array, kind: str) -> None:
    field = pa.field("v", values.type)
    back = there_and_back(connect, client, database, field, values)
    assert str(of_field(field)) == kind
    assert len(back) == len(values)
    assert all(map(same, back.to_pylist(), values.to_pylist()))


@pytest.mark.parametrize(
    ("values", "kind"),
    [pytest.param(case[0].drop_null(), case[1], id=str(case[0].type)) for case in OTHERS if case[0].drop_null()],
)
def test_required_columns_are_not_nullable(
    connect: Connect, client: Client, database: str, values: pa.Array, kind: str
) -> None:
    field = pa.field("v", values.type, nullable=False)
    back = there_and_back(connect, client, database, field, values)
    assert str(of_field(field)) == kind.removeprefix("Nullable(").removesuffix(
        ")" if kind.startswith("Nullable(") else ""
    )
    assert all(map(same, back.to_pylist(), values.to_pylist()))


@pytest.mark.parametrize(("values", "received", "kind"), [pytest.param(*case, id=str(case[0].type)) for case in LESSER])
def test_what_the_warehouse_holds_differently(
    connect: Connect, client: Client, database: str, values: pa.Array, received: list[Any], kind: str
) -> None:
    field = pa.field("v", values.type)
    assert there_and_back(connect, client, database, field, values).to_pylist() == received
    assert str(of_field(field)) == kind


@pytest.mark.parametrize(
    "values", [pytest.param(case[0], id=f"{case[0].type}{number}") for number, case in enumerate([*OTHERS, *LESSER])]
)
def test_what_comes_back_is_as_it_was_sent_when_runs_are_compared(
    connect: Connect, client: Client, database: str, values: pa.Array
) -> None:
    """No good run is refused, whatever the type. The control: one value less, or in another row, is noticed."""
    there_and_back(connect, client, database, pa.field("v", values.type), values)
    table = Table(database, "there_and_back", order_by=("_load_partition", "_load_offset"))
    kinds = comparable(connect().columns(table), INTERNAL)
    back = client.query_arrow(f"SELECT v FROM {table.path} ORDER BY _load_offset").column("v")
    sent, received = digest(kinds, values), digest(kinds, back)
    assert differences(sent, received) == {}
    assert ("v" in kinds) == (str(values.type) not in NOT_COMPARED)
    assert not sent.unlike | received.unlike
    if "v" in kinds and values.null_count < len(values) and len(values) > 1:
        turned = values.take(pa.array([*range(1, len(values)), 0]))
        assert differences(digest(kinds, turned), received)


NOT_COMPARED = {
    str(case[0].type) for case in OTHERS if re.search("decimal256|deep|<.*(list|struct|extension)<", str(case[0].type))
}


def digest(kinds: dict[str, pa.DataType], values: pa.Array | pa.ChunkedArray) -> Digest:
    """Of rows with these values for a column."""
    found, count = Digest(kinds, 4096), len(values)
    same = pa.array([0] * count, pa.int32())
    rows: dict[str, Any] = {
        "v": values,
        "_partition": same,
        "_offset": pa.array(range(count), pa.int64()),
        "_seq": same,
    }
    found.add(pa.table(rows))
    found.close()
    return found

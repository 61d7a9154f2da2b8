"""The schemas of Headrace's own topics: what Arrow holds comes back, and any Avro reader can read it."""

import base64
import datetime as dt
import decimal
import json
import uuid
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.stream.codec import Codec, avro_schema, conform, schema_id_of
from tests.unit.codec.avro_values import TEXT, same, single_floats
from tests.unit.codec.fastavro_messages import read

unhurried = settings(deadline=None, max_examples=50)

UTC = pa.timestamp("us", tz="UTC")
MOMENT = dt.datetime(2013, 1, 1, 5, 17, 0, 250, dt.UTC)
ID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")

# Arrow type, a value, how its Avro type is spelt, and what another Avro reader sees.
EXACT: list[tuple[pa.DataType, Any, Any, Any]] = [
    (pa.bool_(), True, "boolean", True),
    (pa.int32(), -(2**31), "int", -(2**31)),
    (pa.int64(), 2**63 - 1, "long", 2**63 - 1),
    (pa.float32(), 1.5, "float", 1.5),
    (pa.float64(), 0.1, "double", 0.1),
    (pa.string(), "Zoë ✈ 🛬", "string", "Zoë ✈ 🛬"),
    (
        pa.binary(),
        b"\x00\xff",
        {"type": "string", "logicalType": "base64"},
        base64.b64encode(b"\x00\xff").decode(),
    ),
    (
        pa.binary(2),
        b"\x00\xff",
        {"type": "string", "logicalType": "base64", "size": 2},
        base64.b64encode(b"\x00\xff").decode(),
    ),
    (pa.date32(), MOMENT.date(), {"type": "int", "logicalType": "date"}, MOMENT.date()),
    (pa.time64("us"), MOMENT.time(), {"type": "long", "logicalType": "time-micros"}, MOMENT.time()),
    (UTC, MOMENT, {"type": "long", "logicalType": "timestamp-micros"}, MOMENT),
    (
        pa.timestamp("us"),
        MOMENT.replace(tzinfo=None),
        {"type": "long", "logicalType": "local-timestamp-micros"},
        MOMENT.replace(tzinfo=None),
    ),
    (pa.duration("us"), dt.timedelta(microseconds=5), {"type": "long", "logicalType": "duration-micros"}, 5),
    (pa.uuid(), ID, {"type": "string", "logicalType": "uuid"}, ID),
    (pa.json_(), '{"a": [1]}', {"type": "string", "logicalType": "json"}, '{"a": [1]}'),
    (
        pa.decimal128(38, 9),
        decimal.Decimal("12345678901234567890123456789.000000001"),
        {"type": "string", "logicalType": "decimal-string", "precision": 38, "scale": 9},
        "12345678901234567890123456789.000000001",
    ),
    (
        pa.decimal256(60, 2),
        decimal.Decimal("-0.01"),
        {"type": "string", "logicalType": "decimal-string", "precision": 60, "scale": 2},
        "-0.01",
    ),
    (pa.list_(pa.int64()), [1, None], {"type": "array", "items": ["null", "long"]}, [1, None]),
    (
        pa.list_(pa.field("item", pa.string(), nullable=False)),
        ["a"],
        {"type": "array", "items": "string"},
        ["a"],
    ),
    (pa.map_(pa.string(), pa.int64()), [("a", 1)], {"type": "map", "values": ["null", "long"]}, {"a": 1}),
]


@pytest.mark.parametrize(("arrow", "value", "avro", "seen"), EXACT, ids=lambda part: str(part)[:40])
def test_each_type_is_spelt_as_documented_and_comes_back(arrow: pa.DataType, value: Any, avro: Any, seen: Any) -> None:
    schema = pa.schema([pa.field("required", arrow, nullable=False), pa.field("optional", arrow)])
    rows = pa.RecordBatch.from_pylist([{"required": value, "optional": value}, {"required": value}], schema=schema)
    text = avro_schema(schema, "nyc.flights")

    fields = json.loads(text)["fields"]
    assert fields == [
        {"name": "required", "type": avro},
        {"name": "optional", "type": ["null", avro], "default": None},
    ]
    messages = Codec(text).encode(rows, 7)
    assert [schema_id_of(message) for message in messages] == [7, 7]
    assert [read(text, message) for message in messages] == [
        {"required": seen, "optional": seen},
        {"required": seen, "optional": None},
    ]
    assert Codec(text).decode(messages).rows.equals(rows)
    assert Codec(text).arrow_schema == schema


def test_narrow_types_are_widened_and_keep_their_values() -> None:
    given_types = {
        "i8": (pa.int8(), pa.int32(), -128),
        "i16": (pa.int16(), pa.int32(), -(2**15)),
        "u8": (pa.uint8(), pa.int32(), 255),
        "u16": (pa.uint16(), pa.int32(), 2**16 - 1),
        "u32": (pa.uint32(), pa.int64(), 2**32 - 1),
        "u64": (pa.uint64(), pa.decimal128(20, 0), 2**64 - 1),
        "f16": (pa.float16(), pa.float32(), 0.5),
        "d64": (pa.date64(), pa.date32(), MOMENT.date()),
        "t32": (pa.time32("s"), pa.time64("us"), dt.time(1, 2, 3)),
        "ts_s": (pa.timestamp("s", tz="America/New_York"), UTC, MOMENT.replace(microsecond=0)),
        "ts_ms": (pa.timestamp("ms"), pa.timestamp("us"), dt.datetime(2013, 1, 1)),
        "cents": (pa.decimal32(9, 2), pa.decimal128(9, 2), decimal.Decimal("-1234567.89")),
        "large": (pa.large_string(), pa.string(), "x"),
        "view": (pa.string_view(), pa.string(), "a text too long to be inlined in a view"),
        "blob": (pa.large_binary(), pa.binary(), b"x"),
        "code": (pa.dictionary(pa.uint8(), pa.string()), pa.string(), "UA"),
        "list": (pa.large_list(pa.large_string()), pa.list_(pa.string()), ["a", None]),
        "fixed": (pa.list_(pa.int8(), 2), pa.list_(pa.int32()), [1, 2]),
        "list_view": (pa.list_view(pa.int64()), pa.list_(pa.int64()), [1, 2]),
        "nested": (pa.struct([("a", pa.large_list(pa.uint8()))]), pa.struct([("a", pa.list_(pa.int32()))]), {"a": [1]}),
        "counts": (pa.map_(pa.large_string(), pa.uint8()), pa.map_(pa.string(), pa.int32()), [("a", 1)]),
    }
    schema = pa.schema([pa.field(name, arrow) for name, (arrow, _, _) in given_types.items()])
    row = {name: value for name, (_, _, value) in given_types.items()}
    rows = pa.RecordBatch.from_arrays(
        [pa.array([row[name], None, row[name]], type=arrow) for name, (arrow, _, _) in given_types.items()],
        schema=schema,
    )
    codec = Codec(avro_schema(schema, "a.b"))

    assert {field.name: field.type for field in codec.arrow_schema} == {
        name: arrow for name, (_, arrow, _) in given_types.items()
    }
    for batch in (rows, rows.slice(1)):  # a slice has offsets in every buffer
        back = codec.decode(codec.encode(batch, 1)).rows.to_pylist()
        assert back == batch.to_pylist()
    assert back[1] == row


def test_times_finer_than_a_microsecond_are_cut() -> None:
    schema = pa.schema([pa.field("at", pa.timestamp("ns"))])
    rows = pa.RecordBatch.from_arrays([pa.array([1_999], pa.timestamp("ns"))], schema=schema)
    codec = Codec(avro_schema(schema, "a.b"))
    assert codec.decode(codec.encode(rows, 1)).rows.column(0).cast(pa.int64()).to_pylist() == [1]


def test_a_map_with_keys_that_are_not_text_comes_back_as_a_map() -> None:
    schema = pa.schema([pa.field("by_day", pa.map_(pa.date32(), pa.decimal128(9, 2)))])
    rows = pa.RecordBatch.from_pylist(
        [{"by_day": [(MOMENT.date(), decimal.Decimal("1.50"))]}, {"by_day": None}, {"by_day": []}], schema=schema
    )
    codec = Codec(avro_schema(schema, "nyc.fares"))
    assert codec.decode(codec.encode(rows, 1)).rows == rows
    assert codec.decode(codec.encode(rows.slice(1), 1)).rows == rows.slice(1)


def test_special_floats_travel() -> None:
    rows = pa.RecordBatch.from_pydict({"x": [float("nan"), float("inf"), float("-inf"), -0.0]})
    codec = Codec(avro_schema(rows.schema, "a.b"))
    assert same(codec.decode(codec.encode(rows, 1)).rows.to_pylist(), rows.to_pylist())


def test_a_column_of_nulls_travels_at_every_level() -> None:
    schema = pa.schema(
        [
            pa.field("nothing", pa.null()),
            pa.field("inside", pa.struct([pa.field("nothing", pa.null()), pa.field("a", pa.int32())])),
            pa.field("id", pa.int64()),
        ]
    )
    rows = pa.RecordBatch.from_pylist([{"id": 1, "inside": {"a": 1}}, {"id": 2, "inside": None}], schema=schema)
    codec = Codec(avro_schema(schema, "a.b"))
    assert codec.decode(codec.encode(rows, 1)).rows == rows


def test_what_duckdb_returns_can_be_written() -> None:
    with duckdb.connect() as connection:
        result = connection.sql(
            """
            SELECT 1::UHUGEINT - 1 AS huge, 'UA'::ENUM('UA', 'AA') AS carrier, [1, 2]::TINYINT[2] AS pair,
                   MAP {1: 'a', 2: NULL} AS by_number, {'x': [DATE '2013-01-01'], 'y': NULL::INT} AS place,
                   TIMESTAMP_NS '2013-01-01 05:17:00.000000001' AS fine, TIMESTAMPTZ '2013-01-01 05:17:00+02' AS at,
                   '00112233-4455-6677-8899-aabbccddeeff'::UUID AS id, '{"a": 1}'::JSON AS extra,
                   'ab'::BLOB AS raw, 1.5::DECIMAL(18, 3) AS fare, TIME '01:02:03' AS clock, 200::UTINYINT AS small
            """
        ).to_arrow_table()
        (rows,) = result.combine_chunks().to_batches()
    codec = Codec(avro_schema(rows.schema, "nyc.flights"))
    (back,) = codec.decode(codec.encode(rows, 1)).rows.to_pylist()
    (expected,) = rows.to_pylist()
    expected["fine"] = dt.datetime(2013, 1, 1, 5, 17)
    assert back == expected


def test_text_becomes_a_uuid_or_json_where_the_schema_says_so() -> None:
    schema = pa.schema([pa.field("id", pa.uuid()), pa.field("extra", pa.json_())])
    rows = pa.RecordBatch.from_pydict({"id": [str(ID), None], "extra": ["{}", None]})
    codec = Codec(avro_schema(schema, "a.b"))
    assert codec.decode(codec.encode(rows, 1)).rows.to_pylist() == [
        {"id": ID, "extra": "{}"},
        {"id": None, "extra": None},
    ]
    with pytest.raises(ValueError, match=r"column id: .*UUID"):
        codec.encode(pa.RecordBatch.from_pydict({"id": ["no uuid"], "extra": ["{}"]}), 1)


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("dep_time", "dep_time"),
        ("dep time", "dep_x0020_time"),
        ("é", "_x00E9_"),
        ("2013", "_x0032_013"),
        ("", "_x_"),
        ("a_x0020_b", "a_x005F_x0020_b"),
        ("max_x", "max_x"),
    ],
)
def test_a_name_avro_does_not_allow_is_escaped_and_comes_back(name: str, spelt: str) -> None:
    schema = pa.schema([pa.field(name, pa.struct([pa.field(name, pa.string())])), pa.field("other", pa.int64())])
    text = avro_schema(schema, "nyc.flights")
    rows = pa.RecordBatch.from_pylist([{name: {name: "x"}, "other": 1}], schema=schema)

    assert json.loads(text)["fields"][0]["name"] == spelt
    codec = Codec(text)
    (message,) = codec.encode(rows, 1)
    assert read(text, message) == {spelt: {spelt: "x"}, "other": 1}
    assert codec.decode([message]).rows == rows


@given(names=st.lists(st.text(st.sampled_from("a_x0025F é"), max_size=12), unique=True, min_size=2))
def test_two_names_never_get_the_same_spelling(names: list[str]) -> None:
    fields = json.loads(avro_schema(pa.schema([(name, pa.int64()) for name in names]), "a.b"))["fields"]
    assert len({field["name"] for field in fields}) == len(names)


def test_record_names_follow_the_dataset_and_the_path() -> None:
    place = pa.struct([("at", pa.struct([("lat", pa.float64())]))])
    schema = pa.schema([("origin", place), ("dest", place), ("stops", pa.list_(place))])
    top = json.loads(avro_schema(schema, "nyc.flights"))

    def full_names(node: Any) -> list[str]:
        if isinstance(node, list):
            return [name for branch in node for name in full_names(branch)]
        if not isinstance(node, dict):
            return []
        own = [f"{node['namespace']}.{node['name']}"] if "fields" in node else []
        return own + [name for value in node.values() for name in full_names(value)]

    assert full_names(top) == [
        "nyc.flights",
        "nyc.flights.origin",
        "nyc.flights.origin.at",
        "nyc.flights.dest",
        "nyc.flights.dest.at",
        "nyc.flights.stops",
        "nyc.flights.stops.at",
    ]


map_type: Any = pa.map_  # pyarrow's stubs do not know that it takes a field


def required(arrow: pa.DataType) -> pa.Field:
    return pa.field("x", arrow, nullable=False)


_INNER = pa.struct([pa.field("y", pa.string(), nullable=False)])


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        (required(pa.string()), None, "column x is required"),
        (required(pa.list_(pa.int64())), None, "column x is required"),
        (pa.field("x", pa.list_(pa.field("item", pa.int64(), nullable=False))), [1, None], r"column x\[\] is required"),
        (pa.field("x", _INNER), {"y": None}, r"column x\.y is required"),
        (pa.field("x", pa.list_(_INNER)), [{"y": None}], r"column x\[\]\.y is required"),
        (
            pa.field("x", map_type(pa.string(), pa.field("value", pa.int64(), nullable=False))),
            [("k", None)],
            r"column x\.value is required",
        ),
    ],
)
def test_a_null_in_a_required_place_is_refused(field: pa.Field, value: Any, where: str) -> None:
    codec = Codec(avro_schema(pa.schema([field]), "a.b"))
    lax = pa.schema([pa.field("x", _all_nullable(field.type))])
    with pytest.raises(ValueError, match=where):
        codec.encode(pa.RecordBatch.from_pylist([{"x": value}], schema=lax), 1)


def _all_nullable(arrow: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(arrow):
        return pa.struct([pa.field(field.name, _all_nullable(field.type)) for field in arrow])
    if pa.types.is_list(arrow):
        return pa.list_(_all_nullable(arrow.value_type))
    return pa.map_(arrow.key_type, arrow.item_type) if pa.types.is_map(arrow) else arrow


def test_a_null_struct_may_have_required_fields() -> None:
    schema = pa.schema([pa.field("x", _INNER)])
    rows = pa.RecordBatch.from_pylist([{"x": None}, {"x": {"y": "a"}}], schema=schema)
    codec = Codec(avro_schema(schema, "a.b"))
    assert codec.decode(codec.encode(rows, 1)).rows == rows


def test_a_column_the_schema_does_not_have_is_refused_not_dropped() -> None:
    codec = Codec(avro_schema(pa.schema([("a", pa.struct([("b", pa.int64())]))]), "x.y"))
    with pytest.raises(ValueError, match=r"no column a\.c"):
        codec.encode(pa.RecordBatch.from_pylist([{"a": {"b": 1, "c": 2}}]), 1)
    with pytest.raises(ValueError, match="no column z"):
        codec.encode(pa.RecordBatch.from_pylist([{"a": {"b": 1}, "z": 2}]), 1)


def test_columns_may_come_in_any_order_and_missing_nullable_ones_are_null() -> None:
    fields: list[Any] = [pa.field("a", pa.int64()), pa.field("b", pa.string())]
    codec = Codec(avro_schema(pa.schema(fields), "x.y"))
    messages = codec.encode(pa.RecordBatch.from_pylist([{"b": "x"}]), 1)
    messages += codec.encode(pa.RecordBatch.from_pylist([{"b": "y", "a": 1}]), 1)
    assert codec.decode(messages).rows.to_pylist() == [{"a": None, "b": "x"}, {"a": 1, "b": "y"}]


def test_no_rows_give_no_messages_and_back() -> None:
    columns: list[tuple[str, Any]] = [
        ("a", pa.list_(pa.int64())),
        ("m", pa.map_(pa.string(), pa.uuid())),
        ("s", _INNER),
    ]
    schema = pa.schema(columns)
    codec = Codec(avro_schema(schema, "x.y"))
    decoded = codec.decode([])
    assert codec.encode(decoded.rows, 1) == []
    assert decoded.rows.num_rows == 0
    assert decoded.rows.schema == schema
    assert decoded.index.type == pa.int64()


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (pa.schema([("every", pa.month_day_nano_interval())]), "column every: .* cast it"),
        (pa.schema([("a", pa.struct([("b", pa.month_day_nano_interval())]))]), r"column a\.b"),
        (pa.schema([("a", pa.struct([]))]), "column a: a struct without fields"),
        (pa.schema([("a", pa.int64()), ("a", pa.int64())]), "used twice: a"),
    ],
)
def test_what_cannot_travel_is_refused_by_name(schema: pa.Schema, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        avro_schema(schema, "a.b")


LEAVES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float32(), single_floats()),
    (pa.float64(), st.floats()),
    (pa.string(), TEXT),
    (pa.binary(), st.binary(max_size=9)),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.date32(), st.dates()),
    (pa.time64("us"), st.times()),
    (pa.timestamp("us"), st.datetimes()),
    (UTC, st.datetimes(timezones=st.just(dt.UTC))),
    (pa.uuid(), st.uuids().map(lambda value: value.bytes)),
    (pa.json_(), TEXT),
    (pa.decimal128(38, 9), st.decimals(-(10**28), 10**28, places=9)),
    (pa.decimal256(50, 20), st.decimals(-(10**20), 10**20, places=20)),
]


def arrow_types() -> st.SearchStrategy[tuple[pa.DataType, st.SearchStrategy[Any]]]:
    return st.recursive(st.sampled_from(LEAVES), _nested, max_leaves=5)


def _nested(inner: Any) -> Any:
    def list_of(typed: Any, nullable: bool) -> Any:
        arrow, values = typed
        return pa.list_(pa.field("item", arrow, nullable=nullable)), st.lists(_maybe(values, nullable), max_size=3)

    def map_of(typed: Any, key: Any, nullable: bool) -> Any:
        arrow, values = typed
        pairs = st.dictionaries(key[1], _maybe(values, nullable), max_size=3).map(lambda d: list(d.items()))
        return map_type(key[0], pa.field("value", arrow, nullable=nullable)), pairs

    def struct_of(parts: Any) -> Any:
        fields = [pa.field(name, arrow, nullable=nullable) for name, (arrow, _), nullable in parts]
        return pa.struct(fields), st.fixed_dictionaries(
            {name: _maybe(values, nullable) for name, (_, values), nullable in parts}
        )

    keys = st.sampled_from([(pa.string(), TEXT), (pa.int64(), st.integers(-9, 9)), (pa.date32(), st.dates())])
    parts = st.lists(st.tuples(TEXT, inner, st.booleans()), min_size=1, max_size=3, unique_by=lambda part: part[0])
    return st.one_of(
        st.builds(list_of, inner, st.booleans()),
        st.builds(map_of, inner, keys, st.booleans()),
        parts.map(struct_of),
    )


def _maybe(values: st.SearchStrategy[Any], nullable: bool) -> st.SearchStrategy[Any]:
    return st.none() | values if nullable else values


@st.composite
def arrow_batches(draw: Callable[..., Any]) -> pa.RecordBatch:
    columns = draw(st.lists(st.tuples(arrow_types(), st.booleans()), min_size=1, max_size=4))
    schema = pa.schema([pa.field(f"c{at}", arrow, nullable=null) for at, ((arrow, _), null) in enumerate(columns)])
    row = st.tuples(*(_maybe(values, null) for (_, values), null in columns))
    rows = draw(st.lists(row, min_size=1, max_size=5))
    # pyarrow builds no extension type from Python values when it is nested: build its storage, then conform.
    arrays = [pa.array([row[at] for row in rows], type=_storage(field.type)) for at, field in enumerate(schema)]
    return conform(pa.RecordBatch.from_arrays(arrays, names=schema.names), schema)


def _storage(arrow: pa.DataType) -> pa.DataType:
    if isinstance(arrow, pa.BaseExtensionType):
        return arrow.storage_type
    if pa.types.is_list(arrow):
        return pa.list_(_storage(arrow.value_type))
    if pa.types.is_map(arrow):
        return pa.map_(arrow.key_type, _storage(arrow.item_type))
    return pa.struct([(field.name, _storage(field.type)) for field in arrow]) if pa.types.is_struct(arrow) else arrow


@unhurried
@given(rows=arrow_batches(), data=st.data())
def test_any_batch_comes_back(rows: pa.RecordBatch, data: st.DataObject) -> None:
    text = avro_schema(rows.schema, "nyc.flights")
    codec = Codec(text)
    assert codec.arrow_schema == rows.schema
    start = data.draw(st.integers(0, rows.num_rows - 1))
    part = rows.slice(start)
    messages = codec.encode(part, 1)
    back = codec.decode(messages)

    assert back.failures == []
    assert same(back.rows.to_pylist(), part.to_pylist())
    back.rows.validate(full=True)
    for message in messages:
        read(text, message)  # any Avro reader can

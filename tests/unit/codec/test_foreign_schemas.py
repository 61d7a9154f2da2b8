"""Schemas that others write: what Arrow has no exact type for, and what would be dangerous to follow."""

import json
from typing import Any

import pyarrow as pa
import pytest

from headrace.stream.codec import Codec, avro_schema
from tests.unit.codec.fastavro_messages import message, read

NODE = {
    "type": "record",
    "name": "Node",
    "fields": [
        {"name": "value", "type": "int"},
        {"name": "raw", "type": "bytes"},
        {"name": "next", "type": ["null", "Node"]},
    ],
}


def of(avro: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": "x", "type": avro}]}


def test_a_union_of_several_types_is_a_struct_with_one_member_set() -> None:
    point = {"type": "record", "name": "Point", "namespace": "geo", "fields": [{"name": "lat", "type": "double"}]}
    avro = of(["null", "long", "string", point, {"type": "array", "items": ["null", "long", "string"]}])
    values = [None, 5, "five", {"lat": 1.5}, [1, None, "a"]]
    codec = Codec(json.dumps(avro))
    messages = [message(avro, {"x": value}) for value in values]
    rows = codec.decode(messages).rows

    def only(**member: Any) -> dict[str, Any]:
        return {"long": None, "string": None, "Point": None, "array": None} | member

    assert rows.column("x").to_pylist() == [
        None,
        only(long=5),
        only(string="five"),
        only(Point={"lat": 1.5}),
        only(array=[{"long": 1, "string": None}, None, {"long": None, "string": "a"}]),
    ]
    assert codec.encode(rows, 41_087) == messages


def test_a_union_of_int_and_long_keeps_them_apart() -> None:
    avro = of(["int", "long", "float", "double"])
    codec = Codec(json.dumps(avro))
    rows = codec.decode([b"\0\0\0\0\1\x02\x08"]).rows  # branch 1, the value 4
    assert rows.to_pylist() == [{"x": {"int": None, "long": 4, "float": None, "double": None}}]
    assert codec.encode(rows, 1) == [b"\0\0\0\0\1\x02\x08"]


def test_a_union_with_no_member_or_two_set_is_refused() -> None:
    codec = Codec(json.dumps(of(["int", "string"])))
    for value in ({"int": None, "string": None}, {"int": 1, "string": "a"}):
        with pytest.raises(ValueError, match="exactly one"):
            codec.encode(pa.RecordBatch.from_pylist([{"x": value}], schema=codec.arrow_schema), 1)


def test_a_record_inside_itself_is_json_text() -> None:
    codec = Codec(json.dumps(NODE))
    chain = {"value": 1, "raw": b"\xff", "next": {"value": 2, "raw": b"", "next": None}}
    rows = codec.decode([message(NODE, chain), message(NODE, chain["next"])]).rows

    assert codec.arrow_schema.field("next").type == pa.json_()
    first, second = rows.to_pylist()
    assert (first["value"], first["raw"]) == (1, b"\xff")
    assert json.loads(first["next"]) == {"value": 2, "raw": "", "next": None}
    assert second["next"] is None
    with pytest.raises(ValueError, match="can be read, not written"):
        codec.encode(rows, 1)


def test_a_record_nested_without_end_is_a_failure_not_a_crash() -> None:
    """One that a compiled reader follows down the C stack until the process dies."""
    good = message(NODE, {"value": 1, "raw": b"", "next": None})
    deep = good[:5] + b"\x02\x00\x02" * 200_000 + b"\x02\x00\x00"
    decoded = Codec(json.dumps(NODE)).decode([good, deep, good])
    assert decoded.index.to_pylist() == [0, 2]
    assert [position for position, _ in decoded.failures] == [1]


@pytest.mark.parametrize("levels", [5, 24, 48])
def test_deeply_nested_schemas_work(levels: int) -> None:
    """Also those deeper than the fast path goes."""
    arrow: pa.DataType = pa.int64()
    value: Any = 7
    for _ in range(levels):
        arrow, value = pa.struct([pa.field("x", arrow)]), {"x": value}
    schema = pa.schema([("x", arrow)])
    rows = pa.RecordBatch.from_pylist([{"x": value}, {"x": None}], schema=schema)
    text = avro_schema(schema, "a.b")
    messages = Codec(text).encode(rows, 1)
    assert Codec(text).decode(messages).rows == rows
    assert read(text, messages[0]) == {"x": value}


def test_a_schema_that_is_no_record_has_the_column_value() -> None:
    codec = Codec('"string"')
    rows = codec.decode([b"\0\0\0\0\1\x02a"]).rows
    assert rows.to_pylist() == [{"value": "a"}]
    assert codec.encode(rows, 1) == [b"\0\0\0\0\1\x02a"]


def test_a_type_used_again_by_name_is_the_same_type() -> None:
    money = {"type": "fixed", "name": "Money", "size": 8, "logicalType": "decimal", "precision": 18, "scale": 2}
    avro = {
        "type": "record",
        "name": "Fare",
        "namespace": "nyc",
        "fields": [
            {"name": "base", "type": money},
            {"name": "tax", "type": ["null", "nyc.Money"]},
            {"name": "tips", "type": {"type": "array", "items": "Money"}},
        ],
    }
    codec = Codec(json.dumps(avro))
    amount = pa.decimal128(18, 2)
    assert [field.type for field in codec.arrow_schema] == [
        amount,
        amount,
        pa.list_(pa.field("item", amount, nullable=False)),
    ]


def test_blocks_with_their_size_in_bytes_are_read() -> None:
    """As some writers produce them: a negative count, then the size, then the items."""
    codec = Codec(json.dumps(of({"type": "array", "items": "int"})))
    rows = codec.decode([b"\0\0\0\0\1\x03\x04\x02\x04\x02\x06\x00"]).rows
    assert rows.to_pylist() == [{"x": [1, 2, 3]}]


@pytest.mark.parametrize(
    ("avro", "message"),
    [
        ("not json", "not an Avro schema"),
        ('{"type": "record", "name": "R"}', "'fields'"),
        ('{"type": "array", "items": "Nobody"}', "Nobody"),
        ('["int", ["long", "string"]]', "union directly inside a union"),
        ('{"type": "record", "name": "R", "fields": []}', "no fields"),
        (json.dumps(of({"type": "array", "items": "null"})), "take no bytes"),
        ('{"type":"array","items":' * 200 + '"int"' + "}" * 200, "deeper than 100"),
        ('{"type":"array","items":' * 20_000 + '"int"' + "}" * 20_000, "not an Avro schema|deeper"),
        ("5", "not an Avro schema"),
        ("{}", "'type'"),
        ('{"type": "record", "name": 5, "fields": 5}', "not an Avro schema"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused(avro: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Codec(avro)


def test_a_schema_that_grows_without_bound_when_followed_is_refused() -> None:
    fields: list[dict[str, Any]] = [{"name": "a", "type": {"type": "enum", "name": "L0", "symbols": ["A"]}}]
    for level in range(1, 40):
        below = f"L{level - 1}"
        twice = [{"name": "a", "type": below}, {"name": "b", "type": below}]
        fields.append({"name": f"f{level}", "type": {"type": "record", "name": f"L{level}", "fields": twice}})
    with pytest.raises(ValueError, match="more than"):
        Codec(json.dumps({"type": "record", "name": "Top", "fields": fields}))

"""Bytes that are no record of their schema: each is a failure with its reason, and its neighbours pass."""

import json
from typing import Any

import pytest

from headrace.stream.codec import Codec, schema_id_of
from headrace.stream.codec.wire import header
from tests.unit.codec.fastavro_messages import message

LONG = {"type": "record", "name": "R", "fields": [{"name": "x", "type": "long"}]}


def of(avro: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": "x", "type": avro}]}


def logical(avro: str, name: str, **more: int) -> dict[str, Any]:
    return {"type": avro, "logicalType": name, **more}


def text(value: str) -> bytes:
    return message(of("string"), {"x": value})[5:]


FIXED = {"type": "fixed", "name": "F", "size": 4}
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
DECIMAL_TEXT = logical("string", "decimal-string", precision=5, scale=2)

# What is wrong, the schema, a good record, a bad body, a part of the reason given.
BAD = {
    "no body": ("long", 1, b"", "end of buffer"),
    "cut inside a value": ("string", "a", b"\x06ab", "end of buffer|missing"),
    "bytes left over": ("long", 1, b"\x02\x00", "left over"),
    "a record twice": ("string", "a", b"\x02a\x02a", "left over"),
    "negative length": ("string", "a", b"\x01", "negative"),
    "length beyond all memory": ("string", "a", b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7fa", "end of buffer"),
    "not UTF-8": ("string", "a", b"\x02\xff", "UTF-8"),
    "a lone surrogate": ("string", "a", b"\x06\xed\xa0\x80", "UTF-8"),
    "not UTF-8 in an optional": (["null", "string"], "a", b"\x02\x02\xff", "UTF-8"),
    "not UTF-8 in an item": ({"type": "array", "items": "string"}, ["a"], b"\x02\x02\xff\x00", "UTF-8"),
    "not UTF-8 in a key": ({"type": "map", "values": "int"}, {"a": 1}, b"\x02\x02\xff\x02\x00", "UTF-8"),
    "a key twice": ({"type": "map", "values": "int"}, {"a": 1}, b"\x04\x02a\x02\x02a\x04\x00", "same key twice"),
    "an int of 40 bits": ("int", 1, b"\xfe\xff\xff\xff\xff\x7f", "not in range"),
    "a varint without end": ("long", 1, b"\xff" * 11, "varint"),
    "a boolean of 2": ("boolean", True, b"\x02", "boolean"),
    "a branch beyond the union": (["null", "long"], 1, b"\x04\x02", "branch"),
    "a negative branch": (["null", "long"], 1, b"\x01\x02", "branch"),
    "a symbol beyond the enum": (ENUM, "A", b"\x04", "enum"),
    "a negative symbol": (ENUM, "A", b"\x01", "enum"),
    "a block of 2^62 items": (
        {"type": "array", "items": "int"},
        [1],
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\x02",
        "end of buffer",
    ),
    "no UUID": (logical("string", "uuid"), "00112233-4455-6677-8899-aabbccddeeff", text("abc"), "UUID"),
    "no base64": (logical("string", "base64"), "YQ==", text("a?"), "base64|padding|data"),
    "base64 of another size": (logical("string", "base64", size=2), "YWI=", text("YQ=="), "bytes"),
    "no decimal": (DECIMAL_TEXT, "1.25", text("1,25"), "decimal"),
    "too many decimals": (DECIMAL_TEXT, "1.25", text("1.255"), "data loss"),
    "too many digits": (DECIMAL_TEXT, "1.25", text("1234.5"), "precision|fit|data loss"),
    "a time after midnight": (
        logical("long", "time-micros"),
        1,
        message(LONG, {"x": 86_400_000_000})[5:],
        "time of day",
    ),
    "cut inside bytes": ("bytes", b"a", b"\x06ab", "record of the schema"),
    "left over after bytes": ("bytes", b"a", b"\x02ab", "left over"),
    "cut inside fixed": (FIXED, b"abcd", b"abc", "record of the schema"),
    "a decimal of too many digits": (
        logical("bytes", "decimal", precision=3, scale=0),
        b"\x01",
        b"\x06\x7f\xff\xff",
        "precision",
    ),
    "a branch beyond a union of several": (["long", "string"], 1, b"\x04\x02", "record of the schema"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_record_fails_alone_and_says_why(what: str) -> None:
    avro, good, bad, reason = BAD[what]
    plain = avro.get("type") if isinstance(avro, dict) and "logicalType" in avro else avro
    fine = message(of(plain), {"x": good})
    values = [fine, fine, header(7) + bad, fine]
    decoded = Codec(json.dumps(of(avro))).decode(values)

    assert decoded.index.to_pylist() == [0, 1, 3]
    rows = decoded.rows.to_pylist()
    assert len(rows) == 3
    assert rows[0] == rows[2] != {"x": None}
    ((position, detail),) = decoded.failures
    assert position == 2
    assert any(part in detail for part in reason.split("|")), detail


@pytest.mark.parametrize("avro", ["long", "bytes"])  # the fast path and the slow one
@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00\x07\x02a", b"{}"])
def test_a_value_not_in_the_wire_format_is_a_failure(value: bytes, avro: str) -> None:
    decoded = Codec(json.dumps(of(avro))).decode([value])
    assert [position for position, _ in decoded.failures] == [0]
    assert decoded.rows.num_rows == 0
    assert schema_id_of(value) is None


def test_when_every_record_is_bad_the_rows_are_empty_and_have_their_schema() -> None:
    codec = Codec(json.dumps(of("string")))
    decoded = codec.decode([header(1) + b"\x02"] * 100)
    assert decoded.rows.num_rows == len(decoded.index) == 0
    assert decoded.rows.schema == codec.arrow_schema
    assert [position for position, _ in decoded.failures] == list(range(100))


def test_the_index_names_the_survivors_in_order() -> None:
    values = [message(LONG, {"x": n}) if n % 3 else header(1) for n in range(100)]
    decoded = Codec(json.dumps(LONG)).decode(values)
    assert decoded.index.to_pylist() == [n for n in range(100) if n % 3]
    assert decoded.rows.column("x").to_pylist() == decoded.index.to_pylist()
    assert [position for position, _ in decoded.failures] == [n for n in range(100) if not n % 3]


def test_a_replacement_character_that_was_written_is_kept() -> None:
    value = message(of("string"), {"x": "\ufffd"})
    assert Codec(json.dumps(of("string"))).decode([value]).rows.to_pylist() == [{"x": "\ufffd"}]


@pytest.mark.parametrize("schema_id", [0, 1, 41_087, 33_023, 49_279, 2**31 - 1])
def test_every_schema_id_is_written_exactly(schema_id: int) -> None:
    """Ids whose bytes look like infinities and NaN included."""
    codec = Codec(json.dumps(LONG))
    (written,) = codec.encode(codec.decode([message(LONG, {"x": 5})]).rows, schema_id)
    assert written == message(LONG, {"x": 5}, schema_id)
    assert schema_id_of(written) == schema_id
    assert codec.decode([written]).rows.to_pylist() == [{"x": 5}]

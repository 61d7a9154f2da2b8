"""Every Avro type, there and back, with fastavro as the oracle."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.stream.codec import Codec
from tests.unit.codec.avro_values import (
    LEAVES,
    Json,
    array_of,
    batches,
    map_of,
    optional,
    record_of,
    renamed,
    same,
    without_logical_types,
)
from tests.unit.codec.fastavro_messages import SCHEMA_ID, message, read

# A timing is never a test. Types are many: a few values of each find more than many values of one.
unhurried = settings(deadline=None, max_examples=25)


def assert_agrees(avro: Json, records: list[dict[str, Any]]) -> None:
    """What fastavro writes we read, and what we write fastavro reads."""
    codec = Codec(json.dumps(avro))
    messages = [message(avro, record) for record in records]
    decoded = codec.decode(messages)

    assert decoded.failures == []
    assert decoded.index.to_pylist() == list(range(len(records)))
    decoded.rows.validate(full=True)
    assert decoded.rows.schema == codec.arrow_schema
    for record, value, row in zip(records, messages, decoded.rows.to_pylist(), strict=True):
        assert same(read(avro, value), row)
        assert same(record, row)

    encoded = codec.encode(decoded.rows, SCHEMA_ID)
    assert [value[:5] for value in encoded] == [value[:5] for value in messages]
    for record, value in zip(records, encoded, strict=True):
        assert same(record, read(avro, value))


@pytest.mark.parametrize("name", LEAVES)
@unhurried
@given(data=st.data())
def test_each_type_in_every_place(name: str, data: st.DataObject) -> None:
    leaf = LEAVES[name]
    places = [leaf, map_of(leaf), record_of([leaf])]
    if name != "null":
        maybe = [optional(leaf), optional(leaf, null_first=False)]
        places += [array_of(leaf), *maybe, array_of(maybe[0]), map_of(maybe[0]), optional(record_of([leaf, maybe[0]]))]
    top = record_of(places)
    assert_agrees(renamed(top.avro), data.draw(st.lists(top.values, min_size=1, max_size=4)))


@unhurried
@given(batch=batches())
def test_types_nested_in_one_another(batch: tuple[Json, list[dict[str, Any]]]) -> None:
    assert_agrees(*batch)


def test_a_missing_record_among_others_is_read_whatever_its_fields_are() -> None:
    record = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "u", "type": {"type": "string", "logicalType": "uuid"}}],
    }
    fields = [{"name": "many", "type": {"type": "array", "items": [record, "null"]}}]
    assert_agrees({"type": "record", "name": "Top", "fields": fields}, [{"many": [None, {"u": UUID(int=1)}, None]}])


@unhurried
@given(batch=batches(), data=st.data())
def test_a_slice_is_written_as_its_own_rows(batch: tuple[Json, list[dict[str, Any]]], data: st.DataObject) -> None:
    avro, records = batch
    codec = Codec(json.dumps(avro))
    rows = codec.decode([message(avro, record) for record in records]).rows
    start = data.draw(st.integers(0, len(records) - 1))
    for record, value in zip(records[start:], codec.encode(rows.slice(start), 1), strict=True):
        assert same(record, read(avro, value))


@unhurried
@given(batch=batches(), data=st.data())
def test_damaged_bytes_never_pass_for_another_record(
    batch: tuple[Json, list[dict[str, Any]]], data: st.DataObject
) -> None:
    """Neighbours come through untouched; and what we accept is what fastavro reads there too."""
    avro, records = batch
    whole = [message(avro, record) for record in records]
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(damage(whole[at]))
    codec = Codec(json.dumps(avro))
    decoded = codec.decode([*whole[:at], damaged, *whole[at + 1 :]])

    index: list[Any] = decoded.index.to_pylist()
    failed = [position for position, _ in decoded.failures]
    assert sorted([*index, *failed]) == list(range(len(whole)))
    assert set(failed) <= {at}
    bare = without_logical_types(avro)
    for position, value in zip(index, codec.encode(decoded.rows, SCHEMA_ID), strict=True):
        origin = damaged if position == at else whole[position]
        assert same(read(bare, origin), read(bare, value))


@st.composite
def damage(draw: st.DrawFn, value: bytes) -> bytes:
    """The message with its body cut short, extended, or changed in one byte."""
    kind = draw(st.sampled_from(["cut", "extend", "change"]))
    if kind == "extend" or len(value) == 5:
        return value + draw(st.binary(min_size=1, max_size=8))
    position = draw(st.integers(5, len(value) - 1))
    if kind == "cut":
        return value[:position]
    return value[:position] + bytes([draw(st.integers(0, 255))]) + value[position + 1 :]

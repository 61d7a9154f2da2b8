"""Envelopes that Debezium 3.6 wrote for a PostgreSQL become rows, exactly, and what cannot be a value costs its row only."""

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.ingest.connectors.cdc.envelope import Changes, Envelopes, Truncated, Unreadable

Message = tuple[bytes | None, bytes]
UTC = dt.UTC


def recorded(name: str) -> list[Message]:
    """Messages as they were in the topic: their schemas are kept once in the file."""
    found = json.loads((Path(__file__).parent / "recorded" / f"{name}.json").read_text())

    def text(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    shapes = [text(shape) for shape in found["shapes"]]
    return [
        (
            event["key"].encode() if event["key"] is not None else None,
            f'{{"schema":{shapes[event["shape"]]},"payload":{text(event["payload"])}}}'.encode(),
        )
        for event in found["events"]
    ]


def read(messages: Sequence[Message], whole_deletes: bool = False) -> list[Changes | Truncated | Unreadable]:
    keys, values = zip(*messages, strict=True)
    return list(Envelopes(whole_deletes).read(keys, values))


def changes(messages: Sequence[Message], whole_deletes: bool = False) -> list[dict[str, Any]]:
    """Every change that is a row, with what happened to it."""
    return [
        {**row, "op": op}
        for part in read(messages, whole_deletes)
        if isinstance(part, Changes)
        for at, (row, op) in enumerate(zip(part.rows.to_pylist(), part.op, strict=True))
        if at not in {fault.row for fault in part.faults}
    ]


def test_every_type_of_postgresql() -> None:
    (found,) = read(recorded("types"))
    assert isinstance(found, Changes)
    assert found.rows.to_pylist()[-1] == {
        "id": 1,
        "s": 7,
        "i": 44,
        "n": Decimal("1234567890.12"),
        "n0": Decimal("123456789012345678901234567890"),
        "nf": "1.10",
        "big": "12345678901234567890123456789012345678901234567890.0123456789",
        "f": 1.5,
        "d": 0.1,
        "b": True,
        "t": "héllo",
        "v": "v",
        "c": "c    ",
        "ts": dt.datetime(2024, 1, 2, 3, 4, 5, 678901),
        "ts3": dt.datetime(2024, 1, 2, 3, 4, 5, 678000),
        "tz": dt.datetime(2024, 1, 2, 1, 4, 5, 678901, UTC),
        "da": dt.date(2024, 1, 2),
        "ti": dt.time(3, 4, 5, 500000),
        "titz": "01:04:05Z",
        "iv": "P1Y0M2DT3H4M5.5S",
        "j": '{"a":1.10}',
        "jb": '{"a":1.10}',
        "u": uuid.UUID(int=1),
        "x": b"\x01\x02",
        "ai": [1, 2, None],
        "at": ["a", "b"],
        "an": [Decimal("1.10"), Decimal("2.20")],
        "ats": [dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)],
        "m": "ok",
        "am": ["ok", "sad"],
        "mo": "1.25",
        "ip": "10.0.0.1",
        "ci": "10.0.0.0/8",
        "ma": "08:00:2b:01:02:03",
        "bi": "101",
        "bv": "1011",
        "b1": True,
        "xm": "<a/>",
        "h": '{"a":"1"}',
        "pt": '{"x":1.0,"y":2.0,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null}',
        "r": "[1,5)",
        "dom": 3,
        "ad": [dt.date(2024, 1, 2)],
        "au": [uuid.UUID(int=1)],
        "aj": ['{"a":1}'],
        "tv": "'a' 'b'",
        "a2": [None, None],  # as Debezium gives arrays of several dimensions: the check warns of them
    }


def test_infinity_is_no_moment_and_costs_its_row_only() -> None:
    (found,) = read(recorded("types"))
    assert isinstance(found, Changes)
    assert [(fault.row, fault.reason, fault.column) for fault in found.faults] == [
        (0, "wrong_type", "tz"),
        (1, "wrong_type", "tz"),
        (2, "wrong_type", "ts"),
        (3, "wrong_type", "ts"),
    ]
    assert '"infinity"' in found.faults[0].detail


def test_what_happened_to_which_row_in_its_order() -> None:
    found = [(row["op"], row["id"], row["name"]) for row in changes(recorded("changes"))]
    assert found == [
        ("snapshot", 1, "a"),
        ("snapshot", 2, "b"),
        ("snapshot", 3, "toast"),
        ("insert", 4, "c"),
        ("update", 1, "aa"),
        ("delete", 2, None),
        ("insert", 10, "b"),
        ("delete", 3, None),
        ("insert", 5, "d"),
        ("insert", 6, "e"),
        ("delete", 6, None),
    ]


def test_of_a_deleted_row_only_what_the_log_has_is_told() -> None:
    """The control: Debezium makes up the rest, an empty text and the first day of 1970."""
    deleted = [row for row in changes(recorded("changes")) if row["op"] == "delete"]
    assert deleted[0] == {**dict.fromkeys(deleted[0]), "op": "delete", "id": 2}
    made_up = [row for row in changes(recorded("changes"), whole_deletes=True) if row["op"] == "delete"]
    assert (made_up[0]["name"], made_up[0]["at"]) == ("", dt.datetime(1970, 1, 1, tzinfo=UTC))
    assert (made_up[-1]["name"], made_up[-1]["extra"]) == ("e", 8), "with REPLICA IDENTITY FULL all of it is there"


@pytest.mark.parametrize(("op", "bad"), [("c", 1), ("u", 1), ("r", 1), ("d", 0)])
def test_a_date_that_may_be_a_zero_date_does_not_keep_a_row_from_being_deleted(op: str, bad: int) -> None:
    called = {"__debezium.source.column.type": "DATE"}
    fields = [
        {"type": "int64", "field": "id"},
        {"type": "int32", "field": "day", "name": "io.debezium.time.Date", "parameters": called},
    ]
    row = {"id": 1, "day": 0}
    schema = {"type": "struct", "fields": [{"type": "struct", "fields": fields, "field": "after"}]}
    payload = {"before": row, "after": None if op == "d" else row, "op": op, "source": {}}
    value = json.dumps({"schema": schema, "payload": payload}, separators=(",", ":")).encode()
    (found,) = read([(b"{}", value)], whole_deletes=True)
    assert isinstance(found, Changes)
    assert (len(found.faults), found.rows.to_pylist()) == (bad, [{"id": 1, "day": None}])


def test_a_value_that_is_not_in_the_log_is_never_taken_for_one() -> None:
    faults = [fault for part in read(recorded("changes")) if isinstance(part, Changes) for fault in part.faults]
    assert [(fault.reason, fault.column) for fault in faults] == [("unreadable_row", "big")]
    assert "REPLICA IDENTITY FULL" in faults[0].detail


def test_a_column_that_is_added_makes_another_shape() -> None:
    parts = [part for part in read(recorded("changes")) if isinstance(part, Changes)]
    assert ["extra" in part.rows.schema.names for part in parts] == [False, True, True]


def test_truncate_is_told_at_its_place() -> None:
    messages = recorded("changes")
    (at,) = [part.index for part in read(messages) if isinstance(part, Truncated)]
    assert b'"op":"t"' in messages[at][1]


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"null", b'{"schema":{"fields":[]},"payload":{}}', b'{"schema":1', b"\xff"]
)
def test_what_is_no_envelope_is_told_and_costs_no_neighbour(value: bytes) -> None:
    good = recorded("changes")[0]
    found = read([good, (None, value), good])
    assert [type(part) for part in found] == [Changes, Unreadable, Changes]


def test_parts_keep_each_row_beside_what_is_said_of_it() -> None:
    (whole,) = read(recorded("types"))
    assert isinstance(whole, Changes)
    parts = [whole.part(start, 2) for start in (0, 2, 4)]
    assert [row["id"] for part in parts for row in part.rows.to_pylist()] == [2, 3, 4, 5, 1]
    assert [(part.index[fault.row], fault.column) for part in parts for fault in part.faults] == [
        (0, "tz"),
        (1, "tz"),
        (2, "ts"),
        (3, "ts"),
    ]

"""What becomes of JSON lines, good and bad."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.adapters.sniffer import object_types
from services.ingest.core import json_rows
from services.ingest.core.json_array import elements
from services.ingest.core.json_text import json_text, strict_json
from services.ingest.core.types import JSON
from tests.unit.ingest.reading import connector, read

COLUMNS: dict[str, pa.DataType] = {
    "a": pa.int64(),
    "s": pa.string(),
    "f": pa.float64(),
    "t": pa.timestamp("us", "UTC"),
    "st": pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))]),
    "b": pa.bool_(),
    "d": pa.date32(),
}
SCHEMA = pa.schema(COLUMNS)
GOOD = b'{"a":1,"s":"x","f":1.5,"t":"2013-01-01T00:00:00Z","st":{"x":1,"y":["p"]},"b":true,"d":"2013-01-02"}'
PIECES = [
    *(
        b"null",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b" ",
        b"1",
        b"-",
        b"1.0",
        b"1e2",
        b"1e999",
        b"NaN",
        b"true",
    ),
    *(
        b'"a"',
        b'"x"',
        b'"2013-01-01"',
        b"\\ud800",
        b"\\ud83d\\ude00",
        b"\x00",
        b"\xff",
        b"\xc3\xa9",
        b"9" * 17,
        b"9" * 30,
    ),
]


def nothing_new(objects: Any) -> pa.Schema:
    return pa.schema([])


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.sampled_from(PIECES), st.sampled_from([0, 1, 3])), max_size=3))
def test_the_fast_way_and_the_careful_way_agree(edits: list[tuple[int, bytes, int]]) -> None:
    line = GOOD
    for at, piece, cut in edits:
        line = line[:at] + piece + line[at + cut :]
    if b"\n" in line:
        return
    fast = json_rows._read_plain([line], SCHEMA)
    if fast is not None:
        careful = json_rows.rows_of(*json_rows.parse_lines([line]), SCHEMA, "quarantine", nothing_new)
        assert careful.faults == []
        assert careful.rows.equals(fast)


BAD = {
    b"null": "unreadable_row",
    b"[1]": "unreadable_row",
    b'{"a":NaN}': "unreadable_row",
    b'{"f":-Infinity}': "unreadable_row",
    b'{"s":"\\ud800"}': "unreadable_row",
    b'{"s":"\xff"}': "unreadable_row",
    b'{"a":1,"a":2}': "unreadable_row",
    b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}": "unreadable_row",
    b'{"s":{"deep":' + b'{"a":' * 200 + b"1" + b"}" * 202: "unreadable_row",
    b'{"a":1': "unreadable_row",
    b'{"a":99999999999999999999}': "wrong_type",
    b'{"f":1e400}': "wrong_type",
    b'{"f":9007199254740993}': "wrong_type",
    b'{"a":1.5}': "wrong_type",
    b'{"a":"1"}': "wrong_type",
    b'{"s":1}': "wrong_type",
    b'{"d":"yesterday"}': "wrong_type",
    b'{"st":{"z":1}}': "wrong_type",
    b'{"new":1}': "unknown_field",
}


@pytest.mark.parametrize("neighbours", [1, 2000])
def test_only_the_line_at_fault_is_set_aside(neighbours: int) -> None:
    lines: list[bytes] = []
    for line in BAD:
        lines += [GOOD] * neighbours + [line]
    found = json_rows.read_lines(lines, SCHEMA, "quarantine", nothing_new)
    assert {lines[fault.row]: fault.reason for fault in found.faults} == BAD
    assert found.rows.num_rows == neighbours * len(BAD)
    assert found.index.tolist() == [row for row, line in enumerate(lines) if line == GOOD]


def test_new_fields_become_columns_at_the_end(tmp_path: Path) -> None:
    rows = [{"a": 1}] * 3000 + [{"a": 2, "z": [1, 2]}] + [{"a": 3, "_id": "x"}]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read(connector(tmp_path, "f.jsonl", pa.schema([("a", pa.int64())]), batch_rows=1000))
    assert found.table.num_rows == 3002
    assert found.table.schema.names == ["a", "z", "id_"]
    assert found.column("z")[3000:] == [[1, 2], None]
    assert found.rejected == []


def test_types_follow_what_the_objects_hold() -> None:
    objects = [
        {
            "n": number,
            "x": number / 2,
            "whole": 10.0,
            "at": "2024-01-01T00:00:00Z",
            "tags": ["a"],
            "who": {"name": "n", "age": number},
        }
        | {
            "by_key": {f"key {number} {each}": each for each in range(20)},
            "mixed": number if number % 2 else {"deep": [number]},
        }
        for number in range(-50, 50)
    ]
    parsed = [strict_json(json.dumps(each)) for each in objects]
    types = dict(zip((schema := object_types(parsed)).names, schema.types, strict=True))
    assert types["n"] == pa.int64()
    assert types["x"] == pa.float64()
    assert types["whole"] == pa.float64()
    assert types["at"] == pa.timestamp("us", "UTC")
    assert types["tags"] == pa.list_(pa.string())
    assert types["who"] == pa.struct([("name", pa.string()), ("age", pa.int64())])
    assert types["mixed"] == JSON
    assert object_types([{"empty": {}, "none": None, "nothing": []}]).names == ["empty", "nothing"]
    assert types["by_key"] == pa.map_(pa.string(), pa.int64())


def test_what_is_kept_as_json_is_kept_exactly() -> None:
    text = '{"big":123456789012345678901234567890,"exact":0.10,"tiny":1e-400,"é":"\\"\\n"}'
    assert json_text(strict_json(text)) == text
    found = json_rows.read_lines([b'{"j":' + text.encode() + b"}"], pa.schema([("j", JSON)]), "quarantine", nothing_new)
    assert found.rows.column("j").to_pylist() == [text]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
        max_leaves=20,
    )
)
def test_json_text_reads_back_as_the_same_value(value: Any) -> None:
    assert strict_json(json_text(value)) == value


@given(
    st.lists(
        st.recursive(
            st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
        )
    ),
    st.sampled_from([None, 2]),
)
def test_the_elements_of_an_array_are_its_elements(values: list[Any], indent: int | None) -> None:
    assert [json.loads(each) for each in elements(json.dumps(values, indent=indent).encode())] == values


@pytest.mark.parametrize("body", [b"", b"{}", b"[1", b"[1] 2", b"[1}"])
def test_what_is_not_an_array_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        elements(body)

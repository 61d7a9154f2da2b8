"""A JSON document is read element by element, wherever its blocks are cut."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import Fatal, Transient
from services.ingest.core.json_elements import Opening, Skipping, elements
from tests.unit.ingest.reading import connector, read

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},: \u00e4', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('k"\\[,', max_size=3), inner, max_size=4),
    max_leaves=30,
)


@given(st.lists(VALUES, max_size=8), st.sampled_from([None, 1]), st.integers(1, 64))
def test_elements_are_those_that_json_has(values: list[Any], indent: int | None, size: int) -> None:
    document = json.dumps(values, indent=indent).encode()
    found: list[Any] = []
    block, first, rest, ended = b"", True, document[document.index(b"[") + 1 :], False
    while not ended:
        got = elements(block, first, 3)
        found += [json.loads(block[start:stop]) for start, stop in got.spans]
        block, first, ended = block[got.consumed :], first and not got.spans, got.ended
        if not got.spans and not ended:
            assert rest, "it ends with the document"
            block, rest = block + rest[:size], rest[size:]
    assert found == values


@given(VALUES, st.integers(1, 16))
def test_an_element_is_passed_over_as_a_whole(value: Any, size: int) -> None:
    text = json.dumps(value).encode()
    blocks = [(text + b",1]")[at : at + size] for at in range(0, len(text) + 3, size)]
    skipping, passed = Skipping(), 0
    for block in blocks:
        stop = skipping.over(block)
        if stop is not None:
            assert passed + stop == len(text)
            return
        passed += len(block)
    pytest.fail("its end was not seen")


@given(VALUES, VALUES, st.integers(1, 40))
def test_rows_are_found_by_the_fields_on_the_way(before: Any, inside: Any, size: int) -> None:
    head = json.dumps({"items": before, "other": {"data": {"items": [1]}}, "data": {"more": inside}})[:-2]
    document = (head + ', "items": [').encode()
    opening = Opening(["data", "items"])
    whole = document + b"7]}}"
    for at in range(0, len(whole), size):
        offset = opening.found(whole[at : at + size], 1000)
        if offset is not None:
            assert offset == len(document)
            return
    pytest.fail("the rows were not found")


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": number, "text": f"[{number}],\n{{", "deep": {"a": [{"b": [number]}]}} for number in range(count)]


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_read_in_order(tmp_path: Path, indent: int | None) -> None:
    (tmp_path / "f.json").write_text(json.dumps(rows(500), indent=indent))
    found = read(connector(tmp_path, "f.json", batch_rows=70))
    assert found.rejected == []
    assert found.column("id") == list(range(500))
    assert found.column("text") == [row["text"] for row in rows(500)]


def test_rows_inside_an_object(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text(json.dumps({"count": 2, "data": {"items": rows(30)}, "next": None}))
    assert read(connector(tmp_path, "f.json", json_rows="data.items")).column("id") == list(range(30))


@pytest.mark.parametrize("rows_at", ["data.none", "count", "data"])
def test_rows_that_are_not_there_are_named(tmp_path: Path, rows_at: str) -> None:
    (tmp_path / "f.json").write_text(json.dumps({"count": 2, "data": {"items": rows(30)}}))
    with pytest.raises(Fatal, match=r"source\.json\.rows"):
        read(connector(tmp_path, "f.json", json_rows=rows_at))


def test_an_element_that_is_no_object_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('[{"id": 0},\n 17,\n {"id": 1,},\n [1], {"id": 2}\n]')
    found = read(connector(tmp_path, "f.json"))
    assert found.column("id") == [0, 2]
    assert [row.source.rpartition(":")[2] for row in found.rejected] == ["2", "3", "4"]


def test_an_element_over_the_cap_is_passed_over(tmp_path: Path) -> None:
    large = {"id": 1, "text": 'x"]}' * 2_000_000}
    (tmp_path / "f.json").write_text(json.dumps([{"id": 0}, large, {"id": 2}]))
    found = read(connector(tmp_path, "f.json"))
    assert found.column("id") == [0, 2]
    assert [row.reason for row in found.rejected] == ["too_large"]
    assert len(found.rejected[0].raw) <= 64 << 10


def test_an_array_that_is_not_closed_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text('[{"id": 0}, {"id": 1}, {"id"')
    source = connector(tmp_path, "f.json")
    steps = source.read(None)
    fetched, position = next(steps)
    assert fetched.rows.column("id").to_pylist() == [0, 1]
    with pytest.raises(Transient, match="not whole yet"):
        next(steps)
    file.write_text('[{"id": 0}, {"id": 1}, {"id": 2}]')
    assert read(source, position).column("id") == [2]


@pytest.mark.parametrize("text", ['[{"id": 0}] [1]', '[{"id": 0} {"id": 1}', '[{"id": 0}]]'])
def test_what_is_no_array_is_not_passed_over_in_silence(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.json").write_text(text)
    try:
        found = read(connector(tmp_path, "f.json"))
    except (Fatal, Transient):
        return
    assert found.rejected


def test_json_lines_in_a_json_file_are_still_read(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('{"id": 0}\n{"id": 1}\n')
    assert read(connector(tmp_path, "f.json")).column("id") == [0, 1]

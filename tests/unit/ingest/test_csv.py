"""What becomes of the records of a CSV file, good and bad."""

from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.core import csv
from tests.unit.ingest.reading import Read, connector, read

DIALECT = csv.Dialect()
PIECES = [
    b'"',
    b",",
    b"\n",
    b"a",
    b"\r\n",
    b'""',
    b'"a"',
    b"NA",
    b"1,2,3\n",
    b'"x","y","z"\n',
    b'"p\nq",,"r, s"\n',
    b"\xff",
    b"\r",
]


def seen(texts: csv.Texts) -> object:
    rows = [column.to_pylist() for column in texts.columns]
    faults = [(fault.row, fault.reason) for fault in texts.faults]
    spans = texts.spans
    return rows, faults, spans.start.tolist(), spans.stop.tolist(), spans.line.tolist(), texts.rows.tolist()


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join), st.booleans(), st.sampled_from([1, 2, 100]))
def test_the_fast_way_and_the_careful_way_agree(block: bytes, final: bool, most: int) -> None:
    fast = csv._parse_sound(block, DIALECT, 3, final, most, 1000)
    if fast is not None:
        assert seen(fast) == seen(csv._parse_each(block, DIALECT, 3, final, most, 1000))


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_every_byte_is_part_of_one_record_or_of_a_line_end(block: bytes) -> None:
    texts = csv.parse(block, DIALECT, 3, final=True, most=100, limit=1000)
    spans = texts.spans
    assert spans.consumed == len(block)
    assert sorted([*texts.rows.tolist(), *(fault.row for fault in texts.faults)]) == list(range(len(spans)))
    kept = b"".join(block[start:stop] for start, stop in zip(spans.start, spans.stop, strict=True))
    assert len(block) - len(kept) <= block.count(b"\n") + block.count(b"\r")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\n1,x\n2,y\n", [("1", "x"), ("2", "y")]),
        (b"a,b\r\n1,x\r\n2,y\r\n", [("1", "x"), ("2", "y")]),
        (b"\xef\xbb\xbfa,b\n1,x\n", [("1", "x")]),
        (b"a,b\n1,x\n2,last line without an end", [("1", "x"), ("2", "last line without an end")]),
        (b'a,b\n1,"two\nlines"\n2,"a ""quoted"" word"\n', [("1", "two\nlines"), ("2", 'a "quoted" word')]),
        (b'a,b\n1,"comma, inside"\n', [("1", "comma, inside")]),
        (b"a,b\n\n1,x\n\n\n2,y\n\n", [("1", "x"), ("2", "y")]),
        (b'a,b\n1,5" pipe\n', [("1", '5" pipe')]),
        (b"a,b\n1,nul\x00inside\n", [("1", "nul\x00inside")]),
        (b'a,b\n1,\n2,""\n', [("1", None), ("2", "")]),
        ("a,b\n1,Zürich\n2,東京\n".encode(), [("1", "Zürich"), ("2", "東京")]),
        (b"\r\n\na,b\n1,x\n", [("1", "x")]),
        (b"a,b\n", []),
        (b"", []),
        (b"a,b", []),
    ],
)
def test_what_a_file_says_is_what_is_read(folder: Path, content: bytes, rows: list[tuple[str, str | None]]) -> None:
    (folder / "f.csv").write_bytes(content)
    found = read(connector(folder, "f.csv", declared={"a": pa.string(), "b": pa.string()}))
    assert list(zip(found.column("a"), found.column("b"), strict=True)) == rows
    assert found.rejected == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'3,"never closed', "unreadable_row"),
        (b'3,"closed"too early', "unreadable_row"),
        (b"3", "unreadable_row"),
        (b"3,x,y", "unreadable_row"),
        (b"3,\xff\xfe", "unreadable_row"),
        (b"three,x", "wrong_type"),
        (b"3.5,x", "wrong_type"),
        (b"9223372036854775808,x", "wrong_type"),
        (b"3," + b"x" * 2000, "too_large"),
    ],
)
@pytest.mark.parametrize("quoted", [False, True])
def test_only_the_line_at_fault_is_set_aside(folder: Path, line: bytes, reason: str, quoted: bool) -> None:
    def good(number: int) -> bytes:
        return b'%d,"name, %d"' % (number, number) if quoted else b"%d,name %d" % (number, number)

    lines = [b"a,b", *(good(number) for number in range(100)), line, *(good(number) for number in range(100, 200))]
    (folder / "f.csv").write_bytes(b"\n".join(lines) + b"\n")
    found = read(connector(folder, "f.csv", declared={"a": pa.int64()}, max_record_bytes=1000))
    assert found.column("a") == list(range(200))
    assert found.reasons == {102: reason}
    assert found.rejected[0].raw == line


def test_a_line_larger_than_any_buffer_is_passed_over(folder: Path) -> None:
    (folder / "f.csv").write_bytes(b"a,b\n1,x\n2," + b"y" * 5_000_000 + b"\n3,z\n")
    found = read(connector(folder, "f.csv", max_record_bytes=100_000))
    assert found.column("a") == [1, 3]
    assert found.reasons == {3: "too_large"}
    assert len(found.rejected[0].raw) < 100_000


@pytest.mark.parametrize("stop", range(5))
def test_reading_goes_on_behind_a_line_that_ends_just_after_a_block(folder: Path, stop: int) -> None:
    head = b"a,b\n1,x\n2,"
    (folder / "f.csv").write_bytes(head + b"y" * ((4 << 20) + 10 - len(head)) + b"\n3,z\n")
    first = read(connector(folder, "f.csv", max_record_bytes=100_000), most=stop) if stop else Read()
    rest = read(connector(folder, "f.csv", max_record_bytes=100_000), first.position)
    assert [*first.column("a"), *rest.column("a")] == [1, 3]
    assert len(first.rejected) + len(rest.rejected) == 1


@pytest.mark.parametrize("name", ["f.csv", "f.jsonl", "f.csv.gz"])
def test_a_last_line_that_is_too_large_and_has_no_end_is_set_aside(folder: Path, name: str) -> None:
    content = b'{"a": 1}\n{"a": "' if "json" in name else b"a,b\n1,x\n2,"
    with fsspec.open(str(folder / name), "wb", compression="infer") as file:
        file.write(content + b"y" * 5_000_000)
    found = read(connector(folder, name, max_record_bytes=100_000))
    assert found.column("a") == [1]
    assert [row.reason for row in found.rejected] == ["too_large"]
    again = read(connector(folder, name, max_record_bytes=100_000), found.position)
    assert (again.batches, again.rejected) == ([], [])


def test_a_last_line_that_is_too_large_and_still_written_is_waited_for(folder: Path) -> None:
    (folder / "f.csv").write_bytes(b"a,b\n1,x\n2," + b"y" * 5_000_000)
    source = connector(folder, "f.csv", max_record_bytes=100_000, settle_s=60.0)
    assert read(source).rejected == []
    assert source.waiting


def test_a_quote_that_is_never_closed_costs_one_line_of_a_large_file(folder: Path) -> None:
    lines = [b"%d,name %d" % (number, number) for number in range(400_000)]
    lines[1000] = b'1000,"oops'
    (folder / "f.csv").write_bytes(b"a,b\n" + b"\n".join(lines) + b"\n")
    found = read(connector(folder, "f.csv", max_record_bytes=100_000))
    assert found.column("a") == [number for number in range(400_000) if number != 1000]
    assert found.reasons == {1002: "unreadable_row"}


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp1252"])
def test_other_encodings_resume_where_they_were(folder: Path, encoding: str) -> None:
    text = "a,b\n" + "".join(f"{number},é{number}\n" for number in range(3000))
    (folder / "f.csv").write_bytes(text.encode(encoding))
    first = read(connector(folder, "f.csv", encoding=encoding, batch_rows=500), most=2)
    rest = read(connector(folder, "f.csv", encoding=encoding), first.position)
    assert [*first.column("b"), *rest.column("b")] == [f"é{number}" for number in range(3000)]


def test_columns_that_come_and_go(folder: Path) -> None:
    (folder / "1.csv").write_text("a,b\n1,x\n")
    (folder / "2.csv").write_text("b,a,c\ny,2,2.5\n")
    (folder / "3.csv").write_text("a\n3\n")
    found = read(connector(folder, "*.csv"))
    assert found.table.to_pylist() == [
        {"a": 1, "b": "x", "c": None},
        {"a": 2, "b": "y", "c": 2.5},
        {"a": 3, "b": None, "c": None},
    ]


def test_a_new_column_sets_rows_aside_where_evolution_is_strict(folder: Path) -> None:
    (folder / "1.csv").write_text("a\n1\n")
    source = connector(folder, "*.csv", evolution="quarantine")
    first = read(source)
    assert first.column("a") == [1]
    (folder / "2.csv").write_text("a,c\n2,3\n")
    found = read(source, first.position)
    assert found.batches == []
    assert [row.reason for row in found.rejected] == ["unknown_field"]


def test_types_are_those_every_value_of_the_sample_has(folder: Path) -> None:
    (folder / "f.csv").write_text(
        "zip,n,x,day,at,local,odd,huge\n"
        "01234,1,1.5,2024-01-01,2024-01-01T00:00:00Z,2024-01-01 10:00:00,01/02/2024,99999999999999999999\n"
        "00501,,2,2024-01-02,2024-01-01T00:00:00+02:00,2024-01-02 10:00:00,13/02/2024,1\n"
    )
    schema = connector(folder, "f.csv").discover()[0].schema
    assert dict(zip(schema.names, schema.types, strict=True)) == {
        "zip": pa.string(),
        "n": pa.int64(),
        "x": pa.float64(),
        "day": pa.date32(),
        "at": pa.timestamp("us", "UTC"),
        "local": pa.timestamp("us"),
        "odd": pa.string(),
        "huge": pa.decimal128(38, 0),
    }

"""Avro files and workbooks: types, growth, and which sheet."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from headrace.errors import Fatal, Transient
from tests.unit.ingest.reading import connector, read
from tests.unit.ingest.writing import write_avro, write_sheet, write_xlsx

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["A", "B"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {
            "name": "place",
            "type": ["null", {"type": "record", "name": "p", "fields": [{"name": "x", "type": "double"}]}],
        },
    ],
}


def orders(ids: range) -> list[dict[str, Any]]:
    at = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    return [
        {
            "id": number,
            "amount": Decimal(number) / 4,
            "at": at,
            "kind": "AB"[number % 2],
            "tags": ["t"] * (number % 3),
            "place": {"x": number / 2} if number % 2 else None,
        }
        for number in ids
    ]


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "zstandard"])
def test_avro_values_are_those_that_were_written(tmp_path: Path, codec: str) -> None:
    with (tmp_path / "f.avro").open("wb") as out:
        fastavro.writer(out, fastavro.parse_schema(SCHEMA), orders(range(300)), codec, sync_interval=500)
    found = read(connector(tmp_path, "f.avro", batch_rows=70))
    assert found.rejected == []
    assert found.table.to_pylist() == orders(range(300))
    assert found.table.schema.field("amount").type == pa.decimal128(10, 2)


def test_blocks_packed_with_snappy(tmp_path: Path) -> None:
    """No package here writes them; this is how they are laid out."""
    import zlib

    write_avro(tmp_path / "f.avro", [{"id": number, "name": "same"} for number in range(500)], "null", 10_000_000)
    plain = (tmp_path / "f.avro").read_bytes()
    sync = plain[-16:]
    header_end = plain.index(sync) + 16
    body = plain[header_end:-16]
    count_size = 2
    at = count_size
    while body[at] & 0x80:
        at += 1
    records = body[at + 1 :]
    packed = pa.compress(records, "snappy", asbytes=True) + zlib.crc32(records).to_bytes(4, "big")
    size = bytearray()
    number = len(packed) << 1
    while number > 0x7F:
        size.append(number & 0x7F | 0x80)
        number >>= 7
    size.append(number)
    header = plain[:header_end].replace(b"\x08null", b"\x0csnappy")
    (tmp_path / "g.avro").write_bytes(header + body[:count_size] + bytes(size) + packed + sync)
    assert read(connector(tmp_path, "g.avro")).column("id") == list(range(500))


def test_an_avro_file_to_which_blocks_are_appended_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "f.avro"
    write_avro(file, [{"id": number, "name": "n"} for number in range(100)])
    first = read(connector(tmp_path, "f.avro"))
    with file.open("a+b") as out:
        rows = [{"id": number, "name": "n"} for number in range(100, 130)]
        fastavro.writer(out, None, rows)  # type: ignore[arg-type]  # None: append
    assert read(connector(tmp_path, "f.avro"), first.position).column("id") == list(range(100, 130))


def test_an_avro_block_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    file = tmp_path / "f.avro"
    write_avro(file, [{"id": number, "name": "n"} for number in range(100)])
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    source = connector(tmp_path, "f.avro", settle_s=3600.0)
    first = read(source)
    assert 0 < len(first.column("id")) < 100
    assert source.waiting
    with pytest.raises(Transient, match="not whole yet"):
        read(connector(tmp_path, "f.avro"))
    file.write_bytes(whole)
    rest = read(source, first.position)
    assert [*first.column("id"), *rest.column("id")] == list(range(100))


def test_cells_have_the_types_they_show(tmp_path: Path) -> None:
    rows = [{"id": number, "name": f"n{number}", "share": number / 4, "code": f"00{number}"} for number in range(20)]
    write_xlsx(tmp_path / "f.xlsx", rows)
    table = read(connector(tmp_path, "f.xlsx", batch_rows=6)).table
    assert table.to_pylist() == rows
    assert table.schema.field("id").type == pa.int64()
    assert table.schema.field("code").type == pa.string()


def test_the_header_is_the_first_row_that_is_not_empty_or_the_one_that_is_named(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "f.xlsx", [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}], first_row=4)
    assert read(connector(tmp_path, "f.xlsx")).column("name") == ["one", "two"]
    assert read(connector(tmp_path, "f.xlsx", header_row=5)).table.to_pylist() == [{"1": 2, "one": "two"}]


def test_a_sheet_is_chosen_by_its_name(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "f.xlsx", [{"id": 1}], sheet="Orders 2024")
    assert read(connector(tmp_path, "f.xlsx", sheet="Orders 2024")).column("id") == [1]
    with pytest.raises(Fatal, match=r"no sheet 'Other'.*'Orders 2024'.*source\.sheet\.name"):
        read(connector(tmp_path, "f.xlsx", sheet="Other"))


def test_a_cell_that_does_not_fit_sets_its_row_aside_by_its_number(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "f.xlsx", [{"id": number} for number in range(10)])
    first = read(connector(tmp_path, "f.xlsx"))
    write_sheet(
        tmp_path / "g.xlsx",
        '<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c></row><row r="3"><c r="A3"><v>1</v></c></row>'
        '<row r="7"><c r="A7" t="inlineStr"><is><t>x</t></is></c></row>',
    )
    found = read(connector(tmp_path, "g.xlsx", first.table.schema))
    assert found.column("id") == [1]
    assert [(row.reason, row.source.rpartition(":")[2]) for row in found.rejected] == [("wrong_type", "row 7")]


def test_what_is_no_workbook_is_said(tmp_path: Path) -> None:
    (tmp_path / "f.xlsx").write_bytes(b"PK\x03\x04 not a workbook")
    with pytest.raises(Transient, match="not whole yet, or damaged"):
        read(connector(tmp_path, "f.xlsx"))

"""Small files that would become huge are refused, with the limit and how to raise it; what is only large is read."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from headrace.connector.limits import Limits
from headrace.errors import Fatal
from tests.unit.ingest.reading import connector, read
from tests.unit.ingest.writing import write_avro, write_sheet, write_xlsx

ZEROS = b"a\n" + b"0" * (80 << 20)  # of one sort
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda content: gzip.compress(content, 9),
    "bz2": bz2.compress,
    "xz": lambda content: lzma.compress(content, preset=1),
    "zst": lambda content: zstandard.ZstdCompressor(level=3).compress(content),
}


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    return {ending: pack(ZEROS) for ending, pack in PACK.items()}


@pytest.mark.parametrize("ending", PACK)
def test_what_unpacks_to_many_times_its_size_is_refused(tmp_path: Path, bombs: dict[str, bytes], ending: str) -> None:
    (tmp_path / f"f.csv.{ending}").write_bytes(bombs[ending])
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_MAX_RATIO"):
        read(connector(tmp_path, f"f.csv.{ending}"))


def test_the_control_with_a_higher_limit_it_is_read(tmp_path: Path, bombs: dict[str, bytes]) -> None:
    (tmp_path / "f.csv.gz").write_bytes(bombs["gz"])
    found = read(connector(tmp_path, "f.csv.gz", limits=Limits(ratio=2000)))
    assert [(row.reason, f"{80 << 20} bytes" in row.detail) for row in found.rejected] == [("too_large", True)]


@pytest.mark.parametrize("ending", PACK)
def test_what_unpacks_to_more_than_is_allowed_is_refused(tmp_path: Path, ending: str) -> None:
    lines = b"a\n" + b"".join(b"%d\n" % (number * 7919 % 100_003) for number in range(50_000))
    (tmp_path / f"f.csv.{ending}").write_bytes(PACK[ending](lines))
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_MAX_UNPACKED_BYTES"):
        read(connector(tmp_path, f"f.csv.{ending}", limits=Limits(unpacked_bytes=100_000)))
    assert len(read(connector(tmp_path, f"f.csv.{ending}")).column("a")) == 50_000


@pytest.mark.parametrize("ending", PACK)
def test_streams_that_follow_one_another_are_one_file(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"f.csv.{ending}").write_bytes(PACK[ending](b"a\n1\n") + PACK[ending](b"2\n") + PACK[ending](b"3\n"))
    assert read(connector(tmp_path, f"f.csv.{ending}")).column("a") == [1, 2, 3]


def archive(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return out.getvalue()


def test_a_zip_bomb_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "f.zip").write_bytes(archive({"a.csv": ZEROS}))
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_MAX_RATIO"):
        read(connector(tmp_path, "f.zip"))


def test_a_zip_of_very_many_members_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.zip").write_bytes(archive({f"{number}.csv": b"a\n%d\n" % number for number in range(60)}))
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_MAX_MEMBERS"):
        read(connector(tmp_path, "f.zip", limits=Limits(members=50)))
    assert len(read(connector(tmp_path, "f.zip", limits=Limits(members=60))).column("a")) == 60


def test_a_directory_that_lies_about_its_count_is_still_too_long(tmp_path: Path) -> None:
    whole = bytearray(archive({f"{number:0200}.csv": b"a\n1\n" for number in range(600)}))
    end = whole.rindex(b"PK\x05\x06")
    whole[end + 8 : end + 12] = (1).to_bytes(2, "little") * 2
    (tmp_path / "f.zip").write_bytes(whole)
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_MAX_MEMBERS"):
        read(connector(tmp_path, "f.zip", limits=Limits(members=50)))


def test_members_that_are_not_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "f.zip").write_bytes(archive({"a.csv": b"a\n1\n"}, zipfile.ZIP_LZMA))
    with pytest.raises(Fatal, match=r"a\.csv is packed"):
        read(connector(tmp_path, "f.zip"))


def test_every_member_of_a_zip_is_read_and_what_systems_add_is_not(tmp_path: Path) -> None:
    members = {"x/a.csv": b"a\n1\n", "__MACOSX/a.csv": b"a\n9\n", ".hidden.csv": b"a\n9\n", "x/b.csv": b"a\n2\n"}
    (tmp_path / "f.zip").write_bytes(archive(members))
    found = read(connector(tmp_path, "*.zip"))
    assert found.column("a") == [1, 2]
    (tmp_path / "f.zip").write_bytes(archive({**members, "x/c.csv": b"a\n3\n"}))
    assert read(connector(tmp_path, "*.zip"), found.position).column("a") == [3]


def test_a_file_that_is_packed_later_is_the_same_file(tmp_path: Path) -> None:
    content = b"a\n" + b"".join(b"%d\n" % number for number in range(3000))
    (tmp_path / "f.csv").write_bytes(content)
    first = read(connector(tmp_path, "*"))
    (tmp_path / "f.csv").unlink()
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress(content))
    assert read(connector(tmp_path, "*"), first.position).batches == []
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress(content.replace(b"17\n", b"18\n")))
    assert len(read(connector(tmp_path, "*"), first.position).column("a")) == 3000, "the control"


def test_a_row_group_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": range(200_000)}), tmp_path / "f.parquet", use_dictionary=False)
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_MAX_ROW_GROUP_BYTES"):
        read(connector(tmp_path, "f.parquet", limits=Limits(row_group_bytes=1_000_000)))
    assert len(read(connector(tmp_path, "f.parquet")).column("a")) == 200_000


def test_a_long_text_that_a_dictionary_repeats_is_refused(tmp_path: Path) -> None:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["x" * 100_000]))
    pq.write_table(pa.table({"id": range(100_000), "a": text}), tmp_path / "f.parquet")
    assert (tmp_path / "f.parquet").stat().st_size < 2_000_000, "it stands for 10 GB"
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_MAX_RATIO"):
        for _ in connector(tmp_path, "f.parquet").read(None):
            pass


def test_texts_of_a_dictionary_are_read_whole(tmp_path: Path) -> None:
    names = [None if number % 7 == 0 else f"name {number % 50}" for number in range(5000)]
    pq.write_table(pa.table({"a": names}), tmp_path / "f.parquet", row_group_size=1000)
    assert read(connector(tmp_path, "f.parquet", batch_rows=300)).column("a") == names


def test_an_avro_block_that_is_too_large_is_refused(tmp_path: Path) -> None:
    rows = [{"id": number, "name": "x" * 1000} for number in range(5000)]
    write_avro(tmp_path / "f.avro", rows, interval=10_000_000)
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_MAX_BLOCK_BYTES"):
        read(connector(tmp_path, "f.avro", limits=Limits(block_bytes=1_000_000)))
    assert len(read(connector(tmp_path, "f.avro")).column("id")) == 5000


def test_an_avro_block_that_claims_more_records_than_it_has_bytes_for_is_refused(tmp_path: Path) -> None:
    write_avro(tmp_path / "f.avro", [], "null")
    whole = (tmp_path / "f.avro").read_bytes()
    endless = io.BytesIO()
    fastavro.schemaless_writer(endless, fastavro.parse_schema("long"), 1 << 50)
    (tmp_path / "f.avro").write_bytes(whole + endless.getvalue() + b"\x00" + whole[-16:])
    with pytest.raises(Exception, match="claims"):
        read(connector(tmp_path, "f.avro"))


def test_a_workbook_that_is_too_large_is_refused(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "f.xlsx", [{"id": number, "name": f"n{number}"} for number in range(100)])
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_MAX_WORKBOOK_BYTES"):
        read(connector(tmp_path, "f.xlsx", limits=Limits(workbook_bytes=1000)))
    assert len(read(connector(tmp_path, "f.xlsx")).column("id")) == 100


def test_a_workbook_with_a_cell_at_the_far_end_takes_no_more_memory_than_it_may(tmp_path: Path) -> None:
    cell = '<c r="{0}" t="inlineStr"><is><t>id</t></is></c>'
    rows = f'<row r="1">{cell.format("A1")}</row><row r="1048576">{cell.format("XFD1048576")}</row>'
    write_sheet(tmp_path / "f.xlsx", rows)
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_MAX_WORKBOOK_BYTES"):
        read(connector(tmp_path, "f.xlsx", limits=Limits(workbook_bytes=8 << 20)))


def test_json_that_is_deep_or_long_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('[{"a": 1}, ' + "[" * 100_000 + "]" * 100_000 + ', {"a": 2}]')
    found = read(connector(tmp_path, "f.json"))
    assert found.column("a") == [1, 2]
    (tmp_path / "g.json").write_text(json.dumps({"skip": "x" * 3_000_000, "rows": [{"a": 1}]}))
    with pytest.raises(Fatal, match="comes before the rows"):
        read(connector(tmp_path, "g.json", json_rows="rows"))

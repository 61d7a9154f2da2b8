"""A file is known by what was read of it, whatever it is called; and a position stays short."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.ingest.core import progress
from services.ingest.core.progress import (
    KEPT_FILES,
    MOST_FILES,
    Content,
    FileProgress,
    FilesPosition,
    Mark,
    Marks,
    named,
)
from tests.unit.ingest.reading import connector, read
from tests.unit.ingest.writing import write_avro, write_xlsx


def write(file: Path, ids: range) -> None:
    rows = [{"id": number, "name": f"n{number}"} for number in ids]
    match file.suffix:
        case ".csv":
            file.write_text("id,name\n" + "".join(f"{row['id']},{row['name']}\n" for row in rows))
        case ".jsonl":
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".json":
            file.write_text(json.dumps(rows))
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), file)
        case ".avro":
            write_avro(file, rows)
        case ".xlsx":
            write_xlsx(file, rows)


FORMS = ["csv", "jsonl", "json", "parquet", "avro", "xlsx"]


@pytest.mark.parametrize("form", FORMS)
def test_a_renamed_file_and_a_copy_are_not_read_again(tmp_path: Path, form: str) -> None:
    write(tmp_path / f"a.{form}", range(50))
    first = read(connector(tmp_path, "*"))
    (tmp_path / f"b.{form}").write_bytes((tmp_path / f"a.{form}").read_bytes())
    assert read(connector(tmp_path, "*"), first.position).batches == []
    (tmp_path / f"a.{form}").unlink()
    again = read(connector(tmp_path, "*"), first.position)
    assert again.batches == []
    write(tmp_path / f"c.{form}", range(50, 60))
    assert read(connector(tmp_path, "*"), again.position).column("id") == list(range(50, 60)), "the control"


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_was_renamed_in_the_middle_of_being_read_goes_on(tmp_path: Path, form: str) -> None:
    write(tmp_path / f"a.{form}", range(50))
    first = read(connector(tmp_path, "*", batch_rows=7), most=3)
    assert len(first.column("id")) < 50
    (tmp_path / f"a.{form}").rename(tmp_path / f"b.{form}")
    rest = read(connector(tmp_path, "*", first.batches[0].schema), first.position)
    assert [*first.column("id"), *rest.column("id")] == list(range(50))


@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
def test_a_log_that_is_rotated_goes_on_under_its_other_name(tmp_path: Path, form: str) -> None:
    write(tmp_path / f"log.{form}", range(1000))
    first = read(connector(tmp_path, "log*"))
    write(tmp_path / f"log.{form}", range(1010))
    (tmp_path / f"log.{form}").rename(tmp_path / f"log1.{form}")
    write(tmp_path / f"log.{form}", range(2000, 2005))
    assert sorted(read(connector(tmp_path, "log*"), first.position).column("id")) == [
        *range(1000, 1010),
        *range(2000, 2005),
    ]


def test_a_short_file_that_begins_as_another_did_is_another(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", range(2))
    first = read(connector(tmp_path, "*.csv"))
    write(tmp_path / "b.csv", range(4))
    assert read(connector(tmp_path, "*.csv"), first.position).column("id") == [0, 1, 2, 3], "both are there"
    (tmp_path / "a.csv").unlink()
    assert read(connector(tmp_path, "*.csv"), first.position).column("id") == [0, 1, 2, 3], "too little to tell"


def test_a_file_whose_middle_was_changed_is_said_and_read_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.csv", range(2000))
    first = read(connector(tmp_path, "*.csv"))
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(text.replace("1000,n1000\n", "1000,x1000\n"))
    assert len(read(connector(tmp_path, "*.csv"), first.position).column("id")) == 2000
    assert "not the file it was" in caplog.text


def test_positions_of_the_first_version_are_understood(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", range(1000))
    write(tmp_path / "b.parquet", range(30))
    text = (tmp_path / "a.csv").read_bytes()
    offset = text.index(b"600,n600")
    footer = (tmp_path / "b.parquet").read_bytes()[-4096:]
    old: dict[str, dict[str, Any]] = {
        "a.csv": {
            "offset": offset, "line": 601, "rows": 600, "head": progress.digest(text[:4096]), "head_bytes": 4096,
            "tail": progress.digest(text[offset - 1024 : offset]),
        },
        "b.parquet": {
            "offset": 20, "line": 20, "rows": 20, "head": progress.digest(footer), "head_bytes": len(footer), "tail": "",
        },
    }  # fmt: skip
    position = json.dumps({"files": old})
    assert read(connector(tmp_path, "a.csv"), position).column("id") == list(range(600, 1000))
    assert read(connector(tmp_path, "b.parquet"), position).column("id") == list(range(20, 30))
    grown = read(connector(tmp_path, "a.csv"), position).position
    assert read(connector(tmp_path, "a.csv"), grown).batches == []


def test_of_many_files_a_position_keeps_few_bytes(tmp_path: Path) -> None:
    count = 5 * KEPT_FILES
    for number in range(count):
        write(tmp_path / f"{number:04}-with-a-name-of-some-length.csv", range(number * 10, number * 10 + 3))
    first = read(connector(tmp_path, "*.csv"))
    assert first.position is not None
    assert len(FilesPosition.from_json(first.position).files) <= 2 * KEPT_FILES
    marks = len(json.loads(first.position)["marks"])
    assert marks <= 48 * count
    again = connector(tmp_path, "*.csv")
    assert read(again, first.position).batches == []
    old = tmp_path / "0000-with-a-name-of-some-length.csv"
    with old.open("a") as more:
        more.write("9999,last\n")
    assert read(connector(tmp_path, "*.csv"), first.position).column("id") == [9999]
    old.rename(tmp_path / "renamed.csv")
    (tmp_path / "0001-with-a-name-of-some-length.csv").rename(tmp_path / "renamed-1.csv")
    found = read(connector(tmp_path, "renamed*.csv"), first.position).column("id")
    assert found == [0, 1, 2, 9999], "short files that grew under another name are others; the same content is not"


def test_marks_survive_their_text_and_the_oldest_that_are_gone_make_room() -> None:
    entries = {
        named(str(number)): Mark(number.to_bytes(8), b"head", b"hint", number << 30, number)
        for number in range(MOST_FILES + 10)
    }
    position = FilesPosition({}, Marks(entries))
    assert FilesPosition.from_json(position.to_json()) == position
    assert len(position.to_json()) < 8 << 20
    there = [str(number) for number in range(5)]
    trimmed = position.trimmed(there)
    assert len(trimmed.marks) <= MOST_FILES
    assert all(trimmed.mark(path) is not None for path in there)
    assert trimmed.mark("6") is None


@pytest.mark.parametrize("cut", [1, 4096, progress.CHUNK_BYTES - 1, progress.CHUNK_BYTES, 3 * progress.CHUNK_BYTES + 5])
def test_a_digest_is_taken_up_again_where_it_was_left(cut: int) -> None:
    whole = bytes(range(256)) * (4 * progress.CHUNK_BYTES // 256)
    once, first = Content(), Content()
    once.feed(whole)
    first.feed(whole[:cut])
    second = Content(first.chain)
    second.feed(whole[cut - cut % progress.CHUNK_BYTES :])
    assert second.digest() == once.digest()


def test_what_is_kept_of_a_file_is_cut_from_what_was_known() -> None:
    known = FileProgress(70, 7, 6, "aa" * 12, 70, "bb" * 12, "", "cc" * 12, 70, "dd" * 4)
    assert Mark.of(known) == Mark(b"\xcc" * 8, b"\xaa" * 4, b"\xdd" * 4, 70, 7)

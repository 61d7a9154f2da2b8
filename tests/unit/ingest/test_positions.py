"""A file is read on from where it was left, and recognised when it is not the same any more."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.core.progress import FileProgress, FilesPosition
from tests.unit.ingest.reading import connector, read


def lines(first: int, rows: int) -> str:
    return "".join(f'{number},"row\n{number}"\n' for number in range(first, first + rows))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 20))
def test_whenever_it_stops_it_goes_on_with_the_next_row(
    tmp_path_factory: pytest.TempPathFactory, rows: int, batch: int, stop: int
) -> None:
    folder = tmp_path_factory.mktemp("source")
    (folder / "f.csv").write_text("id,text\n" + lines(0, rows))
    first = read(connector(folder, "f.csv", batch_rows=batch), most=stop) if stop else read(connector(folder, "g.csv"))
    rest = read(connector(folder, "f.csv", batch_rows=7), first.position)
    assert [*first.column("id"), *rest.column("id")] == list(range(rows))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_reading_again_gives_nothing(tmp_path: Path, form: str) -> None:
    table = pa.table({"id": range(100), "name": [f"n{number}" for number in range(100)]})
    write(table, tmp_path / f"f.{form}")
    first = read(connector(tmp_path, f"f.{form}", batch_rows=30))
    assert first.column("id") == list(range(100))
    again = read(connector(tmp_path, f"f.{form}"), first.position)
    assert again.batches == []
    assert again.position == first.position


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_the_control_without_a_position_everything_is_read_again(tmp_path: Path, form: str) -> None:
    write(pa.table({"id": range(100)}), tmp_path / f"f.{form}")
    read(connector(tmp_path, f"f.{form}"))
    assert read(connector(tmp_path, f"f.{form}")).column("id") == list(range(100))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_replaced_file_is_read_from_its_start(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"f.{form}"
    write(pa.table({"id": range(100)}), file)
    first = read(connector(tmp_path, file.name))
    write(pa.table({"id": range(1000, 1100)}), file)
    assert read(connector(tmp_path, file.name), first.position).column("id") == list(range(1000, 1100))


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_copy_of_the_same_file_is_the_same_file(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"f.{form}"
    write(pa.table({"id": range(100)}), file)
    first = read(connector(tmp_path, file.name))
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)
    assert read(connector(tmp_path, file.name), first.position).batches == []


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text("id,name\n1,one\n2,tw")
    source = connector(tmp_path, "f.csv", settle_s=3600.0)
    first = read(source)
    assert first.column("id") == [1]
    assert source.waiting
    with file.open("a") as more:
        more.write("o\n3,three\n")
    assert read(source, first.position).column("name") == ["two", "three"]
    assert not source.waiting


def test_a_header_that_is_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text("id,na")
    source = connector(tmp_path, "f.csv", settle_s=3600.0)
    assert read(source).batches == []
    file.write_text("id,name\n1,one\n")
    assert read(source).column("name") == ["one"]


def test_the_folder_of_sources_can_move(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "f.csv").write_text("id\n1\n")
    first = read(connector(tmp_path / "here", "*.csv"))
    (tmp_path / "here").rename(tmp_path / "there")
    assert read(connector(tmp_path / "there", "*.csv"), first.position).batches == []


def test_a_settled_file_needs_no_last_line_end(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text("id,name\n1,one\n2,two")
    os.utime(file, (0, 0))
    assert read(connector(tmp_path, "f.csv", settle_s=3600.0)).column("name") == ["one", "two"]


def test_a_position_survives_its_text() -> None:
    position = (
        FilesPosition().moved("a b.csv", FileProgress(10, 2, 1, "head", 10, "tail")).moved("ü.csv", FileProgress())
    )
    assert FilesPosition.from_json(position.to_json()) == position
    assert FilesPosition.from_json(None) == FilesPosition()


def test_check_names_the_field_at_fault(tmp_path: Path) -> None:
    missing = connector(tmp_path, "nothing-*.csv").check()
    assert [(step.ok, step.field) for step in missing] == [(False, "source.path")]
    (tmp_path / "f.xyz").write_text("a\n1\n")
    unknown = list(connector(tmp_path, "f.xyz").check())[-1]
    assert (unknown.ok, unknown.field) == (False, "source.format")
    (tmp_path / "f.csv").write_text("a\n1\n")
    assert all(step.ok for step in connector(tmp_path, "f.csv").check())


def write(table: pa.Table, file: Path) -> None:
    """The table as a file of the form its name ends with."""
    if file.suffix == ".parquet":
        pq.write_table(table, file, row_group_size=40)
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        pacsv.write_csv(table, file)

"""Files that are loaded as a whole: what was read in part and is another by now is not read on."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.connector import Counting, SourceChanged
from tests.unit.ingest.reading import connector, read


def write(file: Path, first: int, rows: int = 1000) -> None:
    file.write_text("id\n" + "".join(f"{number}\n" for number in range(first, first + rows)))


def test_a_file_that_was_replaced_half_way_is_not_read_on(tmp_path: Path) -> None:
    write(tmp_path / "f.csv", 0)
    half = read(connector(tmp_path, "f.csv", batch_rows=100, whole=True), most=3)
    write(tmp_path / "f.csv", 5000)
    with pytest.raises(SourceChanged, match=r"f\.csv"):
        read(connector(tmp_path, "f.csv", whole=True), half.position)


def test_the_control_a_file_that_is_followed_is_read_from_its_start(tmp_path: Path) -> None:
    write(tmp_path / "f.csv", 0)
    half = read(connector(tmp_path, "f.csv", batch_rows=100), most=3)
    write(tmp_path / "f.csv", 5000)
    mixed = half.column("id") + read(connector(tmp_path, "f.csv"), half.position).column("id")
    assert (min(mixed), max(mixed)) == (0, 5999)


def test_a_file_that_was_read_and_is_gone_takes_the_run_with_it(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.csv", 0)
    first = read(connector(tmp_path, "*.csv", batch_rows=1000, whole=True), most=1)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(SourceChanged, match=r"a\.csv went away"):
        read(connector(tmp_path, "*.csv", whole=True), first.position)


def test_a_file_that_is_replaced_as_it_is_read_is_looked_at_again(tmp_path: Path) -> None:
    write(tmp_path / "f.csv", 0)
    source = connector(tmp_path, "f.csv", batch_rows=100, whole=True)
    steps = source.read(None)
    _, position = next(steps)
    other = tmp_path / "other"
    write(other, 5000)
    other.replace(tmp_path / "f.csv")
    for _, reached in steps:
        position = reached
    assert source.waiting, "the run must not end here"
    with pytest.raises(SourceChanged):
        read(source, position)


def test_a_file_that_is_whole_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path / "f.csv", 0)
    source = connector(tmp_path, "f.csv", whole=True)
    assert len(read(source).column("id")) == 1000
    assert not source.waiting


def test_only_parquet_files_say_how_many_rows_they_have(tmp_path: Path) -> None:
    for name, rows in (("a", 30), ("b", 12)):
        pq.write_table(pa.table({"id": range(rows)}), tmp_path / f"{name}.parquet")
    source = connector(tmp_path, "*.parquet", whole=True)
    assert isinstance(source, Counting)
    read(source)
    pq.write_table(pa.table({"id": range(5)}), tmp_path / "c.parquet")
    assert source.count() == 42, "a file that came later is of the next run"
    write(tmp_path / "f.csv", 0)
    lines = connector(tmp_path, "f.csv", whole=True)
    read(lines)
    assert lines.count() is None

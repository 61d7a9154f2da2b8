"""A file that is still being copied is waited for; one that is damaged stops the dataset; one that goes away ends its reading."""

import os
import time
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import Fatal, Transient
from tests.unit.ingest.reading import connector, read

LINES = b"a,b\n" + b"".join(b"%d,%d\n" % (number, number * 7919) for number in range(50_000))


def packed(path: Path) -> bytes:
    """The content of a whole file, in the format its name tells."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"a": range(50_000)}), path)
    else:
        with fsspec.open(str(path), "wb", compression="infer") as file:
            file.write(LINES)
    return path.read_bytes()


@pytest.mark.parametrize("name", ["f.csv.gz", "f.csv.bz2", "f.csv.xz", "f.csv.zip", "f.csv.zst", "f.parquet"])
def test_a_copy_that_is_under_way_is_waited_for(tmp_path: Path, name: str) -> None:
    whole = packed(tmp_path / name)
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Transient, match="not whole yet"):
        read(connector(tmp_path, name))
    (tmp_path / name).write_bytes(whole)
    assert len(read(connector(tmp_path, name)).column("a")) == 50_000


@pytest.mark.parametrize("name", ["f.csv.gz", "f.csv.bz2", "f.csv.xz", "f.csv.zip", "f.csv.zst", "f.parquet"])
def test_a_damaged_file_that_nobody_writes_to_stops_the_dataset(tmp_path: Path, name: str) -> None:
    whole = packed(tmp_path / name)
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    long_ago = time.time() - 3600
    os.utime(tmp_path / name, (long_ago, long_ago))
    with pytest.raises(Fatal, match="is damaged"):
        read(connector(tmp_path, name))


def test_a_file_that_goes_away_as_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(LINES)
    steps = connector(tmp_path, "f.csv", batch_rows=1000).read(None)
    rows = next(steps)[0].rows.num_rows
    (tmp_path / "f.csv").unlink()
    assert rows + sum(fetched.rows.num_rows for fetched, _ in steps) == 50_000

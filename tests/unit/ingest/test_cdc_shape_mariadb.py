"""Values as Debezium's connector for MariaDB wrote them become what the `sql` connector reads, or are set aside."""

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from services.ingest.connectors.cdc.shape import column


def read(
    kind: str, called: str, values: list[Any], logical: str = "", **more: Any
) -> tuple[list[Any], list[bool], pa.DataType]:
    parameters = {"__debezium.source.column.type": called, **more.pop("parameters", {})}
    found = column({"type": kind, "name": logical, "field": "c", "parameters": parameters, **more})
    array, bad = found.read(values)
    return array.to_pylist(), bad.tolist(), found.type


@pytest.mark.parametrize(
    ("decimals", "count_us", "text"),
    [
        ("3", -360_001_500_000, "-100:00:01.500"),
        ("0", 3_020_399_000_000, "838:59:59"),
        ("6", 1, "00:00:00.000001"),
        ("6", -1, "-00:00:00.000001"),
        ("0", 0, "00:00:00"),
    ],
)
def test_a_time_is_text_as_it_may_be_longer_than_a_day(decimals: str, count_us: int, text: str) -> None:
    more = {"parameters": {"__debezium.source.column.length": decimals}}
    assert read("int64", "TIME", [count_us, None], "io.debezium.time.MicroTime", **more)[0] == [text, None]


def test_bits_are_a_number() -> None:
    found = read("bytes", "BIT", ["VQE=", "AAAAAAAAAIA=", None], "io.debezium.data.Bits")
    assert found == ([341, 2**63, None], [False] * 3, pa.uint64())


def test_an_instant_at_which_1970_began_is_a_zero_date() -> None:
    values = ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z", None, "1970-01-01T00:00:01Z"]
    found, bad, _ = read("string", "TIMESTAMP", values, "io.debezium.time.ZonedTimestamp")
    assert (found, bad) == ([None, None, None, dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)], [False] * 4)


@pytest.mark.parametrize(
    ("more", "doubted"),
    [
        ({"optional": False}, 0),
        ({"optional": False, "default": 0}, 0),
        ({"optional": False, "default": 19723}, 2),
        ({"optional": True}, None),
        ({"optional": True, "default": 19723}, None),
    ],
)
def test_a_day_that_may_be_a_zero_date_is_set_aside(more: dict[str, Any], doubted: int | None) -> None:
    days = [dt.date(1970, 1, 1), dt.date(1970, 1, 2), dt.date(2024, 1, 1)]
    found, bad, _ = read("int32", "DATE", [0, 1, 19723], "io.debezium.time.Date", **more)
    assert found == [None if at == doubted else day for at, day in enumerate(days)]
    assert bad == [at == doubted for at in range(3)]


@pytest.mark.parametrize(("default", "doubted"), [("2024-01-01T00:00:00Z", True), ("1970-01-01T00:00:00.000Z", False)])
def test_an_instant_that_is_the_default_may_be_a_zero_date(default: str, doubted: bool) -> None:
    values = ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"]
    _, bad, _ = read("string", "TIMESTAMP", values, "io.debezium.time.ZonedTimestamp", optional=False, default=default)
    assert bad == [doubted, False]


def test_the_control_where_there_are_no_zero_dates_nothing_is_doubted() -> None:
    parameters = {"__debezium.source.column.type": "DATE"}
    field = {"type": "int32", "name": "io.debezium.time.Date", "field": "c", "parameters": parameters}
    assert column(field).doubted == 0
    assert column(field, zero_dates=False).doubted is None


def test_the_year_zero_is_1900_in_the_log() -> None:
    assert read("int32", "YEAR", [1900, 0, 1901, None], "io.debezium.time.Year")[0] == [0, 0, 1901, None]


def test_the_control_what_the_database_does_not_name_is_read_as_ever() -> None:
    found = column({"type": "int64", "name": "io.debezium.time.MicroTime", "field": "c", "optional": False})
    assert found.type == pa.time64("us")

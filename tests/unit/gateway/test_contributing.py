"""With which values it is asked what a row was made of, and what is said of runs."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from headrace.stream.runs import History, Run
from services.gateway.contributors import Contributors
from services.gateway.core.contributing import as_of, counted, of_runs, typed

MICROS = {"type": "long", "logicalType": "timestamp-micros"}


@pytest.mark.parametrize(
    ("value", "avro", "meant"),
    [
        ("2013-01-31", ["null", {"type": "int", "logicalType": "date"}], date(2013, 1, 31)),
        ("2013-01-31", ["null", "string"], "2013-01-31"),
        ("2013-01-31T10:00:00+00:00", ["null", MICROS], datetime(2013, 1, 31, 10, tzinfo=UTC)),
        (
            "2013-01-31T10:00:00",
            {**MICROS, "logicalType": "local-timestamp-micros"},
            datetime(2013, 1, 31, 10, tzinfo=UTC),
        ),
        ("1.50", {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}, Decimal("1.50")),
        ("Infinity", "double", float("inf")),
        (1.5, "double", 1.5),
        (7, "long", 7),
        (True, "boolean", True),
        (None, ["null", MICROS], None),
        (["a"], {"type": "array", "items": "string"}, ["a"]),
    ],
)
def test_a_value_is_what_its_schema_means(value: Any, avro: Any, meant: Any) -> None:
    assert typed({"c": value, "_op": "insert"}, [{"name": "c", "type": avro}]) == {"c": meant}


@pytest.mark.parametrize(
    "kind", ["bytes", {"type": "long", "logicalType": "time-micros"}, {"type": "map", "values": "long"}]
)
def test_what_cannot_be_told_is_left_out(kind: Any) -> None:
    assert typed({"c": "AAA="}, [{"name": "c", "type": kind}]) == {}


def test_what_came_later_is_counted_apart() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    there = "_ingested_at <= toDateTime64('2026-01-02 03:04:05.000678', 6, 'UTC')"
    assert there in as_of("SELECT 1", at)
    assert f"countIf({there})" in counted("SELECT 1", at)
    assert "WHERE" not in as_of("SELECT 1", None)


def test_what_is_said_of_a_dataset_that_is_loaded_in_runs() -> None:
    assert of_runs("a.b", 2, 2) == []
    assert of_runs("a.b", 1, 2) == ["these are rows of its run 2, which shows now; its run 1 was read"]
    assert "not known" in of_runs("a.b", None, 2)[0]
    assert "no run" in of_runs("a.b", 1, None)[0]


def test_a_dataset_that_was_loaded_row_by_row_when_it_was_read_has_no_run_that_was() -> None:
    shown = Run("a.b", 3, "shown", datetime(2026, 1, 2, tzinfo=UTC))
    log = SimpleNamespace(history=lambda name: History.of(name, [shown]))
    contributors = Contributors(cast(Any, None), cast(Any, None), cast(Any, log))
    for inputs, said in (((5, 7), "not known"), ((2,), "its run 2 was read"), ((), "not known")):
        [note] = contributors._of_runs("a.b", replace(shown, dataset="c.d", inputs={"a.b": inputs}))
        assert said in note

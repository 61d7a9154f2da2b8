"""Whatever the rows, the filter and the checks: each row has one fate, the one that DuckDB gives it directly."""

from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.stream.ledger import FILTER, QUARANTINE, fates
from tests.unit.transform.staged import Row, run, staged, transform

FIELDS: dict[str, pa.DataType] = {"a": pa.int64(), "b": pa.float64(), "s": pa.string(), "l": pa.list_(pa.int64())}
SCHEMA = pa.schema(FIELDS)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | st.integers(-5, 5),
            "b": st.none() | st.floats(-5, 5, width=32) | st.sampled_from([float("nan"), float("inf")]),
            "s": st.none() | st.sampled_from(["1", "2", "x", "", "ü"]),
            "l": st.none() | st.lists(st.integers(0, 3), max_size=3),
        }
    ),
    max_size=40,
)
FILTERS = st.sampled_from(["a > 0", "b >= 0", "s IS NOT NULL", "a <> 2 OR b < 1", "CAST(s AS INT) > 0", "len(l) > 0"])
COLUMNS = st.sampled_from(
    ["a * 2 AS x", "upper(s) AS x", "CAST(s AS INT) AS x", "b / a AS x", "unnest(l) AS x", "coalesce(a, 0) AS x"]
)
Kind = tuple[str, dict[str, Any], str]  # the kind of check, its settings, and when it holds
CHECKS: st.SearchStrategy[Kind] = st.sampled_from(
    [
        ("not_null", {"column": "a"}, "a IS NOT NULL"),
        ("in", {"column": "s", "values": ["1", "2", ""]}, "s IN ('1', '2', '')"),
        ("between", {"column": "b", "min": -1, "max": 3}, "b BETWEEN -1 AND 3"),
        ("matches", {"column": "s", "pattern": "[0-9]*"}, "regexp_full_match(s, '[0-9]*')"),
        ("format", {"column": "s", "format": "hostname"}, "regexp_full_match(s, '[x\u00fc]')"),
        ("length", {"column": "s", "min": 1}, "length(s) >= 1"),
        ("expression", {"sql": "a + b > 0"}, "a + b > 0"),
    ]
)


def sql_of(columns: list[str], filters: list[str]) -> str:
    where = f" WHERE {' AND '.join(filters)}" if filters else ""
    return f"SELECT a, b, s{''.join(', ' + column for column in columns)} FROM input{where}"


@settings(max_examples=60, deadline=None)
@given(
    rows=ROWS, filters=st.lists(FILTERS, max_size=2, unique=True), columns=st.lists(COLUMNS, max_size=1), data=st.data()
)
def test_every_row_has_exactly_one_fate(
    rows: list[Row], filters: list[str], columns: list[str], data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(CHECKS, max_size=3, unique_by=lambda check: check[0]))
    severities = data.draw(st.lists(st.sampled_from(["reject", "flag"]), min_size=3, max_size=3))
    checks = [
        {"check": kind, **rest, "severity": how} for (kind, rest, _), how in zip(chosen, severities, strict=False)
    ]
    stage = transform(transform={"sql": sql_of(columns, filters)}, checks=checks)
    batch = staged(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
    outcome = stage(batch)
    fate = fates(len(rows), outcome)  # raises when a row has none, or two
    assert int((fate == FILTER).sum()) == sum(len(index) for index in outcome.filtered.values())
    assert int((fate == QUARANTINE).sum()) == len(outcome.rejected)
    assert outcome.emitted[0].rows is not None
    assert outcome.emitted[0].rows.schema == stage.output


@settings(max_examples=60, deadline=None)
@given(
    rows=ROWS, filters=st.lists(FILTERS.filter(lambda text: "CAST" not in text), max_size=2, unique=True), check=CHECKS
)
def test_the_rows_that_go_on_are_those_that_duckdb_gives_directly(
    rows: list[Row], filters: list[str], check: Kind
) -> None:
    kind, rest, holds = check
    sql = sql_of(["upper(s) AS x", "a * 2 AS y"], filters)
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    result = run(transform(transform={"sql": sql}, checks=[{"check": kind, **rest}]), batch)
    direct = duckdb.connect(":memory:", config={"threads": 1})
    direct.register("input", batch)
    unknown = "false" if kind == "not_null" else "true"
    wanted = direct.sql(f"SELECT * FROM ({sql}) WHERE coalesce({holds}, {unknown})").to_arrow_table()
    assert repr(result.rows) == repr(wanted.to_pylist())
    assert len(result.rejected) == direct.sql(sql).to_arrow_table().num_rows - wanted.num_rows


@settings(max_examples=25, deadline=None)
@given(rows=ROWS, cut=st.integers(1, 7))
def test_how_rows_are_cut_into_batches_changes_nothing(rows: list[Row], cut: int) -> None:
    sections = {
        "transform": {"sql": sql_of(["unnest(l) AS x"], ["a > 0"])},
        "checks": [
            {"check": "in", "column": "x", "values": [0, 1, 2]},
            {"check": "not_null", "column": "s", "severity": "flag"},
        ],
    }
    whole = run(transform(**sections), pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
    stage = transform(**sections)
    parts = [
        run(stage, pa.RecordBatch.from_pylist(rows[at : at + cut], schema=SCHEMA)) for at in range(0, len(rows), cut)
    ]
    assert repr([row for part in parts for row in part.rows]) == repr(whole.rows)
    assert [row["_flags"] for part in parts for row in part.system] == [row["_flags"] for row in whole.system]
    assert sum(len(part.rejected) for part in parts) == len(whole.rejected)

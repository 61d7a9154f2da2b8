"""Each kind of check sets aside the rows that break it, passes the others, and says what it found."""

from typing import Any

import pyarrow as pa
import pytest

from headrace.errors import Fatal
from headrace.transform.reference import create
from tests.unit.transform.staged import Row, run, transform

CASES: list[tuple[dict[str, Any], list[Any], list[Any], str]] = [
    ({"check": "not_null"}, ["", "x"], [None], "value is null, expected a value"),
    (
        {"check": "in", "values": ["a", "it's"]},
        ["a", "it's", None],
        ["A"],
        "value is 'A', expected one of 'a', 'it''s'",
    ),
    ({"check": "in", "values": [1, 2]}, [1, 2, None], [3], "value is 3, expected one of 1, 2"),
    ({"check": "between", "min": 0, "max": 9}, [0, 9, None], [-1], "value is -1, expected between 0 and 9"),
    ({"check": "between", "min": 0}, [0.0, float("inf")], [-0.1], "value is -0.1, expected at least 0"),
    ({"check": "between", "max": 9}, [9.0, float("-inf")], [float("nan")], "value is nan, expected at most 9"),
    (
        {"check": "between", "min": "2024-01-01"},
        ["2024-01-01"],
        ["2023-12-31"],
        "value is '2023-12-31', expected at least 2024-01-01",
    ),
    (
        {"check": "matches", "pattern": "[A-Z]{3}"},
        ["EUR", None],
        ["EURO"],
        "value is 'EURO', expected a match of [A-Z]{3}",
    ),
    (
        {"check": "format", "format": "country"},
        ["CH", None],
        ["Ch"],
        "value is 'Ch', expected a country code of ISO 3166-1, such as CH",
    ),
    (
        {"check": "length", "min": 1, "max": 3},
        ["x", "äöü", "🙂🙂🙂", None],
        [""],
        "value is '' (0 characters), expected between 1 and 3 characters",
    ),
    (
        {"check": "length", "max": 2},
        ["", "zz"],
        ["e\u0301e"],
        "value is 'e\u0301e' (3 characters), expected at most 2 characters",
    ),
    (
        {"check": "length", "min": 2, "max": 2},
        [17],
        [170],
        "value is 170 (3 characters), expected exactly 2 characters",
    ),
    (
        {"check": "length", "min": 2},
        [[1, None], None],
        [[1]],
        "value is [1] (1 element), expected at least 2 elements",
    ),
    ({"check": "length", "max": 1}, [b"\x00"], [b"ab"], "value is ab (2 bytes), expected at most 1 byte"),
    (
        {"check": "type", "logicalType": "integer"},
        ["12", None],
        ["1.5"],
        "value is '1.5', expected a value of type BIGINT",
    ),
    (
        {"check": "type", "logicalType": "date"},
        ["2024-02-29"],
        ["2023-02-29"],
        "value is '2023-02-29', expected a value of type DATE",
    ),
    (
        {"check": "references", "dataset": "shop.codes", "to": "code"},
        ["a", None],
        ["z"],
        "value is 'z', expected a code known to shop.codes",
    ),
]


@pytest.mark.parametrize(
    ("check", "good", "bad", "detail"), CASES, ids=lambda case: case.get("check") if isinstance(case, dict) else ""
)
def test_what_breaks_a_check_is_set_aside(check: dict[str, Any], good: list[Any], bad: list[Any], detail: str) -> None:
    stage = transform(checks=[{**check, "column": "value"}])
    stage._engine.load((create("ref_shop__codes"), pa.record_batch({"code": ["a", "b", None]})))
    result = run(stage, pa.record_batch({"value": pa.array([*good, *bad])}))
    assert len(result.rows) == len(good)
    reason = f"check_{check['check']}"
    assert result.rejected == {len(good): (reason, detail, f"{check['check']}_value", "value")}


def test_the_length_of_a_map_is_how_many_pairs_it_has() -> None:
    rows = pa.record_batch(
        {"value": pa.array([[("a", 1)], [("a", 1), ("b", 2)], [], None], pa.map_(pa.string(), pa.int64()))}
    )
    result = run(transform(checks=[{"check": "length", "column": "value", "max": 1}]), rows)
    assert result.rejected == {
        1: ("check_length", "value is {a=1, b=2} (2 pairs), expected at most 1 pair", "length_value", "value")
    }


def test_an_expression_shows_the_columns_it_looks_at() -> None:
    checks = [{"check": "expression", "name": "sum_fits", "sql": "total >= paid"}]
    result = run(
        transform(checks=checks), [{"total": 5, "paid": 5}, {"total": 4, "paid": 9}, {"total": None, "paid": 1}]
    )
    assert len(result.rows) == 2
    assert result.rejected == {
        1: ("check_expression", "the row is total = 4, paid = 9, expected total >= paid", "sum_fits", None)
    }


def test_the_first_broken_check_is_the_reason() -> None:
    checks = [{"check": "between", "column": "a", "min": 0}, {"check": "between", "column": "b", "min": 0}]
    result = run(transform(checks=checks), [{"a": -1, "b": -1}, {"a": 1, "b": -1}])
    assert [rejection[2] for rejection in result.rejected.values()] == ["between_a", "between_b"]


def test_flags_are_noted_in_order_and_let_the_row_pass() -> None:
    checks = [
        {"check": "not_null", "column": "a", "severity": "flag"},
        {"check": "between", "column": "b", "max": 9, "severity": "flag"},
        {"check": "in", "column": "b", "values": [1, 10, 11]},
    ]
    rows: list[Row] = [{"a": 1, "b": 1}, {"a": None, "b": 10}, {"a": None, "b": 5}, {"a": 1, "b": 11}]
    result = run(transform(checks=checks), rows)
    assert [row["_flags"] for row in result.system] == [[], ["not_null_a", "between_b"], ["between_b"]]
    assert list(result.rejected) == [2]


def test_a_long_value_is_cut_in_what_is_shown() -> None:
    result = run(transform(checks=[{"check": "in", "column": "a", "values": ["x"]}]), [{"a": "y" * 5000}])
    assert len(result.rejected[0][1]) < 300


def test_names_and_values_cannot_leave_their_place_in_the_query() -> None:
    checks = [
        {"check": "in", "column": "a", "values": ["'); DROP TABLE x; --", "ok"]},
        {"check": "matches", "column": "a", "pattern": ".*'?.*"},
    ]
    result = run(transform(checks=checks), [{"a": "ok"}, {"a": "'); DROP TABLE x; --"}])
    assert len(result.rows) == 2


def test_an_unknown_reference_can_be_flagged() -> None:
    stage = transform(
        checks=[{"check": "references", "column": "a", "dataset": "shop.codes", "to": "code", "severity": "flag"}]
    )
    stage._engine.load((create("ref_shop__codes"), pa.record_batch({"code": ["x", None]})))
    result = run(stage, [{"a": "x"}, {"a": "y"}, {"a": None}])
    assert [row["_flags"] for row in result.system] == [[], ["references_a"], []]


VALUES: dict[str, pa.Array] = {
    "texts": pa.array(["a", "1", None, "", "2.5", "x"]),
    "numbers": pa.array([1, 2, None, 0, 5, 9]),
    "doubles": pa.array([1.0, 2.5, None, 0.0, float("nan"), 9.5]),
    "none": pa.array([None] * 6, pa.string()),
}


@pytest.mark.parametrize("known", VALUES)
@pytest.mark.parametrize("asked", VALUES)
@pytest.mark.parametrize("severity", ["reject", "flag"])
def test_with_many_rows_to_refer_to_the_verdicts_are_the_same(
    monkeypatch: pytest.MonkeyPatch, known: str, asked: str, severity: str
) -> None:
    """What is looked for first is only what the batch asks for."""
    checks = [{"check": "references", "column": "a", "dataset": "shop.codes", "to": "code", "severity": severity}]
    sql = "WITH typed AS (SELECT a, n + 1 AS n FROM input) SELECT a, n FROM typed WHERE n < 6"
    rows = pa.record_batch({"a": VALUES[asked], "n": pa.array(range(6))})
    results = []
    for many in (50_000, -1):
        monkeypatch.setattr("headrace.transform.stage._MANY", many)
        stage = transform(checks=checks, transform={"sql": sql})
        stage._engine.load((create("ref_shop__codes"), pa.record_batch({"code": VALUES[known]})))
        try:
            result = run(stage, rows)
        except Fatal as error:  # of types that do not compare
            results.append(str(error).partition(":")[0])
            continue
        results.append(str((result.rows, [row["_flags"] for row in result.system], result.rejected, result.filtered)))
        assert stage._plan is not None
        assert ("MATERIALIZED" in stage._plan.judgement.sql) == (many < 0)
    assert results[0] == results[1]

"""A test of a transform passes when the stage does what it says, and tells what differs when not."""

from typing import Any

import pytest
from pydantic import ValidationError

from headrace.contract import load
from headrace.transform.trial import Verdict, run_tests
from tests.unit.transform.staged import contract

SECTIONS: dict[str, Any] = {
    "schema": {
        "fields": [
            {"name": "id", "logicalType": "integer", "required": True},
            {"name": "total", "logicalType": "number", "physicalType": "decimal(10, 2)"},
            {"name": "at", "logicalType": "timestamp"},
            {"name": "city", "logicalType": "string"},
        ]
    },
    "key": ["id"],
    "transform": {
        "sql": "SELECT input.id, price * quantity AS total, at, c.city FROM input "
        "LEFT JOIN ref('shop.customers') AS c ON c.id = input.customer WHERE status <> 'test'"
    },
    "checks": [
        {"check": "between", "column": "total", "min": 0},
        {"check": "references", "column": "id", "dataset": "shop.known", "to": "id"},
        {"check": "between", "column": "total", "max": 100, "severity": "flag", "name": "dear"},
    ],
}
ROW: dict[str, Any] = {"id": 1, "price": 1.5, "quantity": 3, "status": "new"}


def ran(expect: dict[str, Any], given: Any = None, **test: Any) -> Verdict:
    tests = [{"name": "it", "given": [ROW] if given is None else given, "ref": {"shop.customers": []}, **test}]
    [verdict] = run_tests(contract(**SECTIONS, tests=[{**tests[0], "expect": expect}]))
    return verdict


def told(verdict: Verdict) -> list[str]:
    return [str(difference) for difference in verdict.differences]


def test_rows_are_put_through_sql_types_and_checks() -> None:
    customers = {"shop.customers": [{"id": 9, "city": "Bern"}]}
    given = [{**ROW, "customer": 9, "at": "2024-01-02T03:04:05+01:00"}]
    expect = {"rows": [{"id": 1, "total": 4.5, "at": "2024-01-02 02:04:05Z", "city": "Bern", "_flags": []}]}
    assert told(ran(expect, given, ref=customers)) == []


def test_what_a_test_does_not_give_is_null() -> None:
    assert told(ran({"rows": [{"id": 1, "at": None, "city": None}]})) == []


def test_each_cell_that_differs_is_shown() -> None:
    assert told(ran({"rows": [{"id": 1, "total": 4.4, "city": "Bern"}]})) == [
        "row 1 (id = 1), total: expected 4.40, got 4.50",
        "row 1 (id = 1), city: expected 'Bern', got null",
    ]
    assert told(ran({"rows": [{"id": 2}]})) == [
        "row 1 (id = 2): expected {id: 2}, got no such row",
        "published row 1: expected no such row, got {id: 1}",
    ]


def test_that_no_row_is_set_aside_goes_without_saying() -> None:
    bad = [{**ROW, "price": -1}]
    why = "given row 1: total is -3.00, expected at least 0"
    assert told(ran({}, bad)) == [f"rejected rows: expected 0, got 1, 1 by between_total ({why})"]
    assert told(ran({"rejected": 1}, bad)) == []
    assert told(ran({"rejected": {"between_total": 1}}, bad)) == []
    assert told(ran({"rejected": {"required_id": 1}}, bad)) == [
        f"rejected rows: expected 1 by required_id, got 1 by between_total ({why})"
    ]


def test_what_would_wait_for_its_parent_is_rejected_in_a_test() -> None:
    check = {"check": "references", "column": "id", "dataset": "shop.known", "to": "id", "wait": "10m"}
    test = {"name": "it", "given": [{"id": 1}, {"id": 7}], "ref": {"shop.known": [{"id": 7}]}}
    [verdict] = run_tests(contract(checks=[check], tests=[{**test, "expect": {"rejected": {"references_id": 1}}}]))
    assert verdict.passed, told(verdict)


def test_a_check_on_another_dataset_counts_where_its_rows_are_given() -> None:
    refs = {"shop.customers": [], "shop.known": [{"id": 7}]}
    expect = {"rejected": {"references_id": 1}, "row_count": 0}
    assert told(ran(expect, ref=refs)) == []
    assert told(ran(expect, ref={**refs, "shop.known": []})) == [], "a dataset without rows knows nothing"
    assert len(told(ran(expect, ref={**refs, "shop.known": [{"id": 1}]}))) == 2
    assert told(ran({"row_count": 1})) == []


def test_flags_filters_counts_and_ranges() -> None:
    given = "id, price, quantity, status\n1, 1.5, 3, new\n2, 60, 2, new\n3, 1, 1, test\n"
    fine = {
        "row_count": {"min": 1, "max": 2},
        "flagged": {"dear": 1},
        "filtered": {"status <> 'test'": 1},
        "ranges": {"total": {"min": 4.5, "max": 120}},
    }
    assert told(ran(fine, given)) == []
    wrong = {
        "row_count": 3,
        "flagged": 0,
        "filtered": 0,
        "ranges": {"total": {"max": 119.99}, "at": {"min": "2024-01-01"}},
    }
    assert told(ran(wrong, given)) == [
        "filtered rows: expected 0, got 1, 1 by status <> 'test'",
        "flags: expected 0, got 1, 1 by dear",
        "published rows: expected 3, got 2",
        "published row 2, total: expected at most 119.99, got 120.00",
        "published row 1, at: expected at least 2024-01-01 00:00:00Z, got null",
        "published row 2, at: expected at least 2024-01-01 00:00:00Z, got null",
    ]


def test_what_has_no_order_is_in_no_range() -> None:
    schema = {"fields": [{"name": "raw", "logicalType": "object", "physicalType": "json"}]}
    tests = [{"name": "it", "given": [{"raw": {"a": 1}}], "expect": {"ranges": {"raw": {"min": 1}}}}]
    [verdict] = run_tests(contract(schema=schema, tests=tests))
    [found] = verdict.differences
    assert found.kind == "error"
    assert "cannot be compared" in found.got


def test_a_value_that_does_not_fit_its_declared_column_is_set_aside_as_on_the_stream() -> None:
    assert told(ran({"rejected": {"type_at": 1}}, [{**ROW, "at": "yesterday"}])) == []
    failing = [{**ROW, "price": "a lot"}]
    [found] = ran({}, failing).differences
    assert found.kind in ("count", "error")


@pytest.mark.parametrize(
    ("expect", "why"),
    [
        ({"rows": [{"id": "x"}]}, "expect.rows: id of row 1 is 'x', expected a value of type BIGINT"),
        ({"rows": [{"total": 4.505}]}, "expect.rows: total of row 1 is 4.505, expected a value of type DECIMAL(10, 2)"),
        ({"ranges": {"at": {"min": "noon"}}}, "expect.ranges.at: at of row 1 is 'noon'"),
    ],
)
def test_a_test_that_makes_no_sense_is_an_error(expect: dict[str, Any], why: str) -> None:
    [found] = ran(expect).differences
    assert found.kind == "error"
    assert found.got.startswith(why)


def test_sql_that_does_not_fit_the_rows_is_an_error_of_that_test_alone() -> None:
    tests = [
        {"name": "bad", "given": [{"a": {"x": 1}}], "expect": {}},
        {"name": "good", "given": [{"a": "x"}], "expect": {"rows": [{"b": "X"}]}},
    ]
    bad, good = run_tests(contract(transform={"sql": "SELECT upper(a) || a[1:0] AS b FROM input"}, tests=tests))
    assert [difference.kind for difference in bad.differences] == ["error"]
    assert good.passed


def test_without_sql_or_columns_rows_pass_as_they_are() -> None:
    tests = [{"name": "any", "given": [{"a": 1, "b": "x"}], "expect": {"rows": [{"a": 1, "b": "x"}]}}]
    checks = [{"check": "between", "column": "c", "min": 1}, {"check": "not_null", "column": "d", "severity": "flag"}]
    [verdict] = run_tests(contract(tests=tests, checks=checks))
    assert verdict.passed, verdict.differences
    flagged = [{**tests[0], "expect": {"flagged": {"not_null_d": 1}}}]
    [verdict] = run_tests(contract(tests=flagged, checks=checks))
    assert verdict.passed, verdict.differences


def test_a_row_of_which_nothing_is_given_is_a_row() -> None:
    tests = [{"name": "any", "given": [{}, {}], "expect": {"rows": [{"b": 1}, {"b": 1}]}}]
    [verdict] = run_tests(contract(transform={"sql": "SELECT 1 AS b FROM input"}, tests=tests))
    assert verdict.passed, verdict.differences


def test_no_row_gives_no_row() -> None:
    assert told(ran({"row_count": 0, "rows": []}, [])) == []


def test_time_and_memory_are_bounded() -> None:
    endless = "SELECT id, list_sort(range(id))[1] AS total FROM input"
    tests = [{"name": "endless", "given": [{"id": 2_000_000}], "expect": {"row_count": 1}}]
    section: dict[str, Any] = {"transform": {"sql": endless}, "tests": tests}
    [slow] = run_tests(contract(**section), time_limit_s=0.0)
    assert [found.got for found in slow.differences] == ["it takes longer than it may"]
    [large] = run_tests(contract(**section), memory_limit="8MB")
    assert "Out of Memory" in large.differences[0].got
    [enough] = run_tests(contract(**section))
    assert enough.passed, enough.differences


EVERY_TYPE = """
dataset: shop.events
description: A column of every type.
owner: {team: shop}
source: {type: http_push}
schema:
  fields:
    - {name: id, logicalType: string, logicalTypeOptions: {format: uuid}}
    - {name: tags, logicalType: array, items: {logicalType: string}}
    - {name: attrs, logicalType: map, map: {key: {logicalType: string}, value: {logicalType: integer}}}
    - name: place
      logicalType: object
      properties: [{name: city, logicalType: string}, {name: at, logicalType: timestamp}]
    - {name: raw, logicalType: object, physicalType: json}
    - {name: clock, logicalType: time}
    - {name: blob, logicalType: string, logicalTypeOptions: {format: binary}}
    - {name: ok, logicalType: boolean}
    - {name: small, logicalType: number, logicalTypeOptions: {format: f32}}
    - {name: local, logicalType: timestamp, logicalTypeOptions: {timezone: false}}
tests:
  - name: values
    given:
      - {id: c0ffee00-0000-4000-8000-000000000000, tags: [a, null], attrs: {x: 1}, raw: {b: 1, a: [1]}, clock: 10:00:01,
         place: {city: Bern, at: 2024-01-01T00:00:00Z}, blob: abc, ok: true, small: 0.1, local: 2024-01-01 10:00}
    expect:
      rows:
        - {id: C0FFEE00-0000-4000-8000-000000000000, tags: [a, null], attrs: {x: 1}, raw: {a: [1], b: 1}, clock: 10:00:01.000,
           place: {city: Bern, at: 2024-01-01T01:00:00+01:00}, blob: abc, ok: true, small: 0.1, local: 2024-01-01T10:00:00}
  - name: nulls
    given: [{id: null}]
    expect:
      rows: [{id: null, tags: null, attrs: null, place: null, raw: null, clock: null, blob: null, ok: null, small: null}]
  - name: other values
    given: [{tags: [a], attrs: {x: 1}, place: {city: Bern}, raw: {x: 1}}]
    expect:
      rows: [{tags: [b], attrs: {x: 2}, place: {city: null}, raw: {x: 2}, ok: false}]
"""


def test_values_of_every_type_are_given_and_compared() -> None:
    values, nulls, others = run_tests(load(EVERY_TYPE))
    assert (values.differences, nulls.differences) == ((), ())
    assert [difference.column for difference in others.differences] == ["tags", "attrs", "place", "raw", "ok"]


UNIQUE: dict[str, Any] = {
    "key": ["id"],
    "partitions": 1,
    "transform": {"sql": "SELECT id, n FROM input"},
    "checks": [{"check": "unique"}, {"check": "between", "column": "n", "min": 0}],
}


def ran_after(before: Any, given: Any, rejected: Any) -> list[str]:
    test = {"name": "it", "before": before, "given": given, "expect": {"rejected": rejected}}
    [verdict] = run_tests(contract(**UNIQUE, tests=[test]))
    return told(verdict)


def test_rows_that_came_before_are_known_to_checks_and_not_compared() -> None:
    assert ran_after([], [{"id": 1, "n": 5}], 0) == []
    assert ran_after([{"id": 1, "n": 4}], [{"id": 1, "n": 5}, {"id": 2, "n": 6}], {"unique_id": 1}) == []
    assert ran_after([{"id": 1, "n": -4}, {"n": -1}], [{"id": 1, "n": 5}], 0) == [], (
        "it was set aside, and takes nothing up"
    )
    assert ran_after("id, n\n1, 4\n", "id, n\n1, 5\n", {"unique_id": 1}) == []
    assert ran_after([{"id": 1, "n": 4}], [{"id": 1, "n": 5}], 0) != []


def test_rows_that_came_before_have_the_types_of_those_given() -> None:
    assert ran_after([{"id": 1.5, "n": 4}], [{"id": 1, "n": 5}, {"id": 1.5, "n": 1}], {"unique_id": 1}) == []


def test_rows_that_came_before_are_written_as_those_given() -> None:
    with pytest.raises(ValidationError, match="before\n  found another way to write rows"):
        ran_after("id\n1\n", [{"id": 1}], 0)
    with pytest.raises(ValidationError, match="expected a column that"):
        ran_after([{"other": 1}], [{"id": 1}], 0)

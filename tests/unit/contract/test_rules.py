"""The rules between the sections of a dataset file. Each case is the right file with one thing changed."""

import pytest

from tests.unit.contract.documents import ORDERS, edited, problems

CASES = {
    "reserved domain": (("dataset: shop.orders", "dataset: system.orders"), "dataset", "another domain"),
    "double underscore": (("dataset: shop.orders", "dataset: shop.orders__quarantine"), "dataset", "single underscores"),
    "upper case": (("dataset: shop.orders", "dataset: Shop.Orders"), "dataset", "domain.name"),
    "no domain": (("dataset: shop.orders", "dataset: orders"), "dataset", "domain.name"),
    "key not declared": (("key: [order_id]", "key: [order]"), "key[0]", "a column of the published table"),
    "key twice": (("key: [order_id]", "key: [order_id, order_id]"), "key[1]", "each name once"),
    "upsert without key": (("key: [order_id]\n", ""), "", "a key"),
    "upsert by a missing value": (("      required: true\n", ""), "key[0]", "required: true"),
    "upsert by a computed key": (("SELECT order_id,", "SELECT lower(order_id) AS order_id,"), "key[0]", "unchanged"),
    "upsert sorted otherwise": (("mode: upsert", "mode: upsert\n  order_by: [total]"), "load.order_by", "of the key"),
    "sorted by nothing": (("mode: upsert", "mode: append\n  order_by: [totals]"), "load.order_by[0]", "a column"),
    "system column declared": (("name: total", "name: _total"), "schema.fields[1].name", "leading underscore"),
    "column twice": (("name: total", "name: ORDER_ID"), "schema.fields[1].name", "a name of its own"),
    "column not given": (("SELECT order_id, total", "SELECT order_id"), "schema.fields[1].name", "transform.sql gives"),
    "column too many": (
        ("schema:", "schema:\n  evolution: quarantine"),
        ("total\n    FROM", "total, 1 AS more\n    FROM"),
        "transform.sql",
        "schema.fields declares",
    ),
    "check on nothing": (("column: total", "column: totals"), "checks[0].column", "a column of the published table"),
    "check on a system column": (("column: total", "column: _offset"), "checks[0].column", "system columns"),
    "empty range": (("    min: 0\n", ""), "checks[0]", "one of them"),
    "range upside down": (("min: 0", "min: 5\n    max: 1"), "checks[0].max", "not below min"),
    "range of two kinds": (("min: 0", "min: 5\n    max: '2020-01-01'"), "checks[0].max", "of one kind"),
    "wait of a flag": (
        ("check: between", "check: references"),
        ("min: 0", "dataset: shop.sums\n    to: total\n    wait: 5m\n    severity: flag"), "checks[0].wait", "goes on at once",
    ),
    "wait of a hold": (
        ("check: between", "check: references"),
        ("min: 0", "dataset: shop.sums\n    to: total\n    wait: 5m\n    severity: hold"), "checks[0].wait", "stops its dataset",
    ),
    "wait in runs": (
        ("check: between", "check: references"), ("min: 0", "dataset: shop.sums\n    to: total\n    wait: 5m"),
        ("mode: upsert", "mode: replace"), "checks[0].wait", "a run is whole",
    ),
    "wait for ever": (
        ("check: between", "check: references"), ("min: 0", "dataset: shop.sums\n    to: total\n    wait: 31d"),
        "checks[0].wait", "at most `30d`",
    ),
    "wait without a unit": (
        ("check: between", "check: references"), ("min: 0", "dataset: shop.sums\n    to: total\n    wait: '10'"),
        "checks[0].wait", "",
    ),
    "length of a number": (("check: between", "check: length"), "checks[0].column", "string, array or map"),
    "length without an end": (
        ("check: between", "check: length"), ("    min: 0\n", ""), "checks[0]", "one of them",
    ),
    "length upside down": (
        ("check: between\n    column: total", "check: length\n    column: order_id"), ("min: 0", "min: 5\n    max: 1"),
        "checks[0].max", "not below min",
    ),
    "bounds that are none": (
        ("min: 0", "min: [5]\n    max: {a: 1}"), "checks[0].min", "",
    ),
    "length below nothing": (
        ("check: between\n    column: total", "check: length\n    column: order_id"), ("min: 0", "min: -1"),
        "checks[0].min", "0",
    ),
    "format of a number": (
        ("check: between", "check: format"), ("min: 0", "format: email"), "checks[0].column", "logicalType is string",
    ),
    "format that nobody knows": (
        ("check: between\n    column: total", "check: format\n    column: order_id"), ("min: 0", "format: emial"),
        "checks[0].format", "email",
    ),
    "unique in an upsert": (
        ("check: between\n    column: total\n    min: 0", "check: unique"), "checks[0]", "no such check",
    ),
    "unique on nothing": (
        ("mode: upsert", "mode: append"), ("key: [order_id]\n", ""),
        ("check: between\n    column: total\n    min: 0", "check: unique"), "checks[0]", "whose values may not repeat",
    ),
    "unique across partitions": (
        ("mode: upsert", "mode: append"),
        ("check: between\n    column: total\n    min: 0", "check: unique\n    columns: [total]"), "checks[0]", "partitions: 1",
    ),
    "unique by a computed key": (
        ("mode: upsert", "mode: append"), ("SELECT order_id,", "SELECT lower(order_id) AS order_id,"),
        ("check: between\n    column: total\n    min: 0", "check: unique"), "checks[0]", "taken unchanged",
    ),
    "bad pattern": (
        ("check: between", "check: matches"), ("min: 0", "pattern: '(['"), "checks[0].pattern", "RE2",
    ),
    "look-ahead is not RE2": (
        ("check: between", "check: matches"), ("min: 0", "pattern: '(?=a)'"), "checks[0].pattern", "RE2",
    ),
    "refers to itself": (
        ("check: between", "check: references"), ("min: 0", "dataset: shop.orders\n    to: total"),
        "checks[0].dataset", "another dataset",
    ),
    "expression of another column": (
        ("check: between\n    column: total\n    min: 0", "check: expression\n    sql: totl > 0"),
        "checks[0].sql", "a column of the published table",
    ),
    "expression with an aggregate": (
        ("check: between\n    column: total\n    min: 0", "check: expression\n    sql: sum(total) > 0"),
        "checks[0].sql", "row-wise",
    ),
    "expression that looks at the clock": (
        ("check: between\n    column: total\n    min: 0", "check: expression\n    sql: now() > '2020-01-01'"),
        "checks[0].sql", "a replay",
    ),
    "expression that is a query": (
        ("check: between\n    column: total\n    min: 0", "check: expression\n    sql: total > (SELECT 1)"),
        "checks[0].sql", "own columns",
    ),
    "expression that is no SQL": (
        ("check: between\n    column: total\n    min: 0", "check: expression\n    sql: total >"),
        "checks[0].sql", "one SELECT",
    ),
    "checks of one name": (
        ("    min: 0", "    min: 0\n    name: a\n  - check: not_null\n    column: total\n    name: a"),
        "checks[1].name", "each name once",
    ),
    "replace of a stream": (
        ("type: file\n  path: data/orders.csv", "type: http_push"), ("mode: upsert", "mode: replace"),
        "load.mode", "append or upsert",
    ),
    "retention of what is replaced": (
        ("mode: upsert", "mode: replace\nretention: {value: 3}"), "retention", "each run replaces every row",
    ),
    "array without items": (("logicalType: number", "logicalType: array"), "schema.fields[1]", "items"),
    "object without properties": (("logicalType: number", "logicalType: object"), "schema.fields[1]", "json"),
    "items on a number": (
        ("logicalType: number", "logicalType: number\n      items: {logicalType: string}"),
        "schema.fields[1].items", "array",
    ),
    "format of another type": (
        ("logicalType: number", "logicalType: number\n      logicalTypeOptions: {format: uuid}"),
        "schema.fields[1].logicalTypeOptions.format", "f32 or f64",
    ),
    "decimal of 39 digits": (
        ("logicalType: number", "logicalType: number\n      physicalType: decimal(39, 2)"),
        "schema.fields[1].physicalType", "38 digits",
    ),
    "decimal that is a string": (
        ("logicalType: number", "logicalType: string\n      physicalType: decimal(9, 2)"),
        "schema.fields[1].physicalType", "number",
    ),
    "path that leaves the data folder": (("data/orders.csv", "data/../../orders.csv"), "source.path", "without `..`"),
    "retention by nothing": (
        ("partitions: 2", "retention: {value: 1, element: totals}"), "retention.element", "a column",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_broken_rule_is_reported_at_its_place(case: tuple[object, ...]) -> None:
    replacements = [part for part in case if isinstance(part, tuple)]
    path, fragment = (part for part in case if isinstance(part, str))
    found = problems(edited(*replacements))
    assert any(p.path == path and fragment in p.expected for p in found), found


@pytest.mark.parametrize(
    "replacement",
    [
        ("mode: upsert", "mode: append\n  order_by: [total]"),
        ("mode: upsert", "mode: replace"),
        ("check: between\n    column: total", "check: length\n    column: order_id"),
        ("check: between\n    column: total\n    min: 0", "check: format\n    column: order_id\n    format: uuid"),
        ("SELECT order_id,", "SELECT x.order_id,"),
        ("SELECT order_id, total", "SELECT *"),
        ("total\n    FROM", "total, 1 AS more\n    FROM"),
        ("min: 0", "min: '2020-01-01'\n    max: '2021-01-01'"),
    ],
)
def test_a_rule_that_is_kept_is_not_reported(replacement: tuple[str, str]) -> None:
    more = [("FROM input", "FROM input AS x")] if "x." in replacement[1] else []
    assert problems(ORDERS) == []
    assert problems(edited(replacement, *more)) == []


@pytest.mark.parametrize(
    "changes",
    [
        [("min: 0", "")],
        [("min: 0", "columns: [order_id, total]")],
        [("min: 0", "columns: [total]"), ("partitions: 2", "partitions: 1")],
    ],
)
def test_rows_that_meet_in_one_partition_can_be_told_to_be_unique(changes: list[tuple[str, str]]) -> None:
    given = [("mode: upsert", "mode: append"), ("check: between\n    column: total", "check: unique")]
    assert problems(edited(*given, *changes)) == []

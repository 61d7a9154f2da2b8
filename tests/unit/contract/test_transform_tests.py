"""What a test of a transform may say, where it may stand, and what is said of one that is wrong."""

from textwrap import dedent, indent
from typing import Any

import pytest

from headrace.contract import Contract, ContractError, Problem, diff, load, load_with_tests
from headrace.contract.inputs import inputs
from headrace.contract.row_text import RowTextError, rows_of
from tests.unit.contract.documents import ORDERS, edited, problems

TESTS = dedent("""\
    tests:
      - name: totals pass
        given:
          - {order_id: A, total: 1.5}
        expect:
          rows: [{order_id: A, total: null}]
    """)


def with_test(body: str) -> str:
    return f"{ORDERS}tests:\n  - name: it\n{indent(dedent(body), '    ')}"


def found(text: str) -> list[tuple[str, str, str | None]]:
    return [(problem.path, problem.found, problem.suggestion) for problem in problems(text)]


def test_tests_are_part_of_the_contract_with_their_nulls() -> None:
    contract = load(ORDERS + TESTS)
    assert contract.tests[0].expect.rows == [{"order_id": "A", "total": None}]
    assert Contract.from_json(contract.canonical_json()) == contract
    assert load(contract.canonical_json()) == contract


def test_a_changed_test_is_a_change_that_touches_no_row() -> None:
    before, after = load(ORDERS + TESTS), load(ORDERS + TESTS.replace("1.5", "2.5"))
    [change] = diff(before, after)
    assert (change.path, change.breaking) == ("tests[totals pass].given", False)
    assert "no row" in change.why


def test_tests_may_stand_in_a_file_of_their_own() -> None:
    assert load_with_tests(ORDERS, "orders.yaml", TESTS, "orders.tests.yaml") == load(ORDERS + TESTS)


@pytest.mark.parametrize(
    ("dataset", "tests", "origin", "path", "line"),
    [
        (ORDERS, TESTS.replace("expect", "expct"), "orders.tests.yaml", "tests[0].expct", 5),
        (ORDERS, TESTS.replace("total: null", "totl: null"), "orders.tests.yaml", "tests[0].expect.rows[0].totl", 6),
        (ORDERS, "tsts: []\n", "orders.tests.yaml", "tsts", 1),
        (ORDERS, "- a\n", "orders.tests.yaml", "", 1),
        (ORDERS + TESTS, TESTS, "orders.tests.yaml", "tests", 1),
        (edited(("mode: upsert", "mode: upsrt")), TESTS, "orders.yaml", "load.mode", 25),
    ],
)  # fmt: skip
def test_a_problem_is_told_of_the_file_it_is_in(dataset: str, tests: str, origin: str, path: str, line: int) -> None:
    with pytest.raises(ContractError) as raised:
        load_with_tests(dataset, "orders.yaml", tests, "orders.tests.yaml")
    assert raised.value.origin == origin
    [problem] = raised.value.problems
    assert (problem.path, problem.line) == (path, line)


def test_every_name_that_is_not_known_is_told_with_the_one_that_was_meant() -> None:
    text = with_test("""\
        given: [{order_id: A, totl: 1}]
        ref: {shop.parents: []}
        expect:
          rows: [{ordr_id: A}]
          ranges: {totl: {min: 1}}
          rejected: {between_totl: 1}
          flagged: {between_total: 1}
          filtered: {total > 0: 1}
        """)
    assert found(text) == [
        ("tests[0].given[0].totl", "the column 'totl'", "total"),
        ("tests[0].ref.shop.parents", "'shop.parents'", None),
        ("tests[0].expect.rows[0].ordr_id", "the column 'ordr_id'", "order_id"),
        ("tests[0].expect.ranges.totl", "the column 'totl'", "total"),
        ("tests[0].expect.rejected.between_totl", "'between_totl'", "between_total"),
        ("tests[0].expect.flagged.between_total", "'between_total'", None),
        ("tests[0].expect.filtered.total > 0", "'total > 0'", None),
    ]


def test_names_that_are_known_are_no_problem() -> None:
    text = with_test("""\
        given: [{order_id: A, total: 1}]
        expect:
          rows: [{order_id: A, total: 1, _flags: []}]
          ranges: {total: {min: 1}}
          rejected: {between_total: 0, required_order_id: 0, type_total: 0, transform_error: 0}
        """)
    assert found(text) == []


@pytest.mark.parametrize(
    ("body", "path", "what"),
    [
        ("given: [{total: 1}]\nexpect: {rejected: -1}\n", "tests[0].expect.rejected", "-1"),
        ("given: [{total: 1}]\nexpect: {row_count: {min: 2, max: 1}}\n", "tests[0].expect.row_count", "1"),
        ("given: [{total: 1}]\nexpect: {ranges: {total: {}}}\n", "tests[0].expect.ranges.total", "neither min nor max"),
        ("given: [{_op: x}]\nexpect: {}\n", "tests[0].given[0]._op", "'_op'"),
        ('given: "a,b\\n1\\n"\nexpect: {}\n', "tests[0].given", "1 cell"),
        ("given: [{total: 1}]\n", "tests[0].expect", "nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(body: str, path: str, what: str) -> None:
    assert [(problem[0], problem[1]) for problem in found(with_test(body))] == [(path, what)]


def test_a_joined_dataset_must_be_given_and_a_check_can_only_be_counted_on_if_it_is() -> None:
    sql = "SELECT o.order_id, o.total FROM input AS o JOIN ref('shop.customers') AS c ON c.id = o.customer"
    text = edited(("SELECT order_id, total\n    FROM input", sql), ("mode: upsert", "mode: append"))
    check = "  - {check: references, column: total, dataset: shop.totals, to: total}\nload"
    text = text.replace("load", check, 1) + TESTS.replace(
        "rows: [{order_id: A, total: null}]", "rejected: {references_total: 1}"
    )
    assert [problem[:2] for problem in found(text)] == [
        ("tests[0]", "no rows of shop.customers, which transform.sql joins"),
        ("tests[0].expect.rejected.references_total", "'references_total'"),
    ]
    given = text.replace("    expect", "    ref: {shop.customers: [], shop.totals: []}\n    expect")
    assert found(given) == []


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a,b\n1,2\n1,2,3\n", 3, "3 cells"),
        ("a,a\n1,2\n", 1, "the column 'a' twice"),
        ("a,\n1,2\n", 1, "a column without a name"),
        ("  \n", 0, "no row"),
        ('{"a": 1}\n{"a": \n', 2, "'{\"a\": ' (Expecting value: line 1 column 7 (char 6))"),
        ('{"a": 1}\n[1]\n', 2, "'[1]'"),
        ('{"a": NaN}\n', 1, "'{\"a\": NaN}' (NaN is not JSON)"),
    ],
)
def test_text_that_holds_no_rows_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(RowTextError) as raised:
        rows_of(text)
    assert (raised.value.issue.line, raised.value.issue.found) == (line, what)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a, b\n1, x\n , \"p, q\"\n\n2,\n", [{"a": "1", "b": "x"}, {"a": None, "b": "p, q"}, {"a": "2", "b": None}]),
        ('\n{"a": 1.5, "b": null}\n', [{"a": 1.5, "b": None}]),
        ([{"a": 1}], [{"a": 1}]),
    ],
)  # fmt: skip
def test_rows_can_be_written_in_three_ways(text: Any, rows: list[dict[str, Any]]) -> None:
    assert list(rows_of(text).rows) == rows


@pytest.mark.parametrize(
    ("sql", "named", "perhaps"),
    [
        (None, (), ()),
        ("SELECT a, b + 1 AS c FROM input WHERE d > 0", ("a", "b", "d"), ()),
        ("SELECT upper(a) AS a, a || 'x' AS b, b || 'y' AS c FROM input", ("a",), ()),
        ("SELECT i.a.x AS x, s.y AS y FROM input AS i", ("a", "s"), ()),
        ("SELECT list_transform(a, lambda q: q + 1) AS b FROM input", ("a",), ()),
        ("WITH one AS (SELECT *, a AS b FROM input), two AS (SELECT b, c FROM one) SELECT b, c FROM two", ("a", "c"), ()),
        ("WITH one AS (SELECT a AS b FROM input) SELECT b FROM one", ("a",), ()),
        ("SELECT input.a, b, r.c FROM input JOIN ref('x.y') AS r ON r.k = input.k", ("a", "k"), ("b",)),
    ],
)  # fmt: skip
def test_the_columns_a_transform_reads_are_known(
    sql: str | None, named: tuple[str, ...], perhaps: tuple[str, ...]
) -> None:
    read = inputs(sql)
    assert (read.named, read.perhaps) == (named, perhaps)


def test_a_problem_in_the_file_of_tests_has_everything_that_others_have() -> None:
    with pytest.raises(ContractError) as raised:
        load_with_tests(ORDERS, "o.yaml", TESTS.replace("expect", "expct"), "o.tests.yaml")
    assert isinstance(raised.value.problems[0], Problem)
    assert str(raised.value).splitlines()[0] == "o.tests.yaml: 1 problem"
    assert "Did you mean expect?" in str(raised.value)

"""A wrong dataset file says everything that is wrong with it at once, where, and what to write instead."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contract import ContractError, load
from tests.unit.contract.documents import EXAMPLES, ORDERS, edited, problems


def test_a_right_file_has_no_problems() -> None:
    assert problems(ORDERS) == []


def test_every_problem_is_reported_at_once_with_its_place_and_a_suggestion() -> None:
    text = edited(
        ("team: shop", "tem: shop"),
        ("type: file", "type: fil"),
        ("logicalType: number", "logicalType: nmber"),
        ("key: [order_id]", "key: [ordr_id]"),
        ("FROM input", "FROM input\n    LIMIT 5"),
        ("column: total", "column: totl"),
        ("mode: upsert", "mode: upsrt"),
        ("partitions: 2", 'partitions: "2"\nretenton: {}'),
    )
    found = [(p.line, p.column, p.path, p.suggestion) for p in problems(text)]
    assert found == [
        (4, 3, "owner.tem", "team"),
        (6, 3, "source.type", "file"),
        (14, 7, "schema.fields[1].logicalType", "number"),
        (15, 7, "key[0]", "order_id"),
        (20, 1, "transform.sql", None),
        (23, 5, "checks[0].column", "total"),
        (26, 3, "load.mode", "upsert"),
        (27, 1, "partitions", None),
        (28, 1, "retenton", "retention"),
    ]


def test_a_problem_says_what_was_found_and_what_was_expected() -> None:
    with pytest.raises(ContractError) as raised:
        load(edited(("mode: upsert", "mode: upsrt")), "orders.yaml")
    assert str(raised.value).splitlines() == [
        "orders.yaml: 1 problem",
        "  25:3: load.mode: found 'upsrt', expected append, upsert or replace. Did you mean upsert?",
    ]
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.problems) == (str(raised.value), raised.value.problems)


def test_a_missing_setting_is_named_with_its_meaning() -> None:
    [problem] = problems(edited(("description: Order lines.\n", "")))
    assert (problem.path, problem.found) == ("description", "nothing")
    assert "What a row is" in problem.expected


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("", 1, "an empty file"),
        ("# only a comment\n", 1, "an empty file"),
        ("- a\n- b\n", 1, "a list"),
        ("flights\n", 1, "single value 'flights'"),
        ("dataset: a.b\n\tdescription: x\n", 2, "a tab"),
        ("dataset: [a.b\n", 2, "not YAML"),
        ("dataset: 'a.b\n", 2, "not YAML"),
        ("a: b: c\n", 1, "not YAML"),
        ("a: &x 1\n", 1, "the anchor &x"),
        ("a: 1\nb: *x\n", 2, "the alias *x"),
        ("a: !!python/object:os.system x\n", 1, "the tag"),
        ("a: 1\n---\nb: 1\n", 2, "a second document"),
        ("a: \x00\n", 1, "not text"),
        ("a: \ud800\n", 1, "not text"),
        ("dataset: a.b\ndescription: x\ndataset: a.c\n", 3, "the key 'dataset' again"),
        ("? [a]\n: 1\n", 1, "a key that is a list or mapping"),
        ("[" * 2000 + "]" * 2000, 1, "levels of nesting"),
        ("".join(" " * i + "a:\n" for i in range(600)), 41, "levels of nesting"),
        ("a: " + "{a: " * 2000, 1, "levels of nesting"),
        ("x" * 10_000_000, 1, "10,000,000 characters"),
        ("a: " + "9" * 10_000, 1, "unknown key 'a'"),
    ],
    ids=lambda value: repr(value)[:24],
)  # fmt: skip
def test_text_that_is_no_dataset_file_is_refused_by_name(text: str, line: int, fragment: str) -> None:
    assert any(fragment in p.found and p.line == line for p in problems(text)), problems(text)


def test_a_setting_whose_value_is_not_shown_is_said_beside_the_others() -> None:
    wrong = "{type: sql, database: sqlite, name: shop.db, table: orders, key: [order_id], password: hunter2}"
    [problem, other] = problems(
        f"dataset: shop.orders\ndescription: d\nowner: {{team: t}}\nsource: {wrong}\npartitions: none\n"
    )
    assert (problem.line, problem.path, problem.found) == (4, "source.password", "a value that is not shown")
    assert "secret://NAME" in problem.expected
    assert other.path == "partitions"


def test_a_duplicate_key_does_not_hide_other_problems() -> None:
    paths = [p.path for p in problems(edited(("partitions: 2", "partitions: 2\npartitions: 3\nlod: 1")))]
    assert paths == ["partitions", "lod"]


def test_words_that_older_yaml_takes_for_truth_values_stay_words() -> None:
    text = edited(
        ("  - check: between\n    column: total\n    min: 0", "  - {check: in, column: order_id, values: [NO, yes]}")
    )
    assert problems(text) == []
    [check] = load(text).checks
    assert getattr(check, "values") == ["NO", "yes"]  # noqa: B009  # one of several kinds of check


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}\"'\n\t #&*!|>?%@,0.1"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(ContractError) as raised:
        load(text)
    assert raised.value.problems
    assert str(raised.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(EXAMPLES)).read_text(encoding="utf-8").splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(st.sampled_from([*lines, "", "x: 1", "- 1", "  - {}", "    a: null"]))
    found = problems("\n".join([*lines[:at], other, *lines[at + 1 :]]))
    assert all(p.line > 0 and p.found and p.expected for p in found)

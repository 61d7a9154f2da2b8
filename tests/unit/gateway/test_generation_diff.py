"""How two generations are compared: what is matched with what, what is asked, and what the answers add up to."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contract import load
from services.gateway.core import generation_queries as queries
from services.gateway.core.datasets import Refusal
from services.gateway.core.generation_diff import Comparison, Side, bound_of, compare
from services.gateway.core.generation_fold import Differences, Sums, sample
from services.gateway.core.generation_report import plain, report
from services.gateway.core.generation_values import Column, cut, hashed, measure, quoted

SYSTEM = [Column("_partition", "Int32"), Column("_offset", "Int64"), Column("_seq", "Int32")]
HELD = [
    Column("id", "Int64"),
    Column("v", "Nullable(String)"),
    Column("n", "Decimal(9, 2)"),
    *SYSTEM,
    Column("_flags", "Array(String)"),
]


def side(generation: int, mode: str = "append", key: str = "[id]", staged: str = "shop.orders.staged") -> Side:
    document = (
        "dataset: shop.orders\ndescription: Orders.\nowner: {team: shop}\nsource: {type: file, path: orders.csv}\n"
        f"key: {key}\nload: {{mode: {mode}}}\n"
    )
    return Side("shop", f"orders__g{generation}", generation, generation + 1, load(document), staged)


def made(before: Side, after: Side, held: Sequence[Column] = HELD, holds: Sequence[Column] = HELD) -> Comparison:
    found = compare(before, after, held, holds)
    assert isinstance(found, Comparison), found
    return found


@pytest.mark.parametrize(
    ("before", "after", "by", "matched"),
    [
        (side(1, "upsert"), side(2, "upsert"), "key", ["id"]),
        (side(1, "upsert", "[id, v]"), side(2, "upsert", "[v, id]"), "key", ["id", "v"]),
        (side(1), side(2), "identity", ["_partition", "_offset", "_seq"]),
        (side(1, "upsert"), side(2, "upsert", "[v]"), "identity", ["_partition", "_offset", "_seq"]),
        (side(1, "upsert"), side(2), "identity", ["_partition", "_offset", "_seq"]),
        (side(1), side(2, staged="another"), "key", ["id"]),
    ],
)
def test_rows_are_matched_by_what_makes_them_the_same(before: Side, after: Side, by: str, matched: list[str]) -> None:
    found = made(before, after)
    assert (found.by, [pair.name for pair in found.matched]) == (by, matched)


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        (side(1, key="[]"), side(2, key="[]", staged="another"), "no-match"),
        (side(1), side(2, key="[v]", staged="another"), "no-match"),
        (side(1, "replace"), side(2, "replace"), "in-runs"),
    ],
)
def test_what_cannot_be_matched_is_refused(before: Side, after: Side, code: str) -> None:
    found = compare(before, after, HELD, HELD)
    assert isinstance(found, Refusal)
    assert found.code == code


def test_columns_of_one_side_only_are_told_and_those_of_both_compared() -> None:
    holds = [Column("V", "String"), *[each for each in HELD if each.name != "v"], Column("_new", "Int8")]
    found = made(side(1), side(2), HELD, holds)
    assert (found.added, found.removed) == (("V",), ("v",))
    assert [pair.name for pair in found.compared] == ["id", "n", "_flags"]
    assert [pair.name for pair in found.sums] == ["id", "n"]


@pytest.mark.parametrize(
    ("before", "after", "by"),
    [
        ("Int64", "Nullable(Int64)", "value"),
        ("LowCardinality(Nullable(String))", "String", "value"),
        ("Int32", "UInt64", "number"),
        ("Decimal(9, 2)", "Int8", "number"),
        ("Float32", "Float64", "float"),
        ("Decimal(9, 2)", "Float64", "float"),
        ("DateTime64(3, 'UTC')", "DateTime64(6)", "moment"),
        ("Date32", "DateTime64(6, 'UTC')", "text"),
        ("String", "Int64", "text"),
        ("Tuple(a Int8)", "Tuple(a Int16)", "text"),
    ],
)
def test_a_column_is_compared_by_what_both_types_can_say(before: str, after: str, by: str) -> None:
    assert measure(Column("c", before), Column("c", after)) == by


def test_every_name_is_quoted() -> None:
    assert quoted("a`b\\") == "`a\\`b\\\\`"
    assert "__t.`a\\`b`" in hashed(Column("a`b", "String"), "value", "__t")


@given(rows=st.integers(0, 10**9), portion=st.integers(1, 10**6))
def test_portions_cover_every_bucket_once_and_are_few(rows: int, portion: int) -> None:
    found = queries.portions(rows, portion)
    assert [bucket for each in found for bucket in each] == list(range(queries.BUCKETS))
    assert len(found) <= queries.MOST_PORTIONS


@given(rows=st.dictionaries(st.integers(0, 1023), st.integers(1, 10**6)), portion=st.integers(1, 10**6))
def test_differing_buckets_are_packed_once_each_into_few_portions(rows: dict[int, int], portion: int) -> None:
    found = queries.packed(rows, portion)
    assert sorted(bucket for pack in found for bucket in pack) == sorted(rows)
    assert len(found) <= queries.MOST_PORTIONS


@given(st.dictionaries(st.integers(0, 9), st.integers(-1, 99)), st.dictionaries(st.integers(0, 9), st.integers(-1, 99)))
def test_no_side_is_compared_beyond_what_the_other_has_reached(one: dict[int, int], other: dict[int, int]) -> None:
    found = bound_of(one, other)
    assert found == bound_of(other, one)
    assert all(end <= one[at] and end <= other[at] for at, end in found.items())
    assert found.keys() == one.keys() & other.keys()


def test_newest_rows_of_keys_that_are_being_replaced_are_left_out() -> None:
    keyed = made(side(1, "upsert"), side(2, "upsert"))
    asked = queries.sums(keyed, {0: 7}, range(1024))
    assert "FINAL" in asked
    assert asked.count("NOT IN (SELECT") == 2
    assert "[0], [toInt64(7)], toInt64(-1)" in asked
    assert "NOT IN" not in queries.sums(made(side(1), side(2)), {0: 7}, range(1024))


def test_a_condition_on_single_versions_of_a_row_never_stands_before_final() -> None:
    mixed = made(side(1), side(2, "upsert"))
    before, after = queries.sums(mixed, {0: 7}, range(1024)).split(" UNION ALL ")
    assert "PREWHERE" in before
    assert "FINAL WHERE" in after
    assert "PREWHERE" not in after


def _rows(at: int, *buckets: tuple[int, int, int]) -> list[list[Any]]:
    """Answers: bucket, rows, and a number that stands for all that its rows hold."""
    return [[at, bucket, rows, held, held, held, held, held, str(held), "0.5"] for bucket, rows, held in buckets]


def test_sums_tell_which_buckets_and_columns_differ() -> None:
    found = Sums(made(side(1), side(2)))
    found.add(_rows(0, (1, 10, 100), (2, 20, 200), (3, 5, 50)) + _rows(1, (1, 10, 100), (2, 20, 201)))
    assert (found.rows(0), found.rows(1)) == (35, 30)
    assert found.differing() == {2: 40, 3: 5}
    assert [pair.name for pair in found.pairs()] == ["id", "v", "n", "_flags"]
    assert found.numbers["id"] == [Decimal(350), Decimal(301)]


@given(st.lists(st.integers(-(2**200), 2**200), min_size=1, max_size=20))
def test_sums_lose_no_digit(numbers: list[int]) -> None:
    found = Sums(made(side(1), side(2)))
    found.add([[0, at, 1, 1, 0, 0, 0, 0, str(number), "0.01"] for at, number in enumerate(numbers)])
    assert plain(found.numbers["id"][0]) == str(sum(numbers))
    assert found.numbers["n"][0] * 100 == len(numbers)


def test_differences_add_up_and_keep_a_few_samples_of_each_kind() -> None:
    comparison = made(side(1), side(2))
    pairs = comparison.compared[:2]
    found = Differences(pairs)
    lists = [[["A", "", "2"], ["B", "", "3"]], [["C", "4", ""]], [["D", "5", "6"]]]
    found.add([2, 1, 1, 1, 0, *lists, 1, 0], 1)
    found.add([2, 0, 3, 0, 1, *lists, 2, 3], 1)
    assert (found.added, found.removed, found.changed, found.removed_aside, found.added_aside) == (4, 1, 4, 1, 1)
    assert found.columns == {"id": 3, "v": 3}
    assert [(each.kind, each.before, each.after) for each in found.samples] == [
        ("added", "", "2"),
        ("removed", "4", ""),
        ("changed", "5", "6"),
    ]
    assert (found.wanted(0), found.wanted(1)) == ([("C", "4"), ("D", "5")], [("A", "2"), ("D", "6")])
    rows = (
        {("D", "5"): [0, 9, "0", "9", "0", "7", None, "1", "[]"]},
        {("D", "6"): [0, 9, "0", "9", "0", "7", "x", "1", "[]"]},
    )
    assert sample(comparison, pairs, found.samples[2], rows) == {
        "kind": "changed",
        "key": {"_partition": "0", "_offset": "9", "_seq": "0", "id": "7"},
        "raw_before": "0:9",
        "raw_after": "0:9",
        "columns": [{"column": "v", "before": None, "after": "x"}],
    }
    assert sample(comparison, pairs, found.samples[0], rows) is None  # deleted meanwhile


def test_the_report_says_what_was_left_out() -> None:
    comparison = made(side(1), side(2))
    sums = Sums(comparison)
    sums.add(_rows(0, (1, 10, 100)) + _rows(1, (1, 9, 90)))
    told = report(comparison, {0: 7, 1: -1}, ({0: 9, 1: 4}, {0: 7, 1: -1, 2: 3}), (15, 9), sums, Differences(()))
    assert (told["before"]["left_out"], told["after"]["left_out"]) == (5, 0)
    assert [(each["partition"], each["offset"]) for each in told["upto"]] == [(0, 7), (1, None), (2, None)]


def test_long_values_are_cut() -> None:
    assert cut(None) is None
    assert cut("x" * 200) == "x" * 200
    assert cut("x" * 201) == "x" * 200 + "…"


def test_quarantine_is_read_as_it_is_there() -> None:
    one = replace(side(1))
    assert queries.quarantine(one, ()) == queries.NO_QUARANTINE
    assert queries.quarantine(one, {"act"}) == "`shop`.`orders__quarantine`"
    assert "AS `act`" in queries.quarantine(one, {"reason"})

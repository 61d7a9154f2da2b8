"""What differs between expected and published rows is found, cell by cell, and nothing else is."""

from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.transform.compare import Difference, differences, plain, same

Row = dict[str, Any]
VALUES = (
    st.none()
    | st.booleans()
    | st.text(max_size=3)
    | st.decimals(allow_nan=False, allow_infinity=False, places=2)
    | st.floats()
    | st.dates()
    | st.lists(st.none() | st.integers(), max_size=2)
)
COLUMNS = ("a", "b", "c")


def rows(key: bool) -> st.SearchStrategy[list[Row]]:
    """Rows with an `id`, one of its own where it is to be a key."""
    each = st.fixed_dictionaries({"id": st.integers(0, 99), **dict.fromkeys(COLUMNS, VALUES)})
    return st.lists(each, max_size=8, unique_by=(lambda row: row["id"]) if key else None)


def kinds(found: list[Difference]) -> list[str]:
    return [difference.kind for difference in found]


@given(published=rows(key=False), data=st.data())
def test_in_order_the_same_rows_do_not_differ_whichever_columns_are_looked_at(
    published: list[Row], data: st.DataObject
) -> None:
    looked_at = data.draw(st.sets(st.sampled_from(["id", *COLUMNS])))
    expected = [{name: row[name] for name in looked_at} for row in published]
    assert differences(expected, deepcopy(published), ()) == []


@given(published=rows(key=True), data=st.data())
def test_with_a_key_their_order_does_not_count(published: list[Row], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(published))
    assert differences(shuffled, published, ["id"]) == []


@given(published=rows(key=True).filter(bool), data=st.data())
def test_one_changed_cell_is_one_difference_in_its_place(published: list[Row], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(published) - 1))
    column = data.draw(st.sampled_from(COLUMNS))
    changed = deepcopy(published)
    changed[at][column] = "another value, longer than any"
    for key in ([], ["id"]):
        [found] = differences(published, changed, key)
        assert (found.kind, found.row, found.column) == ("value", at + 1, column)
        assert found.got == "'another value, longer than any'"


@given(published=rows(key=True).filter(bool), data=st.data())
def test_a_row_too_few_is_missing_and_one_too_many_unexpected(published: list[Row], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(published) - 1))
    fewer = published[:at] + published[at + 1 :]
    [missing] = differences(published, fewer, ["id"])
    assert (missing.kind, missing.row) == ("missing", at + 1)
    if fewer:  # of no rows nobody knows that they would have named the key
        [unexpected] = differences(fewer, published, ["id"])
        assert (unexpected.kind, unexpected.row) == ("unexpected", at + 1)
    assert kinds(differences([*published, published[0]], published, ())) == ["missing"]
    assert kinds(differences(published, [*published, published[0]], ())) == ["unexpected"]


def test_rows_of_one_key_are_compared_in_order() -> None:
    twice = [{"id": 1, "a": "x"}, {"id": 1, "a": "y"}]
    assert differences(twice, twice, ["id"]) == []
    assert [d.row for d in differences(twice, twice[::-1], ["id"])] == [1, 2]


def test_rows_that_do_not_name_the_key_are_compared_in_order() -> None:
    published = [{"id": 2, "a": "x"}, {"id": 1, "a": "y"}]
    assert differences([{"a": "x"}, {"a": "y"}], published, ["id"]) == []
    assert kinds(differences([{"a": "y"}, {"a": "x"}], published, ["id"])) == ["value", "value"]


def test_a_difference_reads_as_a_sentence() -> None:
    [found] = differences([{"id": 7, "at": date(2024, 1, 2)}], [{"id": 7, "at": None}], ["id"])
    assert str(found) == "row 1 (id = 7), at: expected 2024-01-02, got null"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.3000001, False),
        (float("nan"), float("nan"), True),
        (None, 0, False),
        (None, "", False),
        (Decimal("1.50"), Decimal("1.5"), True),
        (Decimal("1.51"), Decimal("1.5"), False),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime.fromisoformat("2024-01-01T02:00+02:00"), True),
        ({"a": [0.1 + 0.2]}, {"a": [0.3]}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([1], [1, None], False),
        (plain('{"b": 1, "a": 2}'), plain('{"a":2,"b":1}'), True),
    ],
)
def test_values_are_equal_as_what_they_are(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal

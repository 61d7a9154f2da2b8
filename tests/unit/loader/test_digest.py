"""Sums of rows tell any value that is another, and where; not the order in which rows come."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from services.loader.adapters.digest import Digest, Place, comparable, differences, told

TEXT, NUMBER, TAGS = pa.string(), pa.int64(), pa.list_(pa.int64())
KINDS: dict[str, Any] = {"text": TEXT, "number": NUMBER, "tags": TAGS}

Row = tuple[int, str | None, int | None, list[int | None] | None]
ROWS = st.lists(
    st.tuples(
        st.integers(0, 20_000),
        st.none() | st.text(max_size=4),
        st.none() | st.integers(-(2**40), 2**40),
        st.none() | st.lists(st.none() | st.integers(0, 5), max_size=3),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda row: row[0],
)


def batch(rows: Sequence[Row]) -> pa.RecordBatch:
    offset, text, number, tags = zip(*rows, strict=True)
    zeros = pa.array([0] * len(rows), pa.int32())
    own: dict[str, Any] = {
        "text": pa.array(text, TEXT),
        "number": pa.array(number, NUMBER),
        "tags": pa.array(tags, TAGS),
    }
    identity: dict[str, Any] = {"_partition": zeros, "_offset": pa.array(offset, pa.int64()), "_seq": zeros}
    return pa.RecordBatch.from_pydict({**own, **identity})


def digest(*batches: pa.RecordBatch, width: int = 4096, only: str = "true") -> Digest:
    found = Digest(KINDS, width)
    for each in batches:
        found.add(each, only)
    found.close()
    return found


@settings(max_examples=50, deadline=None)
@given(ROWS, st.randoms())
def test_order_and_portions_do_not_matter_and_one_value_does(rows: list[Row], chance: Any) -> None:
    mixed = list(rows)
    chance.shuffle(mixed)
    cut = chance.randint(0, len(rows))
    portions = [batch(part) for part in (mixed[:cut], mixed[cut:]) if part]
    assert differences(digest(batch(rows)), digest(*portions)) == {}
    at = chance.randrange(len(rows))
    offset, text, number, tags = rows[at]
    altered = [*rows[:at], (offset, text, (number or 0) + 1, tags), *rows[at + 1 :]]
    assert differences(digest(batch(rows)), digest(batch(altered))) == {Place(0, offset // 4096 * 4096): ["number"]}
    assert differences(digest(batch(rows), width=1), digest(batch(altered), width=1)) == {Place(0, offset): ["number"]}


def test_values_that_changed_places_are_noticed() -> None:
    one: list[Row] = [(1, "a", 1, None), (2, "b", 2, None)]
    other: list[Row] = [(1, "b", 1, None), (2, "a", 2, None)]
    found = differences(digest(batch(one), width=1), digest(batch(other), width=1))
    assert found == {Place(0, 1): ["text"], Place(0, 2): ["text"]}
    assert told(found) == "text of the row 0:1 and 1 more rows near it"


def test_a_row_that_is_missing_is_noticed() -> None:
    rows: list[Row] = [(1, "a", 1, None), (2, None, None, None)]
    assert list(differences(digest(batch(rows)), digest(batch(rows[:1])))) == [Place(0, 0)]


def test_an_empty_list_is_as_good_as_none_and_a_null_in_it_is_not() -> None:
    lists: list[list[int | None] | None] = [None, [], [None]]
    none, empty, null = (batch([(1, "a", 1, tags)]) for tags in lists)
    assert differences(digest(none), digest(empty)) == {}
    assert list(differences(digest(empty), digest(null)).values()) == [["tags"]]


def test_rows_of_others_are_left_out() -> None:
    rows: list[Row] = [(1, "a", 1, None), (2, "b", 2, None)]
    assert differences(digest(batch(rows), only="_offset < 2"), digest(batch(rows[:1]))) == {}


def test_a_column_that_not_all_rows_have_is_not_compared() -> None:
    rows: list[Row] = [(1, "a", 1, None)]
    without = batch(rows).drop_columns(["number"])
    assert differences(digest(without), digest(batch([(1, "a", 7, None)]))) == {}
    assert differences(digest(without), digest(batch([(1, "b", 7, None)]))) == {Place(0, 0): ["text"]}


def test_what_the_warehouse_would_not_give_back_as_it_was_is_left_out() -> None:
    nested = pa.schema({"plain": TEXT, "deep": pa.list_(TAGS), "large": pa.decimal256(60, 2), "_load_offset": NUMBER})
    assert comparable(nested, ["_load_offset"]) == {"plain": TEXT}

"""Reference data is read on from where it stands, unless what was kept is of something else, or lacks changes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.transform.kept import Found, Kept
from services.transformer.core.keeping import reason_to_read_anew

KEPT = Kept(generation=3, topic_id="a", shape="code", aged=False)
MARKS = {0: (10, 40), 1: (0, 7)}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"generation": 4}, "generation 4 is live, and it was read from generation 3"),
        ({"topic_id": "b"}, "deleted and made again"),
        ({"shape": "code, city"}, "other columns"),
        ({"aged": True}, "resubmitted"),
    ],
)
def test_what_is_of_something_else_is_read_anew(changed: dict[str, object], why: str) -> None:
    assert reason_to_read_anew(Found(KEPT, {0: 20}), KEPT, MARKS) is None
    found = reason_to_read_anew(Found(KEPT, {0: 20}), replace(KEPT, **changed), MARKS)  # type: ignore[arg-type]
    assert why in str(found)


def test_what_knows_ages_serves_who_does_not_ask_for_them() -> None:
    assert reason_to_read_anew(Found(replace(KEPT, aged=True), {0: 20}), KEPT, MARKS) is None


@pytest.mark.parametrize(
    ("offsets", "why"),
    [
        ({}, None),
        ({0: 10, 1: 7}, None),
        ({0: 40}, None),
        ({0: 41}, "partition 0 of its topic ends at 40, and had been read up to 41"),
        ({0: 9}, "partition 0 of its topic begins at 10, and had been read up to 9"),
        ({2: 1}, "partition 2 of its topic ends at 0"),
    ],
)
def test_offsets_that_the_topic_has_not_are_read_anew(offsets: dict[int, int], why: str | None) -> None:
    found = reason_to_read_anew(Found(KEPT, offsets), KEPT, MARKS)
    assert found is None if why is None else why in str(found)


@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=20),
    read_to=st.integers(0, 25),
    first=st.integers(0, 20),
)
def test_where_it_is_read_on_the_table_has_every_change(rows: list[tuple[str, int]], read_to: int, first: int) -> None:
    """The law: what was read to an offset, and what the topic still has from there, is what was ever published."""
    first, end = min(first, len(rows)), len(rows)
    if reason_to_read_anew(Found(KEPT, {0: read_to}), KEPT, {0: (first, end)}) is None:
        table = dict(rows[:read_to]) | dict(rows[max(read_to, first) :])
        assert table == dict(rows)

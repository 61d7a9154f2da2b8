"""About so many of the newest records: from every partition alike, as far as each reaches."""

from hypothesis import given
from hypothesis import strategies as st

from services.transformer.core.newest import after, newest, records

MARKS = st.dictionaries(
    st.integers(0, 20),
    st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda pair: (pair[0], sum(pair))),
    min_size=1,
)


@given(MARKS, st.integers(1, 5000))
def test_as_many_as_are_asked_for_or_all_there_are(marks: dict[int, tuple[int, int]], rows: int) -> None:
    starts = newest(marks, rows)
    taken = {number: marks[number][1] - start for number, start in starts.items()}
    assert starts.keys() == marks.keys()
    assert all(marks[number][0] <= start <= marks[number][1] for number, start in starts.items())
    assert sum(taken.values()) == min(rows, sum(high - low for low, high in marks.values()))


def test_short_partitions_leave_their_share_to_longer_ones() -> None:
    assert newest({0: (5, 7), 1: (0, 100), 2: (0, 1000)}, 202) == {0: 5, 1: 0, 2: 900}
    assert newest({0: (0, 10), 1: (0, 10)}, 4) == {0: 8, 1: 8}


@given(MARKS, st.integers(-10, 3000), st.integers(1, 5000))
def test_what_is_older_than_asked_for_is_never_taken(marks: dict[int, tuple[int, int]], first: int, rows: int) -> None:
    part = after(marks, dict.fromkeys(marks, first))
    starts = newest(part, rows)
    assert all(start >= first or start == marks[number][1] for number, start in starts.items())
    assert all(marks[number][0] <= low <= high == marks[number][1] for number, (low, high) in part.items())
    taken = sum(marks[number][1] - start for number, start in starts.items())
    assert taken == min(rows, records(part)) <= records(marks)

"""Failing rows are found alone, whichever they are, and the others are computed once each."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.transform.isolate import RowError, isolate


@given(rows=st.integers(0, 300), data=st.data())
def test_exactly_the_failing_rows_are_found(rows: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, max(rows - 1, 0)), max_size=rows))

    def compute(start: int, stop: int) -> list[int]:
        if failing := sorted(bad & set(range(start, stop))):
            raise RowError(f"cannot compute {failing[0]}")
        return list(range(start, stop))

    parts, failures = isolate(compute, rows)
    assert [(row, str(error)) for row, error in failures] == [
        (row, f"cannot compute {row}") for row in sorted(bad) if row < rows
    ]
    assert [row for part in parts for row in part] == [row for row in range(rows) if row not in bad]

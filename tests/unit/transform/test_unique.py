"""A row with the values of one before it is told from the others, however the rows come in batches and how often."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import Fatal
from headrace.stream import columns
from headrace.transform.engine import Engine
from headrace.transform.stage import Transform
from headrace.transform.uniques import seen_for
from tests.unit.transform.staged import Row, contract, run, staged, transform

FIELDS: dict[str, pa.DataType] = {"a": pa.int64(), "b": pa.string(), "bad": pa.int64()}
SCHEMA = pa.schema(FIELDS)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | st.integers(0, 4),
            "b": st.none() | st.sampled_from(["x", "y", "1:x", ""]),
            "bad": st.integers(0, 3),
        }
    ),
    max_size=30,
)
CHECKS: list[dict[str, Any]] = [
    {"name": "one", "check": "unique", "columns": ["a"]},
    {"name": "both", "check": "unique", "columns": ["a", "b"], "severity": "flag"},
    {"name": "word", "check": "unique", "columns": ["b"]},
    {"name": "good", "check": "between", "column": "bad", "min": 1},
]


def one_pass(rows: Sequence[Row]) -> list[str]:
    """What becomes of each row, by the plainest reading of the checks."""
    taken: dict[str, set[Any]] = {"one": set(), "both": set(), "word": set()}
    fates: list[str] = []
    for row in rows:
        values = {
            "one": row["a"],
            "both": None if None in (row["a"], row["b"]) else (row["a"], row["b"]),
            "word": row["b"],
        }
        repeated = [name for name, value in values.items() if value is not None and value in taken[name]]
        if row["bad"] == 0:
            fates.append("good")
        elif rejecting := [name for name in repeated if name != "both"]:
            fates.append(rejecting[0])
        else:
            fates.append(f"loaded {repeated}")
            for name, value in values.items():
                taken[name].add(value)
    return fates


class Stream:
    """Rows in their topic, and what was made of them, committed as a pump would."""

    def __init__(self, rows: Sequence[Row], folder: Path | None = None) -> None:
        self.rows = rows
        self.fates: list[str] = []
        self.published: list[pa.RecordBatch] = []
        self.folder = folder
        self.restart()

    def restart(self, *, confirming: bool = True) -> None:
        """Begin with another process, which learns of what was published."""
        made = contract(partitions=1, checks=CHECKS)
        self.seen = seen_for(made.checks, self.folder)
        self.stage = Transform(Engine(), made, 1, seen=self.seen)
        self.stage.prepare(staged(pa.RecordBatch.from_pylist([], schema=SCHEMA)).rows.schema)
        if confirming:
            self.confirm(self.published)

    def confirm(self, published: Sequence[pa.RecordBatch]) -> None:
        for rows in published:
            self.stage.confirm(rows)

    def batch(self, size: int, *, stands: bool) -> None:
        """Decide the next rows. Only if it stands, they are done with; else they come again, under a new epoch."""
        at = len(self.fates)
        batch = staged(pa.RecordBatch.from_pylist(list(self.rows[at : at + size]), schema=SCHEMA), at)
        outcome = self.stage(batch)
        if not stands:
            assert self.seen is not None
            self.seen.forget_unconfirmed()
            self.confirm(self.published)
            return
        [emitted] = outcome.emitted
        assert emitted.rows is not None
        fates = {each.row: str(each.rule) for each in outcome.rejected}
        flags = emitted.rows.column(columns.FLAGS).to_pylist()
        fates |= {row: f"loaded {flag}" for row, flag in zip(emitted.row.to_numpy().tolist(), flags, strict=True)}
        self.fates += [fates[row] for row in range(len(batch.rows))]
        self.published.append(emitted.rows)


@settings(max_examples=25, deadline=None)
@given(rows=ROWS, steps=st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["stands", "aborted", "restart"]))))
def test_any_batching_gives_the_verdicts_of_one_pass(rows: list[Row], steps: list[tuple[int, str]]) -> None:
    stream = Stream(rows)
    for size, event in [*steps, (max(len(rows), 1), "stands")]:
        stream.batch(size, stands=event != "aborted")
        if event == "restart":
            stream.restart()
    assert stream.fates == one_pass(rows)


def test_a_process_that_does_not_learn_what_was_published_lets_a_repeat_pass() -> None:
    """The negative control of the law."""
    rows = [{"a": 1, "b": "x", "bad": 1}, {"a": 1, "b": "y", "bad": 1}]
    stream = Stream(rows)
    stream.batch(1, stands=True)
    stream.restart(confirming=False)
    stream.batch(1, stands=True)
    assert stream.fates == ["loaded []", "loaded []"] != one_pass(rows)


def test_what_was_not_committed_is_no_row_before(tmp_path: Path) -> None:
    """And kept on disk, what is seen goes with the process."""
    rows = [{"a": 1, "b": "x", "bad": 1}, {"a": 1, "b": "y", "bad": 1}]
    stream = Stream(rows, tmp_path)
    stream.batch(2, stands=False)
    stream.batch(2, stands=True)
    assert stream.fates == ["loaded []", "one"]
    assert stream.seen is not None
    stream.seen.close()
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_had_waited_is_told_the_same_when_its_delivery_is_decided_once_more() -> None:
    """As it is where a row behind it is held: what went on was noted already, and the row before it has a higher offset."""
    check = {"name": "one", "check": "unique", "columns": ["id"], "severity": "flag"}
    stage = transform(partitions=1, checks=[check])

    def flags(offset: int) -> list[Any]:
        [emitted] = stage(staged([{"id": 1}], offset)).emitted
        assert emitted.rows is not None
        return emitted.rows.column(columns.FLAGS).to_pylist()

    assert flags(110) == [[]]
    assert [flags(103), flags(103)] == [[["one"]], [["one"]]]


def test_a_repeat_names_the_row_before_it() -> None:
    stage = transform(key=["id"], checks=[{"check": "unique"}])
    result = run(stage, [{"id": "x"}, {"id": "y"}, {"id": "x"}])
    detail = "id = 'x', as in the row before it of raw partition 3, offset 100"
    assert result.rejected == {2: ("check_unique", detail, "unique_id", "id")}


def test_a_record_whose_rows_repeat_each_other_is_set_aside_whole_and_takes_nothing_up() -> None:
    sql = "SELECT unnest(ids) AS id FROM input"
    stage = transform(partitions=1, transform={"sql": sql}, checks=[{"check": "unique", "columns": ["id"]}])
    result = run(stage, [{"ids": [1, 2, 2]}, {"ids": [1, 2]}, {"ids": [3, 1]}])
    assert [row["id"] for row in result.rows] == [1, 2]
    assert result.rejected[0][1] == "id = 2: twice in what the SQL makes of the record"
    assert result.rejected[2][1] == "id = 1, as in the row before it of raw partition 3, offset 101"


def test_values_that_only_look_alike_as_text_are_two() -> None:
    stage = transform(partitions=1, checks=[{"check": "unique", "columns": ["a", "b"]}])
    assert run(stage, [{"a": "x1:", "b": "y"}, {"a": "x", "b": "1:y"}]).rejected == {}


def test_a_key_that_is_text_where_rows_are_partitioned_is_no_key_to_compare() -> None:
    fields = [{"name": "id", "logicalType": "integer"}]
    sections = {"key": ["id"], "schema": {"fields": fields}, "checks": [{"check": "unique"}]}
    with pytest.raises(Fatal, match="one key in two partitions"):
        run(transform(**sections), [{"id": "01"}])
    assert run(transform(**sections, partitions=1), [{"id": "01"}, {"id": "1"}]).rejected.keys() == {1}


def test_a_column_that_is_not_published_stops_the_dataset() -> None:
    with pytest.raises(Fatal, match="no such column is published"):
        run(transform(partitions=1, checks=[{"check": "unique", "columns": ["nowhere"]}]), [{"id": 1}])

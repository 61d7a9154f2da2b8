"""Which rows wait for a decision, which were decided about, and which are left out."""

import math
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from headrace.contract import Contract
from headrace.contract.odcs import from_odcs, to_odcs
from headrace.errors import Fatal
from headrace.stream import columns
from headrace.stream.ledger import fates
from headrace.stream.overrides import SKIPPED, Act, Decisions, Override
from headrace.stream.stage import Outcome
from headrace.transform.engine import Engine
from headrace.transform.isolate import TooCostly
from headrace.transform.skipping import Skipping
from headrace.transform.stage import Transform
from tests.unit.transform.staged import Row, contract, run, staged, transform

NAME = "shop.orders"
AT = datetime(2026, 1, 2, tzinfo=UTC)
CHECKS: list[dict[str, Any]] = [
    {"name": "huge", "check": "between", "column": "a", "max": 10, "severity": "hold"},
    {"name": "known", "check": "not_null", "column": "b"},
]
ROWS: list[Row] = [{"a": 1, "b": 1}, {"a": 99, "b": None}, {"a": 50, "b": 1}, {"a": 2, "b": 1}, {"a": 60, "b": 1}]


def decided(act: Act, first: int, last: int, rule: str = "huge", partition: int = 3) -> Override:
    return Override(NAME, act, AT, "ann", "why", partition, first, last, "" if act == "skip" else rule)


def outcome(*overrides: Override, checks: list[dict[str, Any]] = CHECKS, rows: list[Row] = ROWS) -> Outcome:
    decisions = Decisions.about(NAME, overrides)
    made = contract(checks=checks, partitions=1)
    return Skipping(Transform(Engine(), made, 1, decisions=decisions), decisions)(staged(rows))


def test_the_first_row_that_nobody_decided_about_waits_unless_another_check_sets_it_aside() -> None:
    held = outcome().held
    assert held is not None
    assert (held.row, held.rule, held.reason, held.detail) == (
        2,
        "huge",
        "check_between",
        "a is 50, expected at most 10",
    )
    held = outcome(decided("pass", 102, 102)).held
    assert held is not None
    assert held.row == 4


def test_rows_that_were_decided_about_go_on_with_a_flag_or_are_set_aside_with_the_decision() -> None:
    found = outcome(decided("pass", 100, 103), decided("quarantine", 104, 104))
    assert found.held is None
    fates(len(ROWS), found)
    [emitted] = found.emitted
    assert emitted.rows is not None
    assert emitted.row.to_pylist() == [0, 2, 3]
    assert emitted.rows.column(columns.FLAGS).to_pylist() == [[], ["huge"], []]
    details = {each.row: each.detail for each in found.rejected}
    assert details[4] == "a is 60, expected at most 10; set aside by ann at 2026-01-02T00:00:00+00:00 because: why"
    assert set(details) == {1, 4}


def test_a_decision_is_about_its_check_its_partition_and_its_rows_and_the_last_one_counts() -> None:
    for other in (
        decided("pass", 100, 104, "known"),
        decided("pass", 100, 104, partition=2),
        decided("pass", 103, 104),
    ):
        held = outcome(other).held
        assert held is not None
        assert held.row == 2
    found = outcome(decided("pass", 100, 104), decided("quarantine", 102, 102))
    assert {each.row for each in found.rejected} == {1, 2}


def test_a_repeat_can_be_held() -> None:
    checks = [{"name": "once", "check": "unique", "columns": ["b"], "severity": "hold"}]
    rows: list[Row] = [{"b": 1}, {"b": 1}, {"b": 2}, {"b": 2}]
    held = outcome(checks=checks, rows=rows).held
    assert held is not None
    assert (held.row, held.reason) == (1, "check_unique")
    found = outcome(
        decided("pass", 101, 101, "once"), decided("quarantine", 103, 103, "once"), checks=checks, rows=rows
    )
    [emitted] = found.emitted
    assert emitted.rows is not None
    assert emitted.rows.column(columns.FLAGS).to_pylist() == [[], ["once"], []]
    assert [each.row for each in found.rejected] == [3]


def test_rows_that_are_skipped_are_left_out_before_anything_is_made_of_them() -> None:
    found = outcome(decided("skip", 101, 102), decided("pass", 104, 104))
    fates(len(ROWS), found)
    assert {rule: rows.to_pylist() for rule, rows in found.filtered.items()} == {SKIPPED: [1, 2]}
    assert found.emitted[0].row.to_pylist() == [0, 3, 4]
    assert outcome(decided("skip", 0, 999)).emitted == ()
    assert outcome(decided("skip", 101, 101)).held.row == 2  # type: ignore[union-attr]


def test_rows_that_no_schema_fits_can_be_skipped() -> None:
    decisions = Decisions((decided("skip", 200, 300),))
    stage = Skipping(Transform(Engine(), contract(), 1, decisions=decisions), decisions)
    stage(staged([{"a": 1}]))
    assert SKIPPED in stage(staged(pa.RecordBatch.from_pylist([{"a": [1]}]), 200)).filtered


def test_where_nobody_can_be_asked_it_rejects() -> None:
    assert run(transform(checks=CHECKS), ROWS).rejected.keys() == {1, 2, 4}


def test_a_pin_and_its_end_are_one_matter_and_no_decision_about_rows() -> None:
    pinned, undone = (Override(NAME, act, AT, "ann", "why") for act in ("pin", "unpin"))
    assert pinned.key == undone.key == "shop.orders/pin"
    assert Decisions.about(NAME, [pinned]) == Decisions()
    assert Override.of({**pinned.record(), "of_a_later_version": 1}) == pinned


def test_the_severity_survives_the_open_data_contract_standard() -> None:
    before: Contract = contract(checks=CHECKS)
    assert [check.severity for check in from_odcs(to_odcs(before)).checks] == ["hold", "reject"]


class Refusing(Engine):
    """Takes too long where it is asked what a row has that breaks a check."""

    def query(self, sql: str, rows: pa.RecordBatch, most_s: float = math.inf) -> pa.RecordBatch:
        if sql.startswith("SELECT left("):
            raise TooCostly("the SQL takes longer than 10 s", 10.0)
        return super().query(sql, rows, most_s)


def test_where_a_held_row_cannot_be_shown_the_dataset_stops_and_says_where() -> None:
    stage = Transform(Refusing(), contract(checks=CHECKS), 1, decisions=Decisions())
    with pytest.raises(Fatal, match=r"longer than 10 s; it was at .* partition 3, offsets 100 to 104"):
        stage(staged(ROWS))

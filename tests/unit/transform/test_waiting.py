"""A row whose parent is not there waits, if it breaks no other rule; and it is asked for by its whole value."""

from typing import Any

import pyarrow as pa

from headrace.stream.ledger import fates
from headrace.stream.stage import Outcome
from headrace.transform.reference import create
from headrace.transform.stage import Transform
from tests.unit.transform.staged import staged, transform

WAITING: dict[str, Any] = {
    "check": "references",
    "column": "code",
    "dataset": "shop.codes",
    "to": "code",
    "wait": "10m",
}


def stage(*checks: dict[str, Any], **sections: Any) -> Transform:
    made = transform(checks=list(checks), **sections)
    made._engine.load((create("ref_shop__codes"), pa.RecordBatch.from_pylist([{"code": "a"}])))
    return made


def outcome_of(made: Transform, *rows: dict[str, Any]) -> Outcome:
    outcome = made(staged(list(rows)))
    fates(len(rows), outcome)  # refuses one that does not account for every row
    return outcome


def test_a_row_without_its_parent_waits_and_the_others_go_on() -> None:
    long = "x" * 300
    outcome = outcome_of(stage(WAITING), *({"code": code} for code in ("a", "b", None, long)))
    assert outcome.emitted[0].row.to_numpy().tolist() == [0, 2]
    assert not outcome.rejected
    first, second = outcome.parked
    assert (first.row, first.rule, first.column, first.wait_s) == (1, "references_code", "code", 600)
    assert (first.dataset, first.to, first.wanted) == ("shop.codes", "code", "b")
    assert first.detail == "code is 'b', expected a code known to shop.codes"
    assert second.wanted == long


def test_without_wait_it_is_rejected_at_once() -> None:
    """The control: nothing has changed for files that do not ask for it."""
    outcome = outcome_of(stage({**WAITING, "wait": None}), {"code": "b"})
    assert [each.reason for each in outcome.rejected] == ["check_references"]
    assert not outcome.parked


def test_a_row_that_is_wrong_anyway_does_not_wait() -> None:
    limit = {"check": "between", "column": "n", "max": 9}
    outcome = outcome_of(stage(WAITING, limit), {"code": "b", "n": 10}, {"code": "b", "n": 9})
    assert [(each.row, each.rule) for each in outcome.rejected] == [(0, "between_n")]
    assert [each.row for each in outcome.parked] == [1]


def test_a_row_that_became_several_waits_whole_unless_one_of_them_is_rejected() -> None:
    sql = "SELECT unnest(codes) AS code FROM input"
    limit = {"check": "length", "column": "code", "max": 2}
    made = stage(WAITING, limit, transform={"sql": sql})
    outcome = outcome_of(made, {"codes": ["a", "b"]}, {"codes": ["b", "ccc"]}, {"codes": ["a", "a"]})
    assert [each.row for each in outcome.parked] == [0]
    assert [each.row for each in outcome.rejected] == [1]
    assert outcome.emitted[0].row.to_numpy().tolist() == [2, 2]


def test_a_row_waits_for_one_parent_after_the_other() -> None:
    made = stage(WAITING, {**WAITING, "column": "other", "wait": "1h"})
    outcome = outcome_of(made, {"code": "b", "other": "c"}, {"code": "a", "other": "c"})
    assert [(each.rule, each.wanted, each.wait_s) for each in outcome.parked] == [
        ("references_code", "b", 600),
        ("references_other", "c", 3600),
    ]

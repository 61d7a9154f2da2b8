"""What another version would make of rows is what it makes of them: fates, flags and values, beside those of the live one."""

from typing import Any

import pyarrow as pa
import pytest

from headrace.errors import Fatal
from headrace.transform.back_test import BackTest
from headrace.transform.engine import Engine
from headrace.transform.reference import create
from tests.unit.transform.staged import Row, staged, transform

ROWS: list[Row] = [
    {"id": 1, "amount": 10.0, "status": "new", "tags": ["a", "b"]},
    {"id": 2, "amount": -1.0, "status": "new", "tags": ["a"]},
    {"id": 3, "amount": 30.0, "status": "paid", "tags": None},
    {"id": 4, "amount": None, "status": "lost", "tags": ["c"]},
]
POSITIVE = {"check": "between", "column": "amount", "min": 0}


def of_versions(
    before: dict[str, Any], after: dict[str, Any], rows: list[Row] = ROWS, parts: int = 1
) -> dict[str, Any]:
    test = BackTest(transform(**before), transform(**after), Engine())
    size = len(rows) // parts
    for part in range(parts):
        test.add(staged(pa.RecordBatch.from_pylist(rows[part * size : (part + 1) * size]), 100 + part * size))
    return test.report()


def fates(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {f"{each['fate']} {each['rule']}".strip(): (each["before"], each["after"]) for each in report["fates"]}


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_rows_that_a_new_check_rejects_are_counted_and_shown(parts: int) -> None:
    report = of_versions({}, {"checks": [POSITIVE]}, parts=parts)
    assert report["rows"] == 4
    assert fates(report) == {"loaded": (4, 3), "quarantined between_amount": (0, 1)}
    [move] = report["moves"]
    assert (move["before"]["fate"], move["after"], move["rows"]) == (
        "loaded",
        {"fate": "quarantined", "rule": "between_amount"},
        1,
    )
    [sample] = move["samples"]
    assert (sample["partition"], sample["offset"], sample["before"]) == (3, 101, "loaded")
    assert sample["after"] == "amount is -1.0, expected at least 0"
    assert '"id": 2' in sample["row"]
    assert report["columns"] == []


def test_rows_that_go_on_again_and_rows_that_are_filtered_now_are_moves() -> None:
    report = of_versions(
        {"checks": [POSITIVE]}, {"transform": {"sql": "SELECT * FROM input WHERE status != 'lost'"}}, parts=1
    )
    moves = {(each["before"]["rule"], each["after"]["rule"]): each["rows"] for each in report["moves"]}
    assert moves == {("between_amount", ""): 1, ("", "status <> 'lost'"): 1}


def test_the_same_file_changes_nothing() -> None:
    """The control: nothing is found where there is nothing, nulls, lists and not-a-numbers included."""
    odd = [{**row, "odd": value} for row, value in zip(ROWS, [float("nan"), None, 0.0, -0.0], strict=True)]
    report = of_versions({"checks": [POSITIVE]}, {"checks": [POSITIVE]}, odd)
    assert (report["moves"], report["columns"], report["compared"]) == ([], [], 3)
    assert (report["columns_added"], report["columns_removed"]) == ([], [])


def test_values_that_change_are_counted_by_column() -> None:
    before = {"transform": {"sql": "SELECT id, amount, status, tags, 1 AS gone FROM input"}}
    after = {
        "transform": {
            "sql": "SELECT id, coalesce(amount, 0) AS amount, status, list_reverse(tags) AS tags, 2 AS come FROM input"
        }
    }
    report = of_versions(before, after)
    assert report["compared"] == 4
    found = {each["column"]: (each["rows"], each["samples"]) for each in report["columns"]}
    assert {name: rows for name, (rows, _) in found.items()} == {"amount": 1, "tags": 1}
    [sample] = found["amount"][1]
    assert (sample["offset"], sample["before"], sample["after"]) == (103, "null", "0.0")
    assert (report["columns_added"], report["columns_removed"]) == (["come"], ["gone"])


def test_values_of_two_types_are_compared_as_text() -> None:
    before = {"transform": {"sql": "SELECT id FROM input"}}
    after = {"transform": {"sql": "SELECT id::VARCHAR || CASE WHEN id = 4 THEN 'x' ELSE '' END AS id FROM input"}}
    [column] = of_versions(before, after)["columns"]
    assert (column["rows"], column["samples"][0]["after"]) == (1, '"4x"')


def test_rows_that_became_several_are_compared_one_with_one() -> None:
    before = {"transform": {"sql": "SELECT id, unnest(tags) AS tag FROM input"}}
    after = {"transform": {"sql": "SELECT id, upper(unnest(tags)) AS tag FROM input WHERE id != 2"}}
    report = of_versions(before, after)
    assert report["compared"] == 3  # two of the first row, one of the last
    assert [(each["column"], each["rows"]) for each in report["columns"]] == [("tag", 3)]


def test_flags_are_counted() -> None:
    flagged = {**POSITIVE, "severity": "flag"}
    report = of_versions({}, {"checks": [flagged]})
    assert report["flags"] == [{"flag": "between_amount", "before": 0, "after": 1}]
    assert report["moves"] == []


def test_samples_are_few() -> None:
    rows = [{"id": at, "amount": -1.0} for at in range(100)]
    [move] = of_versions({}, {"checks": [POSITIVE]}, rows, parts=10)["moves"]
    assert (move["rows"], len(move["samples"])) == (100, 5)


def test_sql_that_fits_no_row_is_said() -> None:
    with pytest.raises(Fatal, match="amuont"):
        of_versions({}, {"transform": {"sql": "SELECT amuont FROM input"}})


def test_numbers_of_two_types_are_compared_by_what_they_are_worth() -> None:
    before = {"transform": {"sql": "SELECT id FROM input"}}
    after = {"transform": {"sql": "SELECT CASE WHEN id = 2 THEN 2.5 ELSE id END::DECIMAL(10, 2) AS id FROM input"}}
    [column] = of_versions(before, after)["columns"]
    assert (column["rows"], column["samples"][0]["before"], column["samples"][0]["after"]) == (1, "2", '"2.50"')


def test_more_or_fewer_rows_of_one_are_counted() -> None:
    before = {"transform": {"sql": "SELECT id, unnest(tags) AS tag FROM input"}}
    after = {"transform": {"sql": "SELECT id, unnest(list_concat(tags, ['z'])) AS tag FROM input"}}
    report = of_versions(before, after)
    assert report["published"] == {"before": 4, "after": 8}


def test_a_row_that_fails_another_condition_is_no_move() -> None:
    before = {"transform": {"sql": "SELECT id FROM input WHERE id > 2"}}
    after = {"transform": {"sql": "SELECT id FROM input WHERE id > 3"}}
    report = of_versions(before, after)
    assert [(each["before"]["fate"], each["rows"]) for each in report["moves"]] == [("loaded", 1)]


def test_values_that_python_cannot_hold_are_shown_all_the_same() -> None:
    late = pa.array([4 * 10**17, 0], pa.timestamp("us"))
    test = BackTest(
        transform(), transform(transform={"sql": "SELECT at + INTERVAL 1 DAY AS at FROM input WHERE id = 1"}), Engine()
    )
    test.add(staged(pa.RecordBatch.from_arrays([pa.array([1, 2]), late], names=["id", "at"])))
    [column] = test.report()["columns"]
    assert (column["column"], column["rows"]) == ("at", 1)


def test_rows_that_would_wait_for_their_parents_are_counted_as_such() -> None:
    check = {"check": "references", "column": "status", "dataset": "shop.codes", "to": "code"}
    at_once, later = (transform(checks=[{**check, "wait": wait}]) for wait in (None, "10m"))
    for stage in (at_once, later):
        stage._engine.load((create("ref_shop__codes"), pa.RecordBatch.from_pylist([{"code": "lost"}])))
    test = BackTest(at_once, later, Engine())
    test.add(staged([{"status": "lost"}, {"status": "new"}]))
    report = test.report()
    assert fates(report) == {
        "loaded": (1, 1),
        "quarantined references_status": (1, 0),
        "parked references_status": (0, 1),
    }
    [sample] = report["moves"][0]["samples"]
    assert sample["after"] == "status is 'new', expected a code known to shop.codes"

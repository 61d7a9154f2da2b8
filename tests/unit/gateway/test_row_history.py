"""What was ever done to a quarantined row is told in order, once each."""

from typing import Any, cast

import pytest

from services.gateway.adapters.published_rows import PublishedRows
from services.gateway.adapters.quarantine import Quarantine
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.row_history import history
from services.gateway.row_histories import RowHistories

AT = "2026-01-02T03:04:0{}+00:00"


def row(row_id: str, at: int, state: str = "open") -> dict[str, Any]:
    return {
        "id": row_id, "quarantined_at": AT.format(at), "stage": "transformer", "version": 3, "reason": "check_in",
        "rule": "known", "detail": "not known", "state": state, "acted_at": AT.format(at + 1), "acted_by": "ada",
        "because": "mended", "edit": "{}",
    }  # fmt: skip


def act(of: str, what: str, at: int, **more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("acted_by", "because", "edit", "detail", "assigned_to"))
    return {"act": what, "act_on": of, "at": AT.format(at), **nothing, **more}


def test_rows_follow_each_other_and_end_where_the_last_was_loaded() -> None:
    acts = [
        act("0-1", "assigned", 1, assigned_to="ada"), act("0-1", "resubmitted", 2, edit="{}"), act("0-1", "refused", 2),
        act("0-9", "resubmitted", 5),
    ]  # fmt: skip
    rows = [row("0-1", 0, "resubmitted"), row("0-9", 4, "resubmitted")]
    found = history(rows, acts, {"0-9": ["0:4711"]})
    assert [(each.row, each.act) for each in found] == [
        ("0-1", "quarantined"), ("0-1", "assigned"), ("0-1", "resubmitted"), ("0-1", "refused"),
        ("0-9", "quarantined"), ("0-9", "resubmitted"), ("0-9", "loaded"),
    ]  # fmt: skip
    assert [each.edit for each in found if each.act == "resubmitted"] == ["{}", None]
    assert found[-1].became == "0:4711"


def test_what_was_done_where_another_generation_set_it_aside_is_told_too() -> None:
    [_, done] = history([row("0-1", 0, "discarded")], [], {})
    assert (done.act, done.by, done.because) == ("discarded", "ada", "mended")
    assert len(history([row("0-1", 0, "discarded")], [act("0-1", "discarded", 1)], {})) == 2  # the control: not twice
    assert len(history([row("0-1", 0)], [], {})) == 1


class Table:
    """A quarantine table with one row, and with nothing that was done."""

    name = "d.t"

    def get(self, dataset: str, place: tuple[int, int]) -> dict[str, Any] | None:
        return row("0-1", 0) | {"fields": None, "raw_offset": None} if place == (0, 1) else None

    def acts(self, dataset: str, ids: list[str]) -> list[dict[str, Any]]:
        return []


@pytest.mark.parametrize(
    ("raw_offset", "was", "rows"),
    [(7, "0-1", ["0-1", "0-9"]), (None, "0-1", ["0-9"]), (7, "x", ["0-9"]), (7, 3, ["0-9"]), (7, "0-2", ["0-9"])],
)
def test_what_a_row_was_is_told_by_its_raw_record_and_by_nothing_a_source_says(
    raw_offset: int | None, was: object, rows: list[str]
) -> None:
    table = Table()
    histories = RowHistories(cast(Quarantine, table), cast(PublishedRows, table))
    asked = row("0-9", 3) | {"fields": {"_quarantine_id": was}, "raw_offset": raw_offset}
    assert [act.row for act in histories.of(cast(DatasetVersion, table), asked)] == rows

"""What values are likely of, and what each choice about a column that drifts changes in the file."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient

from headrace.access.policy import EVERYTHING
from headrace.contract import Contract, Decision, FileEdit
from services.gateway.adapters.dataset_log import DatasetLog
from services.gateway.adapters.http.datasets import make_live
from services.gateway.adapters.http.problems import ProblemError
from services.gateway.adapters.quarantine import Quarantine
from services.gateway.bootstrap import serve
from services.gateway.core.datasets import DatasetVersion, propose
from services.gateway.core.drift import MISFIT, UNKNOWN, Choice, Drift, Impossible, edit_for, likely_type
from services.gateway.gateway import Gateway
from tests.unit.gateway.catalogs import calling, fold, somebody

FILE = """
dataset: shop.orders
description: Orders.
owner: {team: shop}
source: {type: http_push}
"""

LIKELY: list[tuple[list[Any], str]] = [
    ([], "string"),
    ([None, ""], "string"),
    ([True, False], "boolean"),
    ([1, 2, None], "integer"),
    ([1, 2.5], "number"),
    ([True, 1], "string"),
    ([{"a": 1}], "object"),
    ([1, [2]], "object"),
    (["1", " 2 "], "integer"),
    (["007"], "string"),
    (["1", "2.5"], "number"),
    (["99999999999999999999"], "number"),
    (["true", "False"], "boolean"),
    (["2026-01-31"], "date"),
    (["2026-01-31T10:00:00Z", "2026-01-31 10:00"], "timestamp"),
    (["1", "x"], "string"),
    (["1", "-"], "string"),  # what some write for no value
    (["1", "."], "string"),
    (["1", " "], "string"),
    (["1", ".5", "-1e3"], "number"),
    ([1, "x"], "string"),
]


@pytest.mark.parametrize(("values", "kind"), LIKELY, ids=range(len(LIKELY)))
def test_the_likely_type_holds_every_value(values: list[Any], kind: str) -> None:
    assert likely_type(values) == kind


def drift(reason: str) -> Drift:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Drift("price", reason, 3, now, now, "0-1", "push")


def contract(**more: Any) -> Contract:
    minimal = {"dataset": "a.b", "description": "d", "owner": {"team": "t"}, "source": {"type": "http_push"}}
    return Contract.model_validate({**minimal, **more})


CHOICES: list[tuple[str, Choice, FileEdit | None]] = [
    (UNKNOWN, Choice("accept"), FileEdit("price", type="number", publish=("price", "number"))),
    (UNKNOWN, Choice("accept", type="string"), FileEdit("price", type="string", publish=("price", "string"))),
    (MISFIT, Choice("accept"), FileEdit("price", Decision(keep_as="price_text"), publish=("price_text", "string"))),
    (MISFIT, Choice("accept", to="x"), FileEdit("price", Decision(keep_as="x"), publish=("x", "string"))),
    (UNKNOWN, Choice("map", to="cost"), FileEdit("price", Decision(rename_to="cost"))),
    (MISFIT, Choice("cast", expression="1"), FileEdit("price", Decision(cast="1"))),
    (UNKNOWN, Choice("leave-out"), FileEdit("price", Decision(leave_out=True))),
    (MISFIT, Choice("leave-out"), FileEdit("price", Decision(leave_out=True))),
    (UNKNOWN, Choice("reject"), None),
]


@pytest.mark.parametrize(("reason", "choice", "edit"), CHOICES)
def test_a_choice_changes_the_file(reason: str, choice: Choice, edit: FileEdit | None) -> None:
    assert edit_for(contract(), drift(reason), choice, "number", ["price"]) == edit


@pytest.mark.parametrize(
    ("reason", "choice"),
    [
        (MISFIT, Choice("map", to="cost")),
        (UNKNOWN, Choice("map")),
        (UNKNOWN, Choice("cast", expression="1")),
        (MISFIT, Choice("cast")),
    ],
)
def test_what_does_not_go_with_the_drift_is_refused(reason: str, choice: Choice) -> None:
    with pytest.raises(Impossible, match="price"):
        edit_for(contract(), drift(reason), choice, "number", ["price"])


def test_a_column_that_the_sql_does_not_pass_on_is_not_published() -> None:
    found = edit_for(
        contract(transform={"sql": "SELECT id FROM input"}), drift(UNKNOWN), Choice("accept"), "number", []
    )
    assert found == FileEdit("price", type="number")


ACCEPTED = {"source": {"type": "http_push", "columns": {"price": "integer"}}}
LATER: list[tuple[Choice, FileEdit]] = [
    (Choice("cast", expression="1"), FileEdit("price", Decision(cast="1"))),
    (Choice("accept", to="x"), FileEdit("price", Decision(keep_as="x"), publish=("x", "string"))),
    (Choice("accept"), FileEdit("price", type="integer", publish=("price", "integer"))),
]


@pytest.mark.parametrize(("choice", "edit"), LATER)
def test_a_row_that_was_set_aside_for_a_new_column_may_not_fit_what_that_was_accepted_as(
    choice: Choice, edit: FileEdit
) -> None:
    """Rows that came on the way do not change the type either, whatever theirs is likely to be."""
    assert edit_for(contract(**ACCEPTED), drift(UNKNOWN), choice, "string", []) == edit


def test_an_accepted_column_is_none_that_is_new() -> None:
    with pytest.raises(Impossible, match="column already"):
        edit_for(contract(**ACCEPTED), drift(UNKNOWN), Choice("map", to="cost"), "string", [])


class Meanwhile:
    """A log in which another version is live than the gateway has heard of."""

    def __init__(self, live: DatasetVersion) -> None:
        self.live = live

    def append(self, decide: Callable[[Mapping[str, DatasetVersion]], DatasetVersion | None]) -> None:
        decide({self.live.name: self.live})


def test_a_decision_takes_back_no_other_that_was_made_at_the_same_time(lonely: Gateway) -> None:
    first, edited = contract(), contract(source={"type": "http_push", "drift": {"note": {"leave_out": True}}})
    live = propose(first, {}).successor(datetime(2026, 1, 1, tzinfo=UTC), "ada")
    later = propose(edited, {live.name: live}).successor(live.applied_at, "ben")
    gateway = replace(lonely, dataset_log=cast(DatasetLog, Meanwhile(later)))
    mine = contract(source={"type": "http_push", "drift": {"cost": {"rename_to": "price"}}})
    with pytest.raises(ProblemError, match="not live any more"):
        make_live(gateway, mine, "ada", skip_tests=None, over=live.version)


class Held:
    """A quarantine with one row, which drifted."""

    def drifts(self, _: str) -> list[Drift]:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return [Drift("cost", UNKNOWN, 1, at, at, "0-1", None)]

    def every(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return [{"fields": '{"cost": "secret"}', "value": None}]


def test_values_that_drifted_are_shown_to_who_sees_all_of_the_dataset(lonely: Gateway) -> None:
    fold(lonely, FILE)
    client = TestClient(serve(replace(lonely, quarantine=cast(Quarantine, Held()))))
    shown = {}
    for role in ("viewer", "analyst"):
        with calling(client, somebody((role, EVERYTHING))):
            (item,) = client.get("/api/v1/datasets/shop.orders/drift").json()["items"]
        shown[role] = (item["examples"], item["rows"])
    assert shown == {"viewer": ([], 1), "analyst": (["secret"], 1)}

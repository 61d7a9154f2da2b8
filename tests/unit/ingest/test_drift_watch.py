"""A column that drifts is told of once, and is over when a version says what becomes of it."""

from collections.abc import Mapping
from typing import Any

from headrace.connector import SourceRow
from headrace.contract import Contract
from headrace.stream.service import LiveDataset
from services.ingest.adapters.drift_watch import DriftWatch


class Told:
    """Takes what would be published."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def incident(self, kind: str, dataset: str | None, message: str, data: Mapping[str, Any], about: str = "") -> None:
        assert (kind, dataset) == ("schema_drift", "a.b")
        assert data["first"] in message
        self.said.append(("open", about))

    def resolved(self, kind: str, dataset: str | None, message: str, about: str = "") -> None:
        assert (kind, dataset) == ("schema_drift", "a.b")
        self.said.append(("resolved", about))


def watch(told: Told, **source: Any) -> DriftWatch:
    minimal = {"dataset": "a.b", "description": "d", "owner": {"team": "t"}}
    contract = Contract.model_validate({**minimal, "source": {"type": "http_push", **source}})
    return DriftWatch(LiveDataset("a.b", 2, 1, "active", contract), told)  # type: ignore[arg-type]


def row(column: str | None, reason: str) -> SourceRow:
    return SourceRow(b"{}", reason, "a detail", "f.csv:7", column)


def test_it_is_told_once_of_each_column() -> None:
    told = Told()
    watching = watch(told)
    for _ in range(2):
        watching.saw([row("a", "wrong_type"), row("b", "unknown_field"), row("a", "wrong_type")])
    watching.saw([row(None, "unreadable_row"), row("c", "too_large")])
    assert told.said == [("open", "a"), ("open", "b")]


def test_it_is_over_when_a_version_says_what_becomes_of_it() -> None:
    told = Told()
    watching = watch(told, drift={"a": {"leave_out": True}}, columns={"b": "integer"})
    watching.saw([])
    watching.saw([row("b", "wrong_type")])
    assert sorted(told.said[:2]) == [("resolved", "a"), ("resolved", "b")]
    assert told.said[2:] == [("open", "b")]

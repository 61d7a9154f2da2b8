"""Puts in order what was ever done to a quarantined row: to itself, to what it was before, and to what it became."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

_DONE: Final = frozenset({"resubmitted", "discarded"})


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happened to a row: quarantined, assigned, unassigned, refused, resubmitted, discarded or loaded.

    `row` is the quarantined row that it happened to. `stage` is that which set it aside, or brought it into the warehouse;
    `detail` says why it was set aside or refused. `became` is the raw record as which it was loaded. When it was loaded is not
    kept (`at` is None).
    """

    act: str
    row: str
    at: datetime | None = None
    by: str | None = None
    because: str | None = None
    edit: str | None = None
    assigned_to: str | None = None
    stage: str | None = None
    version: int | None = None
    reason: str | None = None
    rule: str | None = None
    detail: str | None = None
    became: str | None = None


def history(
    rows: Sequence[Mapping[str, Any]], acts: Iterable[Mapping[str, Any]], loaded: Mapping[str, Sequence[str]]
) -> list[Act]:
    """What happened, in order. `rows` are the quarantined rows that one was, one after the other; `acts` what the quarantine
    table has about them in the order of time; `loaded` the raw records as which each was loaded.
    """
    by_row: dict[str, list[Mapping[str, Any]]] = {}
    for act in acts:
        by_row.setdefault(act["act_on"], []).append(act)
    return [act for row in rows for act in _of(row, by_row.get(row["id"], ()), loaded.get(row["id"], ()))]


def _of(row: Mapping[str, Any], acts: Sequence[Mapping[str, Any]], loaded: Sequence[str]) -> Iterator[Act]:
    yield Act(
        "quarantined",
        row["id"],
        _moment(row["quarantined_at"]),
        stage=row["stage"],
        version=row["version"],
        reason=row["reason"],
        rule=row["rule"],
        detail=row["detail"],
    )
    for act in acts:
        yield Act(
            act["act"],
            row["id"],
            _moment(act["at"]),
            act["acted_by"],
            act["because"],
            act["edit"] if act["act"] == "resubmitted" else None,
            act["assigned_to"],
            detail=act["detail"] or None,
        )
    # What was done to the same record where another generation had set it aside was done to it as well.
    if row["state"] in _DONE and all(act["act"] != row["state"] for act in acts):
        yield Act(row["state"], row["id"], _moment(row["acted_at"]), row["acted_by"], row["because"], row["edit"])
    for place in loaded:
        yield Act("loaded", row["id"], stage="loader", became=place)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

"""Puts what would become of rows together, by fate and reason."""

from collections.abc import Iterable, Mapping
from typing import Any


def grouped(verdicts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts by fate and reason with their number, the most first; each with one row and what was said of it."""
    groups: dict[tuple[str, str | None], dict[str, Any]] = {}
    for each in verdicts:
        first = {name: each[name] for name in ("fate", "reason", "detail")} | {"rows": 0, "example": each["row"]}
        groups.setdefault((each["fate"], each["reason"]), first)["rows"] += 1
    return sorted(groups.values(), key=lambda group: (-group["rows"], group["fate"], group["reason"] or ""))

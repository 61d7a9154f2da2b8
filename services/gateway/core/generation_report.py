"""Decides what is told of two generations that were compared."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from services.gateway.core.generation_diff import Comparison
from services.gateway.core.generation_fold import Differences, Sums


def report(
    comparison: Comparison,
    bound: Mapping[int, int] | None,
    reached: Sequence[Mapping[int, int]],
    seen: Sequence[int],
    sums: Sums,
    found: Differences,
) -> dict[str, Any]:
    """What differs, but for samples and rows that were set aside. `seen` are the rows that readers see of each side."""
    rows = sums.rows(0), sums.rows(1)
    upto = bound or {}
    partitions = sorted(reached[0].keys() | reached[1].keys())
    return {
        **{
            name: {
                "generation": side.generation,
                "version": side.version,
                "rows": rows[at],
                "left_out": max(seen[at] - rows[at], 0),
            }
            for at, (name, side) in enumerate(zip(("before", "after"), comparison.sides, strict=True))
        },
        **{
            f"ingested_{end}": None if at is None else at.isoformat()
            for end, at in zip(("from", "to"), comparison.ingested, strict=True)
        },
        "matched_by": comparison.by,
        "key": [pair.name for pair in comparison.matched],
        "upto": [
            {
                "partition": at,
                "offset": upto[at] if upto.get(at, -1) >= 0 else None,
                "reached_before": reached[0].get(at),
                "reached_after": reached[1].get(at),
            }
            for at in partitions
        ],
        "added": found.added,
        "removed": found.removed,
        "changed": found.changed,
        "added_quarantined_before": found.added_aside,
        "removed_quarantined_after": found.removed_aside,
        "columns": [
            {
                "column": pair.name,
                "rows": found.columns.get(pair.name, 0),
                "type_before": pair.before.type,
                "type_after": pair.after.type,
                "compared_by": pair.by,
            }
            for pair in comparison.compared
        ],
        "columns_added": list(comparison.added),
        "columns_removed": list(comparison.removed),
        "sums": [
            {
                "column": pair.name,
                "before": plain(sums.numbers[pair.name][0]),
                "after": plain(sums.numbers[pair.name][1]),
                "exact": pair.before.exact and pair.after.exact,
            }
            for pair in comparison.sums
            if pair.name in sums.numbers
        ],
    }


def plain(value: Decimal) -> str:
    """A number with all its digits, and no zeros behind the last."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def by_rule(before: Mapping[str, int], after: Mapping[str, int]) -> list[dict[str, Any]]:
    """Rows that each side filtered, by rule."""
    rules = sorted(before.keys() | after.keys())
    return [{"rule": rule, "before": before.get(rule, 0), "after": after.get(rule, 0)} for rule in rules]


def by_cause(rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows that each side set aside, by cause: an answer to `generation_queries.aside`."""
    names = ("stage", "reason", "rule", "column", "before", "after")
    return [dict(zip(names, row, strict=True)) for row in rows]

"""Whether what became of the rows of a test is what the test expects."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.contract.transform_tests import Count, CountRange
from headrace.transform.compare import Difference, Row, shown

_MOST_TOLD: Final = 3


@dataclass(frozen=True, slots=True)
class Fates:
    """What became of the given rows: the published rows, and of the others the rule that set them aside or left them out.

    `rejected` holds (given row from 1, rule, why), `filtered` counts by condition, `flagged` by check.
    """

    published: Sequence[Row]
    rejected: Sequence[tuple[int, str, str]]
    filtered: Mapping[str, int]
    flagged: Mapping[str, int]


def row_count(asked: Count | CountRange | None, found: int) -> Iterator[Difference]:
    """Whether as many rows are published as expected."""
    if isinstance(asked, CountRange):
        if found < asked.min or (asked.max is not None and found > asked.max):
            most = "" if asked.max is None else f" and at most {asked.max}"
            yield Difference("count", "published rows", f"at least {asked.min}{most}", str(found))
    elif asked is not None and asked != found:
        yield Difference("count", "published rows", str(asked), str(found))


def counts(fates: Fates, rejected: Any, filtered: Any, flagged: Any) -> Iterator[Difference]:
    """Whether as many rows were set aside, left out and flagged as expected; None asks for nothing."""
    by_rule = Counter(rule for _, rule, _ in fates.rejected)
    why = [f"given row {row}: {detail}" for row, _, detail in fates.rejected]
    yield from _count("rejected rows", rejected, by_rule, why)
    yield from _count("filtered rows", filtered, fates.filtered, ())
    yield from _count("flags", flagged, fates.flagged, ())


def _count(
    what: str, asked: int | Mapping[str, int] | None, found: Mapping[str, int], why: Sequence[str]
) -> Iterator[Difference]:
    if asked is None:
        return
    wanted = asked if isinstance(asked, int) else {name: n for name, n in asked.items() if n}
    got = sum(found.values()) if isinstance(asked, int) else dict(found)
    if wanted != got:
        told = "; ".join(why[:_MOST_TOLD]) + (f"; and {len(why) - _MOST_TOLD} more" if len(why) > _MOST_TOLD else "")
        by = f", {_listed(found)}" if isinstance(asked, int) and found else ""
        text = _listed(found) if not isinstance(asked, int) else f"{got}{by}"
        yield Difference("count", what, _listed(wanted), f"{text} ({told})" if told else text)


def _listed(counted: int | Mapping[str, int]) -> str:
    if isinstance(counted, int):
        return str(counted)
    return ", ".join(f"{n} by {name}" for name, n in counted.items()) or "none"


def out_of_range(column: str, low: Any, high: Any, published: Sequence[Row]) -> Iterator[Difference]:
    """The published rows whose value lies outside; None for an end that is open."""
    wanted = f"at least {shown(low)}" if high is None else f"at most {shown(high)}"
    if low is not None and high is not None:
        wanted = f"between {shown(low)} and {shown(high)}"
    for at, row in enumerate(published):
        value = row.get(column)
        if value is None or not _within(low, value, high):
            yield Difference("range", f"published row {at + 1}, {column}", wanted, shown(value), at + 1, column)


def _within(low: Any, value: Any, high: Any) -> bool:
    """Errors: ValueError when the value is of a kind that has no order, such as what JSON holds."""
    try:
        return bool((low is None or low <= value) and (high is None or value <= high))
    except TypeError as error:
        raise ValueError(f"{shown(value)} cannot be compared with {shown(high if low is None else low)}") from error

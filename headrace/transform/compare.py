"""In what published rows differ from those that a test expects, cell by cell."""

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Row = Mapping[str, Any]
_DIGITS: Final = 1e-9  # computed floating point numbers that agree in nine digits are the same


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as expected.

    `kind` is `value` for a cell, `missing` or `unexpected` for a row, `count`, `range` or `error` for anything else. `row` counts
    from 1: expected rows, for `unexpected` and `range` published ones.
    """

    kind: Literal["value", "missing", "unexpected", "count", "range", "error"]
    what: str
    expected: str
    got: str
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, got {self.got}"


def differences(expected: Sequence[Row], got: Sequence[Row], key: Sequence[str]) -> list[Difference]:
    """Where `got` is not as `expected`: only the columns that an expected row names are looked at.

    With a key that every expected row names in full, rows with the same key are compared, those of several in order; else the
    first with the first.
    """
    by_key = bool(key) and all(name in row for row in expected for name in key)
    pairs, unexpected = _paired(expected, got, key if by_key else ())
    found: list[Difference] = []
    for at, other in enumerate(pairs):
        name = _called(at, expected[at], key if by_key else ())
        if other is None:
            found.append(Difference("missing", name, shown(dict(expected[at])), "no such row", at + 1))
            continue
        for column, wanted in expected[at].items():
            if not same(wanted, got[other].get(column)):
                what = f"{name}, {column}"
                found.append(Difference("value", what, shown(wanted), shown(got[other].get(column)), at + 1, column))
    compared = dict.fromkeys(name for row in expected for name in row)
    for at in unexpected:
        row = {name: got[at].get(name) for name in (compared or got[at])}
        what = f"published row {at + 1}"
        found.append(Difference("unexpected", what, "no such row", shown(row), at + 1))
    return found


def _paired(expected: Sequence[Row], got: Sequence[Row], key: Sequence[str]) -> tuple[list[int | None], list[int]]:
    """For each expected row the index of the one to compare it with, and the indexes that are left over."""
    if not key:
        pairs = [at if at < len(got) else None for at in range(len(expected))]
        return pairs, list(range(len(expected), len(got)))
    waiting: dict[str, list[int]] = {}
    for at, row in enumerate(got):
        waiting.setdefault(_identity(row, key), []).append(at)
    found: list[int | None] = []
    for row in expected:
        same_key = waiting.get(_identity(row, key))
        found.append(same_key.pop(0) if same_key else None)
    return found, sorted(at for rest in waiting.values() for at in rest)


def _identity(row: Row, key: Sequence[str]) -> str:
    return repr([row.get(name) for name in key])


def _called(at: int, row: Row, key: Sequence[str]) -> str:
    named = ", ".join(f"{name} = {shown(row[name])}" for name in key)
    return f"row {at + 1} ({named})" if named else f"row {at + 1}"


def same(wanted: Any, got: Any) -> bool:
    """Whether two values of one type are equal: NaN is itself, and floating point numbers agree in nine digits."""
    match wanted, got:
        case float(), float():
            return (math.isnan(wanted) and math.isnan(got)) or math.isclose(wanted, got, rel_tol=_DIGITS)
        case dict(), dict():
            return wanted.keys() == got.keys() and all(same(value, got[name]) for name, value in wanted.items())
        case ((list() | tuple()), (list() | tuple())):
            return len(wanted) == len(got) and all(map(same, wanted, got))
        case _:
            return bool(wanted == got)


def shown(value: Any) -> str:
    """A value as a person reads it in a report; text stands in quotes."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'"
        case dict():
            return "{" + ", ".join(f"{name}: {shown(inner)}" for name, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(shown, value)) + "]"
        case dt.datetime():
            return value.isoformat(sep=" ").replace("+00:00", "Z")
        case dt.date() | dt.time():
            return value.isoformat()
        case bytes():
            return repr(value)
        case _:
            return str(value)


def plain(value: Any) -> Any:
    """The value of a JSON column, so that how it is spelled does not count."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value

"""Decides what the warehouse's answers about two generations add up to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any, Final, Literal

from services.gateway.core.generation_diff import Comparison, Pair
from services.gateway.core.generation_values import cut

Kind = Literal["added", "removed", "changed"]
KINDS: Final[tuple[Kind, ...]] = ("added", "removed", "changed")
_EXACT: Final = Context(prec=200)
_COUNTS: Final = 5

#: What a side holds of a bucket: rows, identities, then a sum for each compared column.
Held = tuple[int, ...]


@dataclass
class Sums:
    """What the buckets of both sides hold, and the sums of numbers."""

    comparison: Comparison
    buckets: tuple[dict[int, Held], dict[int, Held]] = field(default_factory=lambda: ({}, {}))
    numbers: dict[str, list[Decimal]] = field(default_factory=dict)

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take in an answer to `generation_queries.sums`."""
        upto = 4 + len(self.comparison.compared)
        for side, bucket, *rest in (list(row) for row in rows):
            held, sums = rest[: upto - 2], rest[upto - 2 :]
            self.buckets[side][bucket] = tuple(held)
            for pair, text in zip(self.comparison.sums, sums, strict=True):
                of_column = self.numbers.setdefault(pair.name, [Decimal(0), Decimal(0)])
                of_column[side] = _EXACT.add(of_column[side], Decimal(text))

    def rows(self, side: int) -> int:
        """The rows of a side that are compared."""
        return sum(held[0] for held in self.buckets[side].values())

    def differing(self) -> dict[int, int]:
        """The buckets in which the sides differ, each with its rows of both."""
        before, after = self.buckets
        found = {}
        for bucket in before.keys() | after.keys():
            mine, theirs = before.get(bucket), after.get(bucket)
            if mine != theirs:
                found[bucket] = (mine[0] if mine else 0) + (theirs[0] if theirs else 0)
        return found

    def pairs(self) -> list[Pair]:
        """The columns that can differ in any row."""
        before, after = self.buckets
        nothing: Held = (0,) * (2 + len(self.comparison.compared))
        suspects = set()
        for bucket in self.differing():
            mine, theirs = before.get(bucket, nothing), after.get(bucket, nothing)
            suspects |= {at for at, (one, other) in enumerate(zip(mine[2:], theirs[2:], strict=True)) if one != other}
        return [pair for at, pair in enumerate(self.comparison.compared) if at in suspects]


@dataclass(frozen=True, slots=True)
class Sampled:
    """A row that differs, by its hashes: of what it is matched by, and of what each side holds; empty where it has none."""

    kind: Kind
    match: str
    before: str
    after: str


@dataclass
class Differences:
    """Rows that differ. `columns` counts, of the changed rows, those in which each column differs."""

    pairs: Sequence[Pair]
    added: int = 0
    removed: int = 0
    changed: int = 0
    removed_aside: int = 0
    added_aside: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    samples: list[Sampled] = field(default_factory=list)

    def add(self, row: Sequence[Any], samples: int) -> None:
        """Take in an answer to `generation_queries.differing`; of each kind keep so many samples."""
        counts, lists, of_columns = row[:_COUNTS], row[_COUNTS : _COUNTS + len(KINDS)], row[_COUNTS + len(KINDS) :]
        names = ("added", "removed", "changed", "removed_aside", "added_aside")
        for name, count in zip(names, counts, strict=True):
            setattr(self, name, getattr(self, name) + int(count or 0))
        for pair, count in zip(self.pairs, of_columns, strict=True):
            self.columns[pair.name] = self.columns.get(pair.name, 0) + int(count or 0)
        for kind, found in zip(KINDS, lists, strict=True):
            have = sum(each.kind == kind for each in self.samples)
            for match, before, after in list(found)[: samples - have]:
                sides = ("" if kind == "added" else before, "" if kind == "removed" else after)
                self.samples.append(Sampled(kind, match, *sides))

    def wanted(self, side: int) -> list[tuple[str, str]]:
        """The hashes of the rows of a side that samples show."""
        found = ((each.match, each.after if side else each.before) for each in self.samples)
        return [(match, row) for match, row in found if row]


#: (hash of match, hash of row) -> the row as `generation_queries.sampled` gives it, from `_partition` on.
SampleRows = Mapping[tuple[str, str], Sequence[Any]]


def sample(comparison: Comparison, pairs: Sequence[Pair], one: Sampled, rows: tuple[SampleRows, SampleRows]) -> Any:
    """A row that differs as people see it: its key, its raw records, and its values before and after; of a changed row those of
    the columns that differ, of another all. None where it is not there any more.
    """
    found = [rows[0].get((one.match, one.before)), rows[1].get((one.match, one.after))]
    if [bool(row) for row in found] != [bool(one.before), bool(one.after)]:
        return None
    matched = [pair.name for pair in comparison.matched]
    key: dict[str, Any] = {}
    values: list[dict[str, Any]] = [{}, {}]
    for at, row in enumerate(found):
        if row is None:
            continue
        shown = [cut(text) for text in row[2:]]
        key = dict(zip(matched, shown, strict=False))
        names = [column.name for column in comparison.held[at]]
        values[at] = dict(zip(names, shown[len(matched) :], strict=True))
    names = list(dict.fromkeys([*values[0], *values[1]]))
    if one.kind == "changed":
        suspects = {pair.name for pair in pairs}
        names = [name for name in names if name in suspects and values[0].get(name) != values[1].get(name)]
    columns = [{"column": each, "before": values[0].get(each), "after": values[1].get(each)} for each in names]
    user_key = {name: (values[1] or values[0]).get(name) for name in comparison.after.contract.key}
    raw = [f"{row[0]}:{row[1]}" if row else None for row in found]
    return {"kind": one.kind, "key": key | user_key, "raw_before": raw[0], "raw_after": raw[1], "columns": columns}

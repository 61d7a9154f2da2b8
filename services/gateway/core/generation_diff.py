"""Decides how the rows of two generations are matched, and which of their columns are compared by what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from headrace.contract import Contract
from headrace.stream import columns
from services.gateway.core.datasets import Refusal
from services.gateway.core.generation_values import Column, Measure, measure, quoted

#: The system columns that a rule can change: checks that flagged the row.
_RULED: Final = frozenset({columns.FLAGS})


@dataclass(frozen=True, slots=True)
class Side:
    """A generation of a dataset: its table, and the dataset file that its rows were made with.

    `staged` is the topic its rows come from. `reached` says up to which raw offset of each partition everything that had to
    become of a record has become of it; None when that is not known, and the table has to tell.
    """

    database: str
    table: str
    generation: int
    version: int
    contract: Contract
    staged: str
    reached: Mapping[int, int] | None = None
    ingested_from: datetime | None = None  # of one that holds only rows ingested then or later,
    ingested_to: datetime | None = None  # ... and before

    @property
    def upsert(self) -> bool:
        """Whether the newest row of a key counts."""
        return self.contract.load.mode == "upsert"

    @property
    def path(self) -> str:
        """The table in a statement."""
        return f"{quoted(self.database)}.{quoted(self.table)}"

    @property
    def rows(self) -> str:
        """The rows that readers see, as they stand behind FROM, by the name `__t`."""
        return f"{self.path} AS __t{' FINAL' if self.upsert else ''}"


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of both generations."""

    before: Column
    after: Column
    by: Measure

    @property
    def name(self) -> str:
        return self.before.name

    def of(self, side: int) -> Column:
        """The column before (0) or after (1)."""
        return self.after if side else self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared. `matched` are the columns whose values make two rows the same one."""

    before: Side
    after: Side
    by: Literal["key", "identity"]
    matched: tuple[Pair, ...]
    compared: tuple[Pair, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    held: tuple[tuple[Column, ...], tuple[Column, ...]]  # the columns shown of either side

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.before, self.after

    @property
    def ingested(self) -> tuple[datetime | None, datetime | None]:
        """The times of ingestion that both sides hold, half-open; None: without end there."""
        begins = [side.ingested_from for side in self.sides if side.ingested_from is not None]
        ends = [side.ingested_to for side in self.sides if side.ingested_to is not None]
        return max(begins, default=None), min(ends, default=None)

    @property
    def ranged(self) -> bool:
        """Whether they are compared in a range only."""
        return self.ingested != (None, None)

    @property
    def sums(self) -> tuple[Pair, ...]:
        """The columns that have a sum on both sides."""
        return tuple(pair for pair in self.compared + self.matched if _is_sum(pair))


def compare(before: Side, after: Side, held: Sequence[Column], will_hold: Sequence[Column]) -> Comparison | Refusal:
    """How to compare two generations whose tables have these columns.

    Where both keep the newest row of the same key, by that key. Else rows that come from the same raw record are the same, if
    both read the same topic; else those with the same key.
    """
    if "replace" in (before.contract.load.mode, after.contract.load.mode):
        return Refusal("in-runs", f"{before.contract.dataset} is loaded in runs: each reads the source as it then is")
    sides = {column.name: column for column in held}, {column.name: column for column in will_hold}
    shared = [column.name for column in held if column.name in sides[1]]
    by = _matched_by(before, after, shared)
    if by is None:
        return Refusal(
            "no-match",
            f"the rows of {before.table} and {after.table} come from different topics and have no key in common: "
            "nothing says which are the same",
        )
    matching = before.contract.key if by == "key" else columns.IDENTITY
    pairs = {name: Pair(sides[0][name], sides[1][name], measure(sides[0][name], sides[1][name])) for name in shared}
    user = [name for name in shared if not name.startswith("_") or name in _RULED]
    return Comparison(
        before,
        after,
        by,
        tuple(pairs[name] for name in matching),
        tuple(pairs[name] for name in user if name not in matching),
        tuple(name for name in sides[1] if name not in sides[0] and not name.startswith("_")),
        tuple(name for name in sides[0] if name not in sides[1] and not name.startswith("_")),
        (_shown(held), _shown(will_hold)),
    )


def _matched_by(before: Side, after: Side, shared: Sequence[str]) -> Literal["key", "identity"] | None:
    keys = before.contract.key, after.contract.key
    same_key = bool(keys[0]) and set(keys[0]) == set(keys[1]) and set(keys[0]) <= set(shared)
    if same_key and before.upsert and after.upsert:
        return "key"
    if before.staged == after.staged:
        return "identity"
    return "key" if same_key else None


def _shown(held: Sequence[Column]) -> tuple[Column, ...]:
    return tuple(column for column in held if not column.name.startswith("_") or column.name in _RULED)


def _is_sum(pair: Pair) -> bool:
    user = not pair.name.startswith("_")
    return user and pair.before.summable and pair.after.summable


def bound_of(before: Mapping[int, int], after: Mapping[int, int]) -> dict[int, int]:
    """Up to which raw offset of each partition both sides are compared: to what the slower one has reached.

    A partition of which one of them has nothing yet is left out.
    """
    return {partition: min(before[partition], after[partition]) for partition in sorted(before.keys() & after.keys())}

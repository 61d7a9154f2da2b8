"""Decides whether a run of a full load is whole, what the view shows of it, and which rows nobody will ask for again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from headrace.stream import columns
from headrace.stream.runs import Range, Run
from services.loader.core.table import LOAD_OFFSET, LOAD_PARTITION, Table

#: Offsets of one partition that are counted at once: distinct ones are held in memory, about 50 bytes each.
_PORTION: Final = 2_000_000
NOTHING: Final = "false"


@dataclass(frozen=True, slots=True)
class Found:
    """What the warehouse holds of a run. A raw record is accounted for when a row, or a quarantined one, comes from it."""

    rows: int = 0
    different: int = 0  # rows by identity
    quarantined: int = 0  # raw records
    accounted: int = 0  # raw records
    oldest: int = 0  # version of the dataset file that made a row; 0 without any
    latest: int = 0

    def __add__(self, other: "Found") -> "Found":
        return Found(
            self.rows + other.rows,
            self.different + other.different,
            self.quarantined + other.quarantined,
            self.accounted + other.accounted,
            min(filter(None, (self.oldest, other.oldest)), default=0),
            max(self.latest, other.latest),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run may show. `why` is empty when it may; one that was overtaken needs nobody."""

    why: str = ""
    overtaken: bool = False


def verdict(run: Run, found: Found, *, may_drop: bool, may_be_empty: bool) -> Verdict:
    """Whether a run that has come to its end is whole. `may_drop` says that the dataset's SQL can leave rows out."""
    missing = run.rows - found.accounted
    read = run.rows + run.rejected
    if found.oldest != found.latest:
        return Verdict(
            f"its rows were made by versions {found.oldest} to {found.latest} of the dataset: a run of version "
            f"{found.latest} follows",
            overtaken=True,
        )
    if run.source_rows is not None and run.source_rows != read:
        return Verdict(f"the source counts {run.source_rows} rows, {read} were read")
    if found.different != found.rows:
        return Verdict(f"{found.rows - found.different} of its {found.rows} rows are in the table twice")
    if missing < 0 or (missing and not may_drop):
        return Verdict(
            f"of {run.rows} rows published {found.accounted} are accounted for, "
            f"{found.rows} as rows of the table and {found.quarantined} in quarantine"
        )
    if not found.rows and not may_be_empty:
        return Verdict("it would leave the table without a row; if that is right, set load.may_be_empty")
    return Verdict()


def compared(differing: str) -> Verdict:
    """Whether a run may show whose rows were compared with those that were published; `differing` is what is another."""
    return Verdict(f"in the table is another value than was published: {differing}" if differing else "")


def within(ranges: Iterable[Range]) -> str:
    """The condition that a row comes from one of these raw offsets."""
    return _any(
        f"({columns.PARTITION} = {number} AND {columns.OFFSET} >= {start} AND {columns.OFFSET} < {end})"
        for number, start, end in ranges
    )


def placed(table: Table, ranges: Iterable[Range]) -> str:
    """The query for where the rows from these raw offsets were in the topic that is loaded: partition, first and last offset."""
    asked = f"{LOAD_PARTITION}, min({LOAD_OFFSET}), max({LOAD_OFFSET})"
    return f"SELECT {asked} FROM {table.path} WHERE {within(ranges)} GROUP BY {LOAD_PARTITION}"  # noqa: S608


def shown(run: Run | None) -> str:
    """The condition of the view: all rows of a run, and before the first no row at all."""
    return within(run.ranges) if run is not None else NOTHING


def outdated(current: Run, previous: Run | None) -> str:
    """The condition of rows that are in front of the run that shows, and not of the one that is kept beside it."""
    before = _any(
        f"({columns.PARTITION} = {number} AND {columns.OFFSET} < {start})"
        for number, start in enumerate(current.starts)
    )
    return before if previous is None else f"({before}) AND NOT ({within(previous.ranges)})"


def portions(ranges: Iterable[Range], most: int = _PORTION) -> Iterator[Range]:
    """The same offsets in portions of at most so many: by default, as many as can be counted at once."""
    for number, start, end in ranges:
        for at in range(start, end, most):
            yield Range(number, at, min(at + most, end))


def count(table: Table | None, quarantine: Table | None, generation: int, part: Range) -> str:
    """The query for what the tables hold of some raw offsets, in the order of `Found`. A table that is not there holds nothing.

    What the stager set aside belongs to every generation, what others did to their own.
    """
    number, start, end = part
    rows = [f"SELECT 0 AS place, 0 AS seq, 0 AS version, 0 AS kind WHERE {NOTHING}"]
    if table is not None:
        columns_of = f"{columns.OFFSET} AS place, {columns.SEQ} AS seq, {columns.VERSION} AS version, 1 AS kind"
        rows.append(f"SELECT {columns_of} FROM {table.path} WHERE {within([part])}")  # noqa: S608
    if quarantine is not None:
        theirs = f"`partition` = {number} AND raw_offset >= {start} AND raw_offset < {end}"
        mine = f"(generation = {generation} OR stage = 'stager')"
        rows.append(
            f"SELECT assumeNotNull(raw_offset) AS place, seq, 0 AS version, 2 AS kind "  # noqa: S608
            f"FROM {quarantine.path} WHERE {theirs} AND {mine}"
        )
    asked = (
        "countIf(kind = 1), uniqExactIf((place, seq), kind = 1), uniqExactIf(place, kind = 2), uniqExact(place), "
        "minIf(version, kind = 1), maxIf(version, kind = 1)"
    )
    return f"SELECT {asked} FROM ({' UNION ALL '.join(rows)})"  # noqa: S608


def _any(conditions: Iterable[str]) -> str:
    return " OR ".join(conditions) or NOTHING

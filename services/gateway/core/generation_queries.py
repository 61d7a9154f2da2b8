"""Decides what the warehouse is asked in order to compare two generations, so that it stays linear in rows.

Every row falls into one of 1024 buckets by what it is matched by. First, sums over each bucket tell which of them differ at all
(`sums`). Then only the rows of those are brought together (`differing`). Both in portions of buckets, so that a query is short
and holds few rows; and there are never more than sixteen portions, because each of them reads the columns of the whole table.
Beyond that a portion grows, and what it groups goes to disk.

Everything that a table can name is quoted and stands behind the table's alias; whatever is named here begins with `__`.
"""
# ruff: noqa: S608

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from headrace.stream import columns
from services.gateway.core import generation_values as values
from services.gateway.core.generation_diff import Comparison, Pair, Side
from services.gateway.core.generation_values import literal, quoted

BUCKETS: Final = 1024
MOST_PORTIONS: Final = 16
PORTION_ROWS: Final = 500_000  # of both sides
_ODD: Final = "bitOr(reinterpretAsUInt64(__m), 1)"
_T: Final = "__t"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
#: Stages behind the point where generations part; what those before set aside is missing in both.
_APART: Final = "('transformer', 'quality', 'loader')"
SPILL_BYTES: Final = 256 << 20
MOST_COLUMNS: Final = 10_000
MOST_CAUSES: Final = 1000
MOST_PARTITIONS: Final = 1000

#: The last raw offset of each partition that is compared; None where both sides are compared as they are.
Bound = Mapping[int, int] | None


def reached(side: Side) -> str:
    """The last raw offset of each partition that the table has a row of."""
    return f"SELECT `_partition`, max(`_offset`) FROM {side.path} GROUP BY `_partition`"


def seen(side: Side) -> str:
    """How many rows readers see."""
    return f"SELECT count() FROM {side.rows}"


def held(side: Side) -> str:
    """The columns of the table, in their order."""
    return (
        f"SELECT name, type FROM system.columns WHERE database = {literal(side.database)} "
        f"AND table = {literal(side.table)} ORDER BY position"
    )


def aside_reached(generations: Iterable[int]) -> str:
    """The last raw offset of each partition of which a generation set a row aside. Over `{quarantine}`."""
    return (
        f"SELECT `generation`, `partition`, max(raw_offset) FROM {{quarantine}} WHERE `generation` IN {_list(generations)} "
        f"AND `stage` IN {_APART} AND raw_offset IS NOT NULL AND {_ASIDE} GROUP BY `generation`, `partition`"
    )


def aside(comparison: Comparison, bound: Bound) -> str:
    """The rows that either generation set aside, by cause. Over `{quarantine}`."""
    before, after = (side.generation for side in comparison.sides)
    cause = "`stage`, `reason`, `rule`, `column`"
    return (
        f"SELECT {cause}, countIf(`generation` = {before}), countIf(`generation` = {after}) FROM {{quarantine}} "
        f"WHERE `generation` IN ({before}, {after}) AND `stage` IN {_APART} AND {_ASIDE} AND {_within_aside(bound)} "
        f"GROUP BY {cause} ORDER BY {cause}"
    )


def portions(rows: int, portion_rows: int = PORTION_ROWS) -> list[range]:
    """Ranges of buckets for so many rows of both sides."""
    count = max(1, min(MOST_PORTIONS, -(-rows // portion_rows)))
    edges = [BUCKETS * at // count for at in range(count + 1)]
    return [range(*edge) for edge in pairwise(edges)]


def packed(rows_of: Mapping[int, int], portion_rows: int = PORTION_ROWS) -> list[list[int]]:
    """Differing buckets in portions of about so many rows, at most sixteen. `rows_of`: bucket to its rows of both sides."""
    size = max(portion_rows, -(-sum(rows_of.values()) // (MOST_PORTIONS - 1)))
    packs: list[list[int]] = []
    room = 0
    for bucket, rows in sorted(rows_of.items()):
        if not packs or (rows > room and len(packs) < MOST_PORTIONS):
            packs.append([])
            room = size
        packs[-1].append(bucket)
        room -= rows
    return packs


def sums(comparison: Comparison, bound: Bound, buckets: range) -> str:
    """What each bucket of a side holds, order aside: side, bucket, rows, identities, then of each compared column its values,
    then the sums of numbers as text.
    """
    asked = []
    for at, side in enumerate(comparison.sides):
        hashes = [f"{values.hashed(pair.of(at), pair.by, _T)} AS __h{n}" for n, pair in enumerate(comparison.compared)]
        numbers = [f"{values.named(pair.of(at), _T)} AS __n{n}" for n, pair in enumerate(comparison.sums)]
        wanted = ", ".join([f"{_match(comparison, at)} AS __m", *hashes, *numbers])
        wanted += f", {_bucket(comparison, at)} AS __b"
        rows = f"SELECT {wanted} FROM {side.rows} {_only(comparison, at, bound, buckets)}"
        found = [f"{at} AS __side", "__b", "count() AS __rows", "sum(reinterpretAsUInt64(__m)) AS __ids"]
        found += [f"sum(__h{n} * {_ODD}) AS __s{n}" for n in range(len(hashes))]
        found += [f"{values.summed(pair.of(at), f'__n{n}')} AS __t{n}" for n, pair in enumerate(comparison.sums)]
        asked.append(f"SELECT {', '.join(found)} FROM ({rows}) GROUP BY __b")
    return " UNION ALL ".join(asked)


def differing(comparison: Comparison, pairs: Sequence[Pair], bound: Bound, buckets: Sequence[int], samples: int) -> str:
    """What differs in buckets. Over `{quarantine}`.

    Rows added, removed and changed; removed that the generation after set aside, and added that the one before did; then lists of
    samples of each kind; then in how many changed rows each of `pairs` differs.

    A row that is the same on both sides cancels out. Of rows that share what they are matched by, as many as there are on both
    sides count as changed; a column then differs in all of them, unless it has the same values on both sides, or one value only.
    """
    branches = []
    for at, side in enumerate(comparison.sides):
        hashes = "".join(f", {values.hashed(pair.of(at), pair.by, _T)} AS __h{n}" for n, pair in enumerate(pairs))
        branches.append(
            f"SELECT {'-1' if at == 0 else '1'} AS __sign, {_match(comparison, at)} AS __m{hashes}, "
            f"{_row(f'__h{n}' for n in range(len(pairs)))} AS __r, {_T}.`_partition` AS __p, {_T}.`_offset` AS __o "
            f"FROM {side.rows} {_only(comparison, at, bound, buckets)}"
        )
    kept = "".join(f", any(__h{n}) AS __k{n}" for n in range(len(pairs)))
    rows = (
        f"SELECT __m, __r, sum(__sign) AS __net, any(__p) AS __pa, any(__o) AS __oa{kept} "
        f"FROM ({' UNION ALL '.join(branches)}) GROUP BY __m, __r HAVING __net != 0"
    )
    differs = "".join(f", sum(__net * __k{n}) != 0 AND min(__k{n}) != max(__k{n}) AS __d{n}" for n in range(len(pairs)))
    before, after = comparison.sides
    groups = (
        "SELECT __m, sumIf(__net, __net > 0) AS __more, -sumIf(__net, __net < 0) AS __less, "
        "least(__more, __less) AS __changed, __more - __changed AS __added, __less - __changed AS __removed, "
        f"least(__removed, -sumIf(__net, __net < 0 AND {_set_aside_by(after, bound)})) AS __gone_aside, "
        f"least(__added, sumIf(__net, __net > 0 AND {_set_aside_by(before, bound)})) AS __come_back, "
        f"hex(minIf(__r, __net < 0)) AS __ra, hex(minIf(__r, __net > 0)) AS __rb{differs} FROM ({rows}) GROUP BY __m"
    )
    sample = "(hex(__m), __ra, __rb)"
    lists = [
        f"groupArraySortedIf({max(samples, 1)})({sample}, {'__' + kind} > 0)"
        for kind in ("added", "removed", "changed")
    ]
    counts = [f"sumIf(__changed, __d{n} = 1)" for n in range(len(pairs))]
    total = ["sum(__added)", "sum(__removed)", "sum(__changed)", "sum(__gone_aside)", "sum(__come_back)"]
    return f"SELECT {', '.join(total + lists + counts)} FROM ({groups})"


def sampled(comparison: Comparison, pairs: Sequence[Pair], at: int, wanted: Iterable[tuple[str, str]]) -> str:
    """The rows of a side with these hashes (of what they are matched by, and of `pairs`), once each: both hashes, `_partition`,
    `_offset`, the matched columns, and all that are shown.
    """
    side = comparison.sides[at]
    both = sorted(set(wanted))
    rows = ", ".join(f"({_unhex(m)}, {literal(r)})" for m, r in both)
    only = ", ".join(_unhex(m) for m in sorted({m for m, _ in both}))
    shown = [values.shown(pair.of(at), _T) for pair in comparison.matched]
    shown += [values.shown(column, _T) for column in comparison.held[at]]
    listed = "".join(f", {each} AS __v{n}" for n, each in enumerate(shown))
    match, row = _match(comparison, at), _row(values.hashed(pair.of(at), pair.by, _T) for pair in pairs)
    return (
        f"SELECT hex({match}) AS __m, hex({row}) AS __r, {_T}.`_partition` AS __p, {_T}.`_offset` AS __o{listed} "
        f"FROM {side.rows} {_first(comparison, at, f'{match} IN ({only})')} ({match}, hex({row})) IN ({rows}) "
        "ORDER BY __m, __r, __p, __o LIMIT 1 BY __m, __r"
    )


_ASIDE: Final = "ifNull(`act`, 'quarantined') = 'quarantined'"


def _match(comparison: Comparison, at: int) -> str:
    """What a row is matched by, as sixteen bytes."""
    parts = ", ".join(values.hashed_widely(pair.of(at), pair.by, _T) for pair in comparison.matched)
    return f"sipHash128({parts})"


def _bucket(comparison: Comparison, at: int) -> str:
    """Which bucket a row falls into: cheap, because every portion asks it of every row."""
    if comparison.by == "identity":
        return f"bitAnd({_T}.`_offset`, {BUCKETS - 1})"
    return f"bitAnd({_row(values.hashed(pair.of(at), pair.by, _T) for pair in comparison.matched)}, {BUCKETS - 1})"


def _row(hashes: Iterable[str]) -> str:
    """The hash of a row from those of its values."""
    return f"xxh3({', '.join(hashes) or '0'})"


def _only(comparison: Comparison, at: int, bound: Bound, buckets: Sequence[int]) -> str:
    """The rows in some buckets that both sides had the time to make. Where the newest row of a key counts, none of a key that is
    being replaced.
    """
    begin, end = comparison.ingested
    early = f"{_within(f'{_T}.`_partition`', f'{_T}.`_offset`', bound)} AND {_ingested('<', end)}"
    within = f"{early} AND {_ingested('>=', begin)}"
    chosen = [_in(_bucket(comparison, each), buckets) for each in (0, 1)]
    if comparison.by == "identity" or (bound is None and end is None):
        return f"{_first(comparison, at, chosen[at])} {within}"
    moving = " UNION ALL ".join(
        f"SELECT {_match(comparison, other)} AS __m FROM {side.path} AS __t WHERE {chosen[other]} AND NOT ({early})"
        for other, side in enumerate(comparison.sides)
    )
    return f"{_first(comparison, at, chosen[at])} {within} AND {_match(comparison, at)} NOT IN ({moving})"


def _first(comparison: Comparison, at: int, condition: str) -> str:
    """A condition on what rows are matched by, to which another is to follow. It may choose among the versions of a row before
    FINAL does only where it takes all of a key or none.
    """
    early = comparison.by == "key" or not comparison.sides[at].upsert
    return f"PREWHERE {condition} WHERE" if early else f"WHERE {condition} AND"


def _ingested(compares: str, moment: datetime | None) -> str:
    if moment is None:
        return "true"
    return f"{_T}.`{columns.INGESTED_AT}` {compares} fromUnixTimestamp64Micro(toInt64({(moment - _EPOCH) // _MICROSECOND}))"


def _within(partition: str, offset: str, bound: Bound) -> str:
    if bound is None:
        return "true"
    if not bound:
        return "false"
    known = ", ".join(str(int(number)) for number in bound)
    ends = ", ".join(f"toInt64({int(end)})" for end in bound.values())
    return f"{offset} <= transform(toInt64({partition}), [{known}], [{ends}], toInt64(-1))"


def _within_aside(bound: Bound) -> str:
    return _within("`partition`", "ifNull(raw_offset, 0)", bound)


def _set_aside_by(side: Side, bound: Bound) -> str:
    if bound is None:
        return "false"  # its raw records are others
    return (
        f"(__pa, __oa) IN (SELECT `partition`, assumeNotNull(raw_offset) FROM {{quarantine}} "
        f"WHERE `generation` = {side.generation} AND raw_offset IS NOT NULL AND `stage` IN {_APART} AND {_ASIDE})"
    )


def _in(bucket: str, buckets: Sequence[int]) -> str:
    if isinstance(buckets, range):
        return f"{bucket} >= {buckets.start} AND {bucket} < {buckets.stop}"
    return f"{bucket} IN {_list(buckets)}"


def _list(numbers: Iterable[int]) -> str:
    return f"({', '.join(str(int(number)) for number in numbers)})"


def _unhex(digits: str) -> str:
    return f"toFixedString(unhex({literal(digits)}), 16)"


#: What stands in for the table of what was set aside where nothing ever was.
NO_QUARANTINE: Final = (
    "(SELECT toInt32(0) AS `generation`, '' AS `stage`, '' AS `reason`, CAST(NULL AS Nullable(String)) AS `rule`, "
    "CAST(NULL AS Nullable(String)) AS `column`, toInt32(0) AS `partition`, CAST(NULL AS Nullable(Int64)) AS raw_offset, "
    "CAST(NULL AS Nullable(String)) AS `act` WHERE false)"
)


def quarantine_columns(side: Side) -> str:
    """The columns of the table of what a dataset set aside."""
    return (
        f"SELECT name FROM system.columns WHERE database = {literal(side.contract.domain)} "
        f"AND table = {literal(side.contract.table + '__quarantine')}"
    )


def quarantine(side: Side, known: Collection[str]) -> str:
    """What stands behind FROM for `{quarantine}`. `known` are the columns of that table; none when it does not exist."""
    if not known:
        return NO_QUARANTINE
    table = f"{quoted(side.contract.domain)}.{quoted(side.contract.table + '__quarantine')}"
    return table if "act" in known else f"(SELECT *, CAST(NULL AS Nullable(String)) AS `act` FROM {table})"

"""Decides which columns of a SELECT are conditions on the rows that a row of it was made of, and why those do not tell all.

A column that no aggregate and no window function goes into is one: the rows have the same value in it. What a row was made of
besides, such as the other rows of a window, is not told by a condition on it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

from sqlglot import exp

_Node = TypeVar("_Node", bound=exp.Expr)

_BY_ITSELF: Final = re.compile(
    r"now(64)?|today|yesterday|current_?(timestamp|date|time)|(rand|generate)\w*|canonicalrand|uuid", re.IGNORECASE
)
_BY_PLACE: Final = re.compile(r"(row_?number|running)\w*|neighbor", re.IGNORECASE)
_SAME: Final = "of rows that give the same values it cannot be told which it was: all of them are given"
LIMIT: Final = "LIMIT and OFFSET are left out: rows that they cut off may be among these"
_DISTINCT_ON: Final = "DISTINCT ON is left out: rows that it passed over may be among these"
_WINDOW: Final = "of a window function all rows of the PARTITION BY are given, or all there are"
_SUBTOTALS: Final = "ROLLUP, CUBE, GROUPING SETS and TOTALS are not followed: the rows of all groups are given"


def told_columns(select: exp.Select, kept: Sequence[exp.Expr], star: Sequence[str]) -> Iterator[str]:
    """The columns whose value is a condition on the rows that a row was made of."""
    group = select.args.get("group")
    if group is not None and has_subtotals(group):
        return
    if group is None and any(_aggregate(each) for each in select.expressions):
        return
    named = [each.alias_or_name for each in kept if not is_star(each)]
    windows = _windows(select)
    for each in kept:
        if is_star(each):
            yield from (name for name in star if not windows and name not in named)
        elif _tells(each, select) and all(_among(each, window) for window in windows):
            yield each.alias_or_name


def _tells(each: exp.Expr, select: exp.Select) -> bool:
    """Whether a column that no aggregate goes into has the same value for each row that a row was made of."""
    if is_volatile(each) or not each.alias_or_name:
        return False
    unknown = select.args.get("group") is not None and each.find(exp.Anonymous) is not None
    return not unknown or _is_key(each, select)


def why_wider(select: exp.Select, told: Sequence[str]) -> Iterator[str]:
    """Why the conditions on these columns also hold for rows that did not contribute, or might not have."""
    group = select.args.get("group")
    distinct = select.args.get("distinct")
    if any(select.args.get(name) for name in ("limit", "offset", "fetch")):
        yield LIMIT
    if distinct is not None and distinct.args.get("on") is not None:
        yield _DISTINCT_ON
    if _windows(select):
        yield _WINDOW
    if group is not None and has_subtotals(group):
        yield _SUBTOTALS
    elif group is not None:
        untold = (key for key in _keys(group) if not any(name in told for name in _names_of(key, select)))
        for written in (key.sql(dialect="clickhouse")[:80] for key in untold if not isinstance(key, exp.Literal)):
            yield f"it groups by {written}, which its columns do not tell: other groups may be among these"
    elif distinct is None and "_offset" not in told and not any(_aggregate(each) for each in select.expressions):
        yield _SAME


def _keys(group: exp.Group) -> Iterator[exp.Expr]:
    for key in group.expressions:
        unnested = key.unnest()
        yield from unnested.expressions if isinstance(unnested, exp.Tuple) else [unnested]


def _names_of(key: exp.Expr, select: exp.Select) -> Iterator[str]:
    """The columns of a SELECT that are a key of its GROUP BY."""
    if isinstance(key, exp.Literal) and not key.is_string and 0 < int(key.name) <= len(select.expressions):
        yield select.expressions[int(key.name) - 1].alias_or_name
        return
    for each in select.expressions:
        if each.unalias() == key or (isinstance(key, exp.Column) and not key.table and each.alias == key.name):
            yield each.alias_or_name


def _is_key(each: exp.Expr, select: exp.Select) -> bool:
    group = select.args["group"]
    return bool(group.args.get("all")) or any(each.alias_or_name in _names_of(key, select) for key in _keys(group))


def has_subtotals(group: exp.Group) -> bool:
    nested = any(isinstance(each, exp.Rollup | exp.Cube | exp.GroupingSets) for each in group.expressions)
    return nested or any(group.args.get(name) for name in ("rollup", "cube", "grouping_sets", "totals"))


def _windows(select: exp.Select) -> list[list[exp.Expr]]:
    """The PARTITION BY of each window function in a SELECT."""
    known = {each.name: each for each in select.args.get("windows") or []}
    used = [select.args.get("qualify"), *select.expressions]
    found = [each for part in used if part is not None for each in _own(part, exp.Window)]
    return [
        (known.get(each.alias, each) if each.args.get("alias") else each).args.get("partition_by") or []
        for each in found
    ]


def _among(each: exp.Expr, keys: Sequence[exp.Expr]) -> bool:
    return any(each.unalias() == key or each.alias_or_name == key.name for key in keys)


def made_of_several(select: exp.Select, scalars: Mapping[str, exp.CTE]) -> set[str]:
    """The columns and names of a WITH that more than the row goes into: aggregates, window functions, and what uses them."""
    named = [*((each.alias, each) for each in select.expressions if each.alias)]
    every = [*named, *((name, cte.this) for name, cte in scalars.items())]
    found = {name for name, value in every if of_several(value)}
    while True:
        more = {name for name, value in every if name not in found and _uses(value, found)}
        if not more:
            return found
        found |= more


def _uses(value: exp.Expr, names: set[str]) -> bool:
    return any(not column.table and column.name in names for column in value.find_all(exp.Column))


def of_several(value: exp.Expr) -> bool:
    return _aggregate(value) or any(_own(value, exp.Window))


def _aggregate(value: exp.Expr) -> bool:
    """Whether there is an aggregate of this SELECT in it, not of a window or of a query within."""
    return any(each.find_ancestor(exp.Window) is None for each in _own(value, exp.AggFunc))


def _own(value: exp.Expr, kind: type[_Node]) -> Iterator[_Node]:
    for each in value.walk(prune=lambda node: isinstance(node, exp.Query) and node is not value):
        if isinstance(each, kind):
            yield each


def is_star(each: exp.Expr) -> bool:
    value = each.unalias()
    if isinstance(value, exp.Column):
        value = value.this
    return isinstance(value, exp.Star | exp.Columns) or (
        isinstance(value, exp.Anonymous) and value.name.lower() == "columns"
    )


def is_volatile(value: exp.Expr) -> bool:
    """Whether a value may be another for the same row: also one that tells where the row stands."""
    return changes_by_itself(value) or _calls(value, _BY_PLACE)


def changes_by_itself(value: exp.Expr) -> bool:
    """Whether a value may be another the next time it is asked for, over the same rows."""
    return _calls(value, _BY_ITSELF)


def _calls(value: exp.Expr, names: re.Pattern[str]) -> bool:
    return any(
        names.fullmatch(each.name if isinstance(each, exp.Anonymous) else each.sql_name())
        for each in value.find_all(exp.Func)
    )

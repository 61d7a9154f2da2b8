"""What each check of a dataset means in SQL: when a row breaks it, and what to show of the row that does.

As in SQL, a missing value passes every check but `not_null`.
"""

# ruff: noqa: S608 - names and values are quoted by `headrace.transform.quoting`, conditions were examined by `headrace.contract`

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import sqlglot
from sqlglot import exp

from headrace.contract import (
    Between,
    Check,
    Expression,
    FormatIs,
    In,
    Length,
    Matches,
    NotNull,
    References,
    TypeIs,
    Unique,
    arrow_type,
    reference_table,
)
from headrace.transform import types
from headrace.transform.formats import FORMATS
from headrace.transform.quoting import literal, quoted

#: What the rows are called, whose values may be looked for before others.
ROWS: Final = "typed"

_MOST_FOUND: Final = 200  # characters shown of a value


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a row that breaks a rule waits for: a row of `dataset` with its value in column `to`. Units: seconds."""

    dataset: str
    to: str
    wait_s: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that rows must not break.

    `broken` and `found` are DuckDB expressions over the published columns: whether a row breaks it (null is no), and
    the text of the value that does.
    """

    name: str
    reason: str
    column: str | None
    expected: str
    broken: str
    found: str
    flag: bool = False  # a row that breaks it goes on, with the rule's name beside it
    hold: bool = False  # ... once somebody has decided so
    awaited: Awaited | None = None

    def detail(self, found: str | None) -> str:
        """What a user reads of a row that breaks it."""
        return f"{self.column or 'the row'} is {found or 'null'}, expected {self.expected}"


def rules_of(checks: Iterable[Check], kinds: Mapping[str, str], narrowed: bool = False) -> list[Rule]:
    """A rule for each check, in order. `kinds` holds the DuckDB type of each published column.

    `narrowed` says that of reference data only what ROWS ask for is to be held against them: DuckDB makes a table in memory of
    what they are held against, which takes longer than anything else where it has millions of rows.
    """
    return [_rule(check, kinds, narrowed) for check in checks]


def shown(value: str, kind: str) -> str:
    """An expression for the text of `value`, itself one of type `kind`: text in quotes, and cut when it is long."""
    text = f"left({value}::VARCHAR, {_MOST_FOUND})"
    return f"'''' || {text} || ''''" if kind.upper() in {"TEXT", "VARCHAR"} else text


def _rule(check: Check, kinds: Mapping[str, str], narrowed: bool) -> Rule:
    broken, expected = _meaning(check, kinds, narrowed)
    column = check.subject()
    found = shown(quoted(column), kinds.get(column, "")) if column else _all_shown(check, kinds)
    if isinstance(check, Length):
        length, unit = _length(check.column, kinds)
        found = f"{found} || ' (' || {length} || ' {unit}' || CASE {length} WHEN 1 THEN ')' ELSE 's)' END"
    name, flag, hold = check.name or check.check, check.severity != "reject", check.severity == "hold"
    return Rule(name, f"check_{check.check}", column, expected, broken, found, flag, hold, _awaited(check))


def _awaited(check: Check) -> Awaited | None:
    if not isinstance(check, References) or check.wait_s is None:
        return None
    return Awaited(check.dataset, check.to, check.wait_s)


def _meaning(check: Check, kinds: Mapping[str, str], narrowed: bool) -> tuple[str, str]:
    """(when a row breaks it, what was expected instead)."""
    match check:
        case NotNull():
            return f"{quoted(check.column)} IS NULL", "a value"
        case TypeIs():
            kind = types.duckdb_type(arrow_type(check))
            return types.misfit(quoted(check.column), kinds.get(check.column, ""), kind), f"a value of type {kind}"
        case In():
            values = ", ".join(literal(value) for value in check.values)
            return f"{quoted(check.column)} NOT IN ({values})", f"one of {values}"
        case Between():
            return _outside(quoted(check.column), check), _range(check)
        case Matches():
            pattern = literal(check.pattern)
            return f"NOT regexp_full_match({quoted(check.column)}::VARCHAR, {pattern})", f"a match of {check.pattern}"
        case FormatIs():
            wanted = FORMATS[check.format]
            return f"NOT ({wanted.condition(f'{quoted(check.column)}::VARCHAR')})", wanted.expected
        case Length():
            length, unit = _length(check.column, kinds)
            return _outside(length, check), f"{_range(check)} {unit}{'' if (check.max or check.min) == 1 else 's'}"
        case References():
            known = quoted(check.to)
            table = quoted(reference_table(check.dataset))
            column = quoted(check.column)
            of_use = f"{known} IN (SELECT {column} FROM {ROWS})" if narrowed else f"{known} IS NOT NULL"
            unknown = f"{column} NOT IN (SELECT {known} FROM {table} WHERE {of_use})"
            return f"{column} IS NOT NULL AND {unknown}", f"a {check.to} known to {check.dataset}"
        case Unique():
            raise AssertionError("no condition of a row by itself")
        case Expression():
            return f"NOT ({sqlglot.parse_one(check.sql, dialect='duckdb').sql('duckdb', comments=False)})", check.sql


def _length(column: str, kinds: Mapping[str, str]) -> tuple[str, str]:
    """(an expression for how long a value is, the unit of one). What is neither text nor a list is as long as its text."""
    kind, name = types.arrow_type(kinds.get(column, "VARCHAR")), quoted(column)
    if pa.types.is_list(kind):
        return f"len({name})", "element"
    if pa.types.is_map(kind):
        return f"cardinality({name})", "pair"
    if pa.types.is_binary(kind):
        return f"octet_length({name})", "byte"
    return f"length({name}::VARCHAR)", "character"


def _outside(value: str, check: Between | Length) -> str:
    ends = [] if check.min is None else [f"{value} < {literal(check.min)}"]
    ends += [] if check.max is None else [f"{value} > {literal(check.max)}"]
    return " OR ".join(ends) or "false"


def _range(check: Between | Length) -> str:
    if isinstance(check, Length) and check.min == check.max:
        return f"exactly {check.min}"
    if check.min is not None and check.max is not None:
        return f"between {check.min} and {check.max}"
    return f"at least {check.min}" if check.min is not None else f"at most {check.max}"


def _all_shown(check: Check, kinds: Mapping[str, str]) -> str:
    """The values of every column an expression names, as `a = 1, b = null`."""
    assert isinstance(check, Expression)
    names = dict.fromkeys(column.name for column in sqlglot.parse_one(check.sql, dialect="duckdb").find_all(exp.Column))
    parts = [
        f"{literal(f'{name} = ')} || coalesce({shown(quoted(name), kinds.get(name, ''))}, 'null')" for name in names
    ]
    return " || ', ' || ".join(parts) or "'constant'"

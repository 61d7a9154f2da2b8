"""The one query a batch is put through: the dataset's SQL, its declared types, then its checks, a verdict beside each row."""

# ruff: noqa: S608 - names and values are quoted by `headrace.transform.quoting`, conditions were examined by `headrace.contract`

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.contract import Check, Unique, arrow_type
from headrace.contract.fields import Schema
from headrace.transform import types
from headrace.transform.checks import ROWS, Rule, rules_of, shown
from headrace.transform.quoting import quoted

#: Columns of the query's result that are not the dataset's.
ROW: Final = "__row"  # which input row it came from
FAILED: Final = "__failed"  # index of the first rejecting rule it breaks; null when it breaks none
FOUND: Final = "__found"  # the value that broke it, as text
WANTED: Final = "__wanted"  # that value whole, where it is waited for; only where a rule waits


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the published rows. `type` is DuckDB's name of its type."""

    name: str
    type: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The query and how to read its verdicts. `rejecting[i]` is the rule that FAILED = i names."""

    sql: str
    published: tuple[Column, ...]
    rejecting: tuple[Rule, ...]
    flagging: tuple[Rule, ...]


def flag_column(at: int) -> str:
    """The result column that says whether a row breaks the `at`-th flagging rule."""
    return f"__flag_{at}"


def judgement(
    sql: str, produced: Sequence[tuple[str, str]], schema: Schema, checks: Sequence[Check], narrowed: bool = False
) -> Judgement:
    """Put the declared types and the checks around `sql`, which gives `produced` columns (name, DuckDB type) and ROW.

    A declared column that the SQL does not give is null. One that is not declared follows the declared ones, with
    the nearest type that can be published, if the schema evolves. Else it is not published, and a value in it is a misfit unless
    such are discarded. `narrowed`: see `headrace.transform.checks.rules_of`.
    """
    given = {name: kind for name, kind in produced if name != ROW}
    declared = [Column(field.name, types.duckdb_type(arrow_type(field)), field.required) for field in schema.fields]
    names = {column.name for column in declared}
    extra = [Column(name, types.published(kind)) for name, kind in given.items() if name not in names]
    closed = schema.evolution != "evolve" and bool(declared)
    published = (*declared,) if closed else (*declared, *extra)
    misfits = [_misfit(column, given[column.name]) for column in published if _converted(column, given)]
    misfits += [_undeclared(column) for column in extra if closed and schema.evolution != "discard"]
    by_row = [
        check for check in checks if not isinstance(check, Unique)
    ]  # `headrace.transform.uniques` sees to the others
    rules = rules_of(by_row, {column.name: column.type for column in published}, narrowed)
    required = [_missing(column) for column in published if column.required]
    hard = [rule for rule in rules if not rule.flag]
    hard.sort(key=lambda rule: rule.awaited is not None)  # a row that is wrong anyway does not wait
    rejecting = (*misfits, *required, *hard)
    flagging = tuple(rule for rule in rules if rule.flag)
    typed = _typed(sql, published, given, misfits)
    query = _judged(typed, published, len(misfits), rejecting, flagging, narrowed)
    return Judgement(query, published, rejecting, flagging)


def _given(column: Column) -> str:
    """The column before it is cast: qualified, as the cast has the same name."""
    return f"produced.{quoted(column.name)}"


def _converted(column: Column, given: dict[str, str]) -> bool:
    return column.name in given and not types.same(column.type, given[column.name])


def _misfit(column: Column, kind: str) -> Rule:
    """The rule that a value can become what its column declares."""
    value = _given(column)
    broken = types.misfit(value, kind, column.type)
    return Rule(
        f"type_{column.name}", "check_type", column.name, f"a value of type {column.type}", broken, shown(value, kind)
    )


def _undeclared(column: Column) -> Rule:
    value = _given(column)
    return Rule(
        f"undeclared_{column.name}",
        "check_type",
        column.name,
        "no such column",
        f"{value} IS NOT NULL",
        shown(value, column.type),
    )


def _missing(column: Column) -> Rule:
    return Rule(
        f"required_{column.name}", "check_not_null", column.name, "a value", f"{quoted(column.name)} IS NULL", "'null'"
    )


def _typed(sql: str, published: Sequence[Column], given: dict[str, str], misfits: Sequence[Rule]) -> str:
    """The rows with their published types; `__misfit` and `__raw` tell which value would not fit, and what it was."""
    parts = [ROW]
    for column in published:
        name = quoted(column.name)
        if column.name not in given:
            parts.append(f"NULL::{column.type} AS {name}")
        elif _converted(column, given):
            parts.append(f"TRY_CAST({_given(column)} AS {column.type}) AS {name}")
        else:
            parts.append(_given(column))
    if misfits:
        parts.append(f"{case((rule.broken, str(at)) for at, rule in enumerate(misfits))}::INTEGER AS __misfit")
        parts.append(f"{case((rule.broken, rule.found) for rule in misfits)} AS __raw")
    return f"SELECT {', '.join(parts)} FROM ({sql}) AS produced"


def _judged(
    typed: str,
    published: Sequence[Column],
    misfits: int,
    rejecting: Sequence[Rule],
    flagging: Sequence[Rule],
    narrowed: bool,
) -> str:
    names = [ROW, *(quoted(column.name) for column in published)]
    if not rejecting and not flagging:
        return typed
    verdicts = [f"coalesce({rule.broken}, false) AS {flag_column(at)}" for at, rule in enumerate(flagging)]
    if rejecting:
        cases = [("__misfit IS NOT NULL", "__misfit")] if misfits else []
        cases += [(rule.broken, str(at)) for at, rule in enumerate(rejecting) if at >= misfits]
        verdicts.insert(0, f"{case(cases)}::INTEGER AS {FAILED}")
    judged = f"SELECT *, {', '.join(verdicts)} FROM {ROWS if narrowed else f'({typed}) AS {ROWS}'}"
    if rejecting:
        found = [(f"{FAILED} < {misfits}", "__raw")] if misfits else []
        found += [(f"{FAILED} = {at}", rule.found) for at, rule in enumerate(rejecting) if at >= misfits]
        names += [FAILED, f"{case(found)} AS {FOUND}"]
        wanted = [
            (f"{FAILED} = {at}", f"{quoted(rule.column or '')}::VARCHAR")
            for at, rule in enumerate(rejecting)
            if rule.awaited
        ]
        names += [f"{case(wanted)} AS {WANTED}"] if wanted else []
    names += [flag_column(at) for at in range(len(flagging))]
    before = f"WITH {ROWS} AS MATERIALIZED ({typed}) " if narrowed else ""
    return f"{before}SELECT {', '.join(names)} FROM ({judged}) AS judged"


def case(branches: Iterable[tuple[str, str]]) -> str:
    """The value of the first branch whose condition is true. DuckDB computes a branch only for the rows that reach it."""
    return "CASE " + " ".join(f"WHEN {condition} THEN {value}" for condition, value in branches) + " END"

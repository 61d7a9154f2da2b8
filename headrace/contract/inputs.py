"""Which columns of the source a transform reads, so that a test need not give those that do not matter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import sqlglot
from sqlglot import exp

from headrace.contract import rowwise

_ALL: Final = "SELECT * FROM input"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a transform reads.

    `named` are columns read from `input`; `perhaps` those read from it unless a joined dataset has them. `mentioned` are all
    names in the SQL. `passes_on` says that `*` reads columns which are not named. `of_references` are the columns asked of
    each dataset.
    """

    named: tuple[str, ...]
    perhaps: tuple[str, ...]
    mentioned: frozenset[str]
    passes_on: bool
    of_references: dict[str, tuple[str, ...]]


def inputs(text: str | None) -> Inputs:
    """What the SQL of a transform reads. It must be valid."""
    query = sqlglot.parse_one(text or _ALL, dialect="duckdb")
    assert isinstance(query, exp.Select)
    mentioned = frozenset(column.name for column in query.find_all(exp.Column))
    named: dict[str, None] = {}
    perhaps: dict[str, None] = {}
    asked: dict[str, dict[str, None]] = {}
    passing: dict[str, frozenset[str]] = {
        rowwise.INPUT: frozenset()
    }  # steps through which columns pass, with what they add
    passes_on = False
    for step, select in rowwise.steps(query):
        for dataset, column in _asked(select):
            asked.setdefault(dataset, {})[column] = None
        source = rowwise.row_source(select)
        added = passing.get(source.name.lower()) if source is not None else None
        if source is None or added is None:
            continue
        for name, sure in _named(select, source.alias_or_name.lower()):
            if name.lower() not in added:
                (named if sure else perhaps)[name] = None
        if rowwise.stars(select):
            passing[step.lower()] = added | {
                part.alias.lower() for part in select.expressions if isinstance(part, exp.Alias)
            }
            passes_on |= source.name.lower() == rowwise.INPUT
    of_references = {name: tuple(columns) for name, columns in asked.items()}
    return Inputs(tuple(named), tuple(perhaps), mentioned, passes_on, of_references)


def joined_datasets(select: exp.Select) -> dict[str, str]:
    """The datasets that a SELECT joins, by what it calls them."""
    joined = [(join.alias_or_name, rowwise.reference(join.this)) for join in select.args.get("joins") or []]
    return {(alias or name.rpartition(".")[2]).lower(): name for alias, name in joined if name}


def _asked(select: exp.Select) -> Iterator[tuple[str, str]]:
    aliases = joined_datasets(select)
    for column in select.find_all(exp.Column):
        if (dataset := aliases.get(column.table.lower())) and not isinstance(column.this, exp.Star):
            yield dataset, column.name


def _named(select: exp.Select, source: str) -> Iterator[tuple[str, bool]]:
    """The columns that a SELECT reads from its rows, and whether that is sure: a joined dataset may have them too."""
    joined = joined_datasets(select)
    made: set[str] = set()  # the SELECT list may use what it made further left
    bound = {parameter.name for each in select.find_all(exp.Lambda) for parameter in each.expressions}
    clauses = [select.args.get("where"), *(join.args.get("on") for join in select.args.get("joins") or [])]
    for part in [*select.expressions, *filter(None, clauses)]:
        for column in part.find_all(exp.Column):
            table = column.parts[0].name.lower() if len(column.parts) > 1 else ""
            if isinstance(column.this, exp.Star) or table in joined:
                continue
            name = column.parts[1].name if table and table == source else column.parts[0].name
            if table or (name.lower() not in made and name not in bound):
                yield name, bool(table) or not joined
        if isinstance(part, exp.Alias):
            made.add(part.alias.lower())

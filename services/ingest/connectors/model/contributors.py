"""Decides of which rows of its datasets a row of a model was made: a query for each of them, derived from the model's own.

What a SELECT gives without an aggregate is a condition on the rows it was made of: each of these columns has the value that the
row has. A query within a query is opened in the same way: its rows are those that the outer one took, told by their columns.
What cannot be turned into a condition is left out. Then the answer is wider than what contributed, and `notes` say why.
"""
# ruff: noqa: S608

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any, Final

from sqlglot import exp

from headrace.contract.contributing import COORDINATES, Contributing
from headrace.sql_guard import parsed
from services.ingest.connectors.model.columns import quoted
from services.ingest.connectors.model.select_parts import (
    LIMIT,
    is_star,
    made_of_several,
    of_several,
    told_columns,
    why_wider,
)
from services.ingest.connectors.model.values import equals, moment
from services.ingest.connectors.model.with_names import Names

_DIALECT: Final = "clickhouse"
_KEPT: Final = ("from_", "joins", "laterals", "prewhere", "where")
_IDENTITY: Final = ("_partition", "_offset", "_seq")

_UNION: Final = "it is a UNION or INTERSECT: the rows of each part that could have given this row are given"
_EXCEPT: Final = "of EXCEPT the left side is given: rows of the right side contribute by not being there"
_RECURSIVE: Final = "a WITH RECURSIVE is not followed"
_STAR: Final = "* over several tables is not followed into a query within it"
_CONDITION: Final = (
    "it is read in a query within a condition, or where it cannot be followed: all of its rows are given"
)
_ALSO: Final = "it is also read in a query within a condition: rows that contributed only there are not given"

#: From columns, each with its name outside and what it is here, the conditions on them, and why some have none.
Narrow = Callable[[Sequence[tuple[str, str]]], tuple[list[str], list[str]]]


@dataclass(frozen=True, slots=True)
class _Reached:
    """A dataset that a query takes rows from, at one of the places where it is named."""

    dataset: str
    sql: str
    notes: tuple[str, ...]
    place: int


def contributing(
    sql: str, row: Mapping[str, Any], parameters: Mapping[str, datetime] | None = None
) -> tuple[Contributing, ...]:
    """For each dataset of a model the rows that a row of its result was made of.

    `row` has the values of the row as they left the warehouse; `parameters` stand for those in braces.
    Errors: RefusedQueryError when the SQL is none of a model.
    """
    query = _prepared(parsed(sql)[0], parameters or {})
    tables = [_dataset(table) for table in query.find_all(exp.Table) if table.db]
    reached: dict[str, list[_Reached]] = {name: [] for name in tables}
    for each in _followed(query, Names(), _of(row), tuple(row), ()):
        reached[each.dataset].append(each)
    domains = frozenset(name.partition(".")[0] for name in tables)
    return tuple(
        replace(_together(name, found, tables.count(name)), domains=domains) for name, found in reached.items()
    )


def _together(dataset: str, found: Sequence[_Reached], times: int) -> Contributing:
    if not found:
        return Contributing(dataset, f"SELECT {_list(COORDINATES)} FROM {_view(dataset)}", (_CONDITION,))
    also = [_ALSO] if times > len({each.place for each in found}) else []
    notes = dict.fromkeys([*chain.from_iterable(each.notes for each in found), *also])
    return Contributing(dataset, " UNION DISTINCT ".join(dict.fromkeys(each.sql for each in found)), tuple(notes))


def _prepared(query: exp.Query, parameters: Mapping[str, datetime]) -> exp.Query:
    """The query with each `ref` as a view, each parameter as a value, and a name for each query that rows are taken from."""
    query = query.copy()
    for table in list(query.find_all(exp.Table)):
        if isinstance(table.this, exp.Anonymous):
            domain, _, name = table.this.expressions[0].name.partition(".")
            table.set("this", exp.to_identifier(name, quoted=True))
            table.set("db", exp.to_identifier(domain, quoted=True))
    for given in list(query.find_all(exp.Placeholder)):
        kind = given.args["kind"]
        written = kind if isinstance(kind, str) else kind.sql(dialect=_DIALECT)
        given.replace(
            exp.maybe_parse(
                f"CAST(toDateTime64('{moment(parameters[given.name])}', 6, 'UTC') AS {written})", dialect=_DIALECT
            )
        )
    for number, each in enumerate(query.find_all(exp.Subquery)):
        if isinstance(each.parent, exp.From | exp.Join) and not each.alias:
            each.set("alias", exp.TableAlias(this=exp.to_identifier(f"__q{number}")))
    return query


def _of(row: Mapping[str, Any]) -> Narrow:
    """The conditions on the result of the model itself."""

    def narrow(columns: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
        found = {name: equals(quoted(own), row[name]) if name in row else None for name, own in columns}
        untold = [name for name, condition in found.items() if condition is None]
        notes = [f"by {name} nothing is told: its value is not known, or cannot be compared" for name in untold]
        return [condition for condition in found.values() if condition is not None], notes

    return narrow


def _followed(
    query: exp.Expr, names: Names, narrow: Narrow, star: Sequence[str], notes: tuple[str, ...]
) -> Iterator[_Reached]:
    """The datasets that rows of a query come from. `star` are the columns that a `*` in it stands for, as far as known."""
    while isinstance(query, exp.Subquery):
        query = query.this
    if isinstance(query, exp.SetOperation):
        yield from _parts(query, names.within(query), narrow, star, notes)
    elif isinstance(query, exp.Select):
        yield from _Opened(query, names.within(query), narrow, star, notes).followed()


def _parts(
    query: exp.SetOperation, names: Names, narrow: Narrow, star: Sequence[str], notes: tuple[str, ...]
) -> Iterator[_Reached]:
    """Of a UNION, INTERSECT or EXCEPT. Its columns have the names of the first part, by their place in the others."""
    sides = [query.this] if isinstance(query, exp.Except) else [query.this, query.expression]
    first = query.this.named_selects
    cut = (LIMIT,) if query.args.get("limit") or query.args.get("offset") else ()
    notes = (*notes, _EXCEPT if isinstance(query, exp.Except) else _UNION, *cut)
    for side in sides:
        told = side.named_selects
        if side is query.this or "*" in (*first, *told) or len(first) != len(told):
            yield from _followed(side, names, narrow, star, notes)
        else:
            yield from _followed(side, names, _renamed(narrow, dict(zip(told, first, strict=True))), star, notes)


def _renamed(narrow: Narrow, names: Mapping[str, str]) -> Narrow:
    """Conditions on the columns of a further part of a UNION, which are known under the names of the first."""
    return lambda columns: narrow([(names[name], own) for name, own in columns])


class _Opened:
    """A SELECT whose rows are followed into what it reads."""

    def __init__(
        self, select: exp.Select, names: Names, narrow: Narrow, star: Sequence[str], notes: tuple[str, ...]
    ) -> None:
        self._select = select
        self._names = names
        self._dropped = made_of_several(select, names.scalars)
        kept = [each for each in select.expressions if each.alias_or_name not in self._dropped or is_star(each)]
        self._kept = [each for each in kept if not of_several(each)]
        told = list(told_columns(select, self._kept, star))
        conditions, untold = narrow([(name, name) for name in told])
        self._conditions = conditions
        self._notes = tuple(dict.fromkeys([*notes, *untold, *why_wider(select, told)]))

    def followed(self) -> Iterator[_Reached]:
        joins = [join for join in self._select.args.get("joins") or [] if join.args.get("kind") != "ARRAY"]
        for each in [self._select.args.get("from_"), *joins]:
            source = each.this if each is not None else None
            source = source.this if isinstance(source, exp.Final) else source
            if isinstance(source, exp.Table) and source.db:
                yield _Reached(_dataset(source), self._rows_of(source), self._notes, id(source))
            elif isinstance(source, exp.Table) and source.name in self._names.queries:
                yield from self._named(source)
            elif isinstance(source, exp.Subquery):
                yield from self._within(source, source.alias, self._names)

    def _named(self, source: exp.Table) -> Iterator[_Reached]:
        named = self._names.queries[source.name]
        given = named.cte.parent
        if given is not None and not given.args.get("recursive"):
            yield from self._within(named.cte.this, source.alias_or_name, named.sees)

    def _within(self, query: exp.Expr, alias: str, names: Names) -> Iterator[_Reached]:
        """What a query within this one takes its rows from."""
        star = _star_of(query, names)

        def narrow(told: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
            if not told:
                return [], []
            marks = [f"__k{number}" for number in range(len(told))]
            columns = [f"{quoted(alias)}.{quoted(name)} AS {mark}" for (name, _), mark in zip(told, marks, strict=True)]
            there = f"SELECT {_comparable(marks)} FROM ({self._body(columns)}){_where(self._conditions)}"
            return [f"({_comparable([quoted(own) for _, own in told])}) IN ({there})"], []

        unknown = (_STAR,) if star is None else ()
        yield from _followed(query, names, narrow, star or (), (*self._notes, *unknown))

    def _rows_of(self, source: exp.Table) -> str:
        """The coordinates of the rows of a dataset that contribute. Where a LEFT JOIN found none, they are nothing, or zeros."""
        where = quoted(source.alias) if source.alias else f"{quoted(source.db)}.{quoted(source.name)}"
        columns = [f"{where}.{name} AS _{name}" for name in COORDINATES]
        found = _where([*self._conditions, "__version > 0"])
        listed = ", ".join(f"_{name} AS {name}" for name in COORDINATES)
        return f"SELECT DISTINCT {listed} FROM ({self._body(columns)}){found}"

    def _body(self, columns: Sequence[str]) -> str:
        """The rows of the SELECT before they are grouped, sorted or cut, with further columns."""
        rest = {
            name: self._select.args[name].copy() for name in _KEPT if self._select.args.get(name) and name != "joins"
        }
        joins = [join.copy() for join in self._select.args.get("joins") or []]
        more: list[exp.Expr] = [exp.maybe_parse(column, dialect=_DIALECT) for column in columns]
        body = exp.Select(expressions=[*(each.copy() for each in self._kept), *more], joins=joins, **rest)
        return f"{self._names.clause(body, self._dropped)}{_sql(body)}"


def _star_of(query: exp.Expr, names: Names) -> Sequence[str] | None:
    """What a `*` in a query stands for that tells its rows apart; None when that is not known."""
    while isinstance(query, exp.Subquery):
        query = query.this
    if isinstance(query, exp.SetOperation):
        query = query.this
    if not isinstance(query, exp.Select) or not any(map(is_star, query.expressions)):
        return ()
    names = names.within(query)
    source = query.args["from_"].this if query.args.get("from_") else None
    source = source.this if isinstance(source, exp.Final) else source
    if query.args.get("joins") or source is None:
        return None
    if isinstance(source, exp.Table) and source.db:
        return _IDENTITY
    if isinstance(source, exp.Table) and source.name in names.queries:
        named = names.queries[source.name]
        return _columns_of(named.cte.this, named.sees)
    return _columns_of(source.this, names) if isinstance(source, exp.Subquery) else None


def _columns_of(query: exp.Expr, names: Names) -> Sequence[str] | None:
    star = _star_of(query, names)
    told = [name for name in query.named_selects if name not in ("", "*")] if isinstance(query, exp.Query) else []
    return None if star is None else [*told, *star]


def _comparable(columns: Sequence[str]) -> str:
    """Columns as they are compared with those of another query: IN never finds what is missing."""
    return ", ".join(f"isNull({each}), ifNull(toString({each}), '')" for each in columns)


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _dataset(table: exp.Table) -> str:
    return f"{table.db}.{table.name}"


def _view(dataset: str) -> str:
    domain, _, name = dataset.partition(".")
    return f"{quoted(domain)}.{quoted(name)}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _sql(each: exp.Expr) -> str:
    return each.sql(dialect=_DIALECT)

"""Decides what a query may read, and rewrites it so that it reads no more: each dataset as somebody sees it.

Every table is found by where its tokens stand, and what stands in its place is put there; no other text changes. As a second
look, no name of a domain may be left in front of a point where no table was found.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from headrace.access.policy import Sight
from headrace.contract.rules import RESERVED_DOMAINS
from headrace.sql_guard import RefusedQueryError, check_parts, cut, parsed, understood
from services.gateway.core.visible import quoted, visible

#: Beside the view of a dataset: the rows that were set aside, and each generation, with what the loader keeps.
_SIDE: Final = re.compile(r"(?P<dataset>[a-z][a-z0-9_]*?)__(quarantine|g\d+)")
_DATASET: Final = re.compile(r"[a-z]([a-z0-9]|_(?!_))*")


@dataclass(frozen=True, slots=True)
class Named:
    """A table that a query names, and where: its database is the token at `at`, its name the second after that."""

    database: str
    table: str
    at: int
    node: exp.Table

    @property
    def dataset(self) -> str:
        """The dataset whose table it is, or is called like."""
        side = _SIDE.fullmatch(self.table)
        return f"{self.database}.{side['dataset'] if side else self.table}"

    @property
    def beside(self) -> bool:
        """Whether it is not what a dataset shows, but a table beside that."""
        return _SIDE.fullmatch(self.table) is not None

    @property
    def path(self) -> str:
        """The table in a statement."""
        return f"{quoted(self.database)}.{quoted(self.table)}"


@dataclass(frozen=True, slots=True)
class Reading:
    """A query that only reads, and the tables it names."""

    sql: str
    query: exp.Query
    tokens: Sequence[Token]
    tables: tuple[Named, ...]

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets that are read, if they are there, each once."""
        return tuple(dict.fromkeys(table.dataset for table in self.tables))


@dataclass(frozen=True, slots=True)
class Readable:
    """What somebody may read of a dataset. `beside`: also the tables beside its view; `columns`: those of the view, where its
    sight is not whole.
    """

    sight: Sight
    beside: bool
    columns: tuple[str, ...] = ()


def reading(sql: str, parameters: Collection[str] = ()) -> Reading:
    """What a query reads. `parameters` may stand in it, in braces. Errors: RefusedQueryError."""
    query, tokens = parsed(sql)
    starts = {token.start: at for at, token in enumerate(tokens)}
    tables: list[Named] = []
    check_parts(query, tokens, lambda table: tables.append(_named(table, tokens, starts)), parameters)
    return Reading(sql, query, tokens, tuple(tables))


def rewritten(read: Reading, readable: Mapping[str, Readable], domains: Collection[str], limit: int) -> str:
    """The query as it is sent, cut to `limit` rows. What is not in `readable` is no dataset; `domains` are all there are.

    Errors: RefusedQueryError, also when a row filter does not fit the table.
    """
    _refuse_unseen(read.tables, readable)
    hidden = [table for table in read.tables if not table.beside and not readable[table.dataset].sight.whole]
    _refuse_of_tables(read.query, hidden)
    pieces = list(understood(read.sql, read.tokens))
    qualified = _qualified(read)
    _refuse_unfound(read.tokens, {table.at for table in read.tables} | set(qualified), {*domains, *RESERVED_DOMAINS})
    for table in hidden:
        pieces[table.at : table.at + 3] = [_stand_in(table, readable[table.dataset], _space(pieces[table.at])), "", ""]
    names = {(table.database, table.table) for table in hidden}
    for at, of in qualified.items():
        if of in names:  # the stand-in has the name of the table, and no database
            pieces[at : at + 2] = [_space(pieces[at]), ""]
    return cut("".join(pieces), read.query, limit)


def _named(table: exp.Table, tokens: Sequence[Token], starts: Mapping[int, int]) -> Named:
    """Where the tokens of a table are. Errors: RefusedQueryError when it is not the table of a dataset by its form."""
    written = table.sql(dialect="clickhouse")[:80]
    if not isinstance(table.this, exp.Identifier):
        raise RefusedQueryError(f"table functions are not allowed ({written}); name a dataset's table")
    database = table.args.get("db")
    if table.catalog:
        raise RefusedQueryError(f"{written} has too many parts: write domain.name")
    if not isinstance(database, exp.Identifier):
        raise RefusedQueryError(f"{table.name} is not a dataset: write domain.name")
    at = starts.get(database.meta.get("start", -1), -1)
    found = tokens[at : at + 3] if at >= 0 else ()
    place = table.this.meta.get("start")
    if len(found) < 3 or found[1].token_type != TokenType.DOT or found[2].start != place:
        raise RefusedQueryError(f"it cannot be told where {written} stands in the query: write domain.name")
    return Named(database.name, table.name, at, table)


def _refuse_unseen(tables: Sequence[Named], readable: Mapping[str, Readable]) -> None:
    """The same words for what is not there and for what somebody may not query: nothing is told by them."""
    for table in tables:
        seen = readable.get(table.dataset) if table.beside or _DATASET.fullmatch(table.table) else None
        if seen is None or (table.beside and not seen.beside):
            known = ", ".join(sorted(readable)) or "none of those that it names"
            raise RefusedQueryError(
                f"{table.database}.{table.table} is not a dataset's table that you may query (you may query: {known})"
            )


def _refuse_of_tables(query: exp.Query, hidden: Sequence[Named]) -> None:
    """What the engine does with tables alone, and not with the query that stands in for one."""
    for table in hidden:
        name = f"{table.database}.{table.table}"
        if isinstance(table.node.parent, exp.Final) or table.node.args.get("sample"):
            raise RefusedQueryError(f"{name} shows you a part of its rows: leave FINAL and SAMPLE out")
        if query.find(exp.PreWhere):
            raise RefusedQueryError(f"{name} shows you a part of its rows: write WHERE in the place of PREWHERE")
    given = {cte.alias for cte in query.find_all(exp.CTE)}
    if shadowed := next((each for each in hidden if each.table in given and not each.node.alias), None):
        name = f"{shadowed.database}.{shadowed.table}"
        raise RefusedQueryError(
            f"{name} shows you a part of its rows, and WITH gives its name to something else: name it with AS"
        )
    bare = Counter((id(table.node.parent_select), table.table) for table in hidden if not table.node.alias)
    for (_, called), count in bare.items():
        if count > 1:
            raise RefusedQueryError(f"there are {count} tables called {called} beside each other: name them with AS")


def _qualified(read: Reading) -> dict[int, tuple[str, str]]:
    """Where a column is named by the table with its database, such as nyc.flights.carrier."""
    starts = {token.start: at for at, token in enumerate(read.tokens)}
    tables = {(table.database, table.table) for table in read.tables}
    found: dict[int, tuple[str, str]] = {}
    for column in read.query.find_all(exp.Column):
        parts = column.parts
        of = (parts[0].name, parts[1].name) if len(parts) > 2 else None
        at = starts.get(parts[0].meta.get("start", -1))
        if of in tables and of is not None and at is not None:
            found[at] = of
    return found


def _refuse_unfound(tokens: Sequence[Token], found: Collection[int], domains: Collection[str]) -> None:
    """Whatever else the engine may take for the table of a domain."""
    for at in _pairs(tokens):
        if at not in found and tokens[at].text in domains:
            name = tokens[at].text
            raise RefusedQueryError(
                f"{name}.{tokens[at + 2].text} stands where no table is read; if {name} is a name that the query gives, "
                "give another"
            )


def _pairs(tokens: Sequence[Token]) -> Iterator[int]:
    """Where a name, a point and something else begin."""
    for at in range(len(tokens) - 2):
        after_point = at and tokens[at - 1].token_type == TokenType.DOT
        if tokens[at + 1].token_type == TokenType.DOT and not after_point:
            yield at


def _stand_in(table: Named, readable: Readable, space: str) -> str:
    name = "" if table.node.alias else f" AS {quoted(table.table)}"
    return f"{space}{visible(table.path, readable.columns, readable.sight)}{name}"


def _space(piece: str) -> str:
    return " " if piece.startswith(" ") else ""

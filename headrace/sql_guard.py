"""Decides which SQL may be asked of the warehouse: one query, over the tables of datasets, that only reads.

The warehouse's own read-only account is the wall; this is the gate before it, with clear words. What goes on is
the text as it was understood here, token by token and without comments, so that no trick of quoting can mean one
thing to this parser and another to the engine's.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import pairwise, takewhile
from operator import is_not
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

_DIALECT: Final = "clickhouse"
_ONLY_SELECT: Final = "only SELECT is allowed (also with WITH and UNION)"
_ONLY_CONDITION: Final = "write what may follow WHERE, for example flight = 1545 AND carrier = 'UA'"

#: Functions that read files, tables, dictionaries or models by name, or only pass time.
_REFUSED_FUNCTION: Final = re.compile(
    r"file|joinget(ornull)?|hascolumnintable|catboostevaluate|sleep(eachrow)?|dict(get|has|is).*"
    r"|(global)?(not)?(null)?in(ignoreset)?",
    re.IGNORECASE,
)
_STRINGS: Final = frozenset({TokenType.STRING, TokenType.HEREDOC_STRING})
_NOT_FUNCTIONS: Final = frozenset({TokenType.IN, TokenType.STRING})


class RefusedQueryError(ValueError):
    """The query is not one that may be asked. The message says why, and what to write instead."""


def guarded(sql: str, databases: Collection[str], limit: int) -> str:
    """The query as it may be sent, cut to `limit` rows. Errors: RefusedQueryError."""
    query, tokens = parsed(sql)
    check_parts(query, tokens, lambda table: _check_table(table, databases))
    text = "".join(understood(sql, tokens))
    if isinstance(query, exp.Select) and not any(query.args.get(name) for name in ("limit", "offset", "fetch")):
        return f"{text} LIMIT {limit}"
    return f"SELECT * FROM ({text}) LIMIT {limit}"  # noqa: S608


def tables_of(sql: str) -> set[str]:
    """The tables that a query names with their databases. Errors: RefusedQueryError."""
    return {f"{table.db}.{table.name}" for table in parsed(sql)[0].find_all(exp.Table) if table.db}


def guarded_condition(condition: str) -> str:
    """A condition over the rows of one table as it may stand in a WHERE: one expression, in parentheses, without a query in it.

    Errors: RefusedQueryError.
    """
    query, tokens = parsed(f"SELECT {condition}")
    given = {name for name, value in query.args.items() if value}
    if given != {"expressions"} or len(query.expressions) != 1 or isinstance(query.expressions[0], exp.Alias):
        raise RefusedQueryError(f"{condition[:80]} is not one condition: {_ONLY_CONDITION}")
    if any(node is not query for node in query.find_all(exp.Query)) or query.find(exp.Star):
        raise RefusedQueryError(f"a condition looks at the row alone, without a query of its own: {_ONLY_CONDITION}")
    check_parts(query, tokens, lambda table: _check_table(table, ()))
    return f"({''.join(understood(f'SELECT {condition}', tokens)).removeprefix('SELECT').strip()})"


def parsed(sql: str) -> tuple[exp.Query, Sequence[Token]]:
    """The query, and the tokens it is made of. Errors: RefusedQueryError when it is not one query."""
    try:
        tokens = [token for token in sqlglot.tokenize(sql, read=_DIALECT) if token.token_type != TokenType.SEMICOLON]
        statements = [statement for statement in sqlglot.parse(sql, read=_DIALECT) if statement is not None]
    except (SqlglotError, RecursionError) as error:
        raise RefusedQueryError(f"the query cannot be read: {_first_line(error)}") from error
    if len(statements) != 1:
        raise RefusedQueryError(f"expected one query, found {len(statements)}")
    statement = statements[0]
    if not isinstance(statement, exp.Query):
        raise RefusedQueryError(_ONLY_SELECT)
    return statement, tokens


def understood(sql: str, tokens: Sequence[Token]) -> Iterator[str]:
    """The text anew: quoted things quoted in one way, everything else as it was written. Errors: RefusedQueryError."""
    end = 0
    for token in tokens:
        if token.start > end:
            yield " "
        end = token.end + 1
        written = sql[token.start : end]
        if token.token_type in _STRINGS:
            yield f"'{_escaped(token.text, chr(39))}'"
        elif token.token_type == TokenType.IDENTIFIER:
            yield f"`{_escaped(token.text, '`')}`"
        elif any(quote in written for quote in "'\"`$"):
            raise RefusedQueryError(f"{written[:40]} is a kind of literal that is not supported")
        else:
            yield written


def _escaped(text: str, quote: str) -> str:
    return text.replace("\\", "\\\\").replace(quote, f"\\{quote}")


def check_parts(
    query: exp.Query,
    tokens: Sequence[Token],
    check_table: Callable[[exp.Table], None],
    parameters: Collection[str] = (),
) -> None:
    """Whether a query only reads. `check_table` judges its tables, but for the names its WITH gives; `parameters` may be in it.

    Errors: RefusedQueryError, and those of `check_table`.
    """
    for node in query.walk():
        _check(node, parameters)
        if isinstance(node, exp.Table) and not _is_named(node):
            check_table(node)
    for word, after in pairwise(tokens):
        if after.token_type == TokenType.L_PAREN and word.token_type not in _NOT_FUNCTIONS:
            _check_function(word.text)


def _is_named(table: exp.Table) -> bool:
    """Whether a table is a query that a WITH names, where it stands: one in front of it, of its own query or one around that.

    What the engine would look up among its tables is none, whatever is named elsewhere; sqlglot's own scopes take some for names.
    """
    if not isinstance(table.this, exp.Identifier) or table.db:
        return False
    node: exp.Expr | None = table
    while node is not None and (above := node.parent) is not None:
        if isinstance(node, exp.CTE):
            seen = [*takewhile(partial(is_not, node), above.expressions), *([node] if _recurs(node, table) else [])]
            node = above.parent
        else:
            given = above.args.get("with_")
            seen = given.expressions if given is not None and given is not node and _reaches(above, table) else []
            node = above
        if (found := next((cte for cte in reversed(seen) if cte.alias == table.name), None)) is not None:
            return not found.args.get("scalar")  # a value has that name: after FROM it means a table all the same
    return False


def _recurs(cte: exp.CTE, table: exp.Table) -> bool:
    """Whether a table within a named query may be that query itself: only behind the first part of a WITH RECURSIVE's UNION."""
    union = cte.this
    recursive = cte.parent is not None and bool(cte.parent.args.get("recursive"))
    return recursive and isinstance(union, exp.Union) and not _is_within(table, _first_part(union))


def _reaches(query: exp.Expr, table: exp.Table) -> bool:
    """Whether the WITH of a query is one of a table within it: in the midst of a UNION it is of the part alone that it is at."""
    further = isinstance(query.parent, exp.SetOperation) and query.arg_key == "expression"
    return not (further and isinstance(query, exp.SetOperation)) or _is_within(table, _first_part(query))


def _first_part(query: exp.Expr) -> exp.Expr:
    while isinstance(query, exp.SetOperation):
        query = query.this
    return query


def _is_within(node: exp.Expr | None, query: exp.Expr) -> bool:
    while node is not None and node is not query:
        node = node.parent
    return node is not None


def _check(node: exp.Expr, parameters: Collection[str]) -> None:
    if isinstance(node, exp.DML | exp.DDL | exp.Command) and not isinstance(node, exp.Query):
        raise RefusedQueryError(_ONLY_SELECT)
    if isinstance(node, exp.Placeholder | exp.Parameter):
        if node.name not in parameters:
            known = f"; there are {', '.join(sorted(parameters))}" if parameters else ""
            raise RefusedQueryError(f"query parameters are not supported; write the value into the query{known}")
    elif isinstance(node, exp.Query) and any(node.args.get(name) for name in ("settings", "format", "into")):
        raise RefusedQueryError("SETTINGS, FORMAT and INTO OUTFILE are not allowed: leave them out")
    elif isinstance(node, exp.In) and _may_name_a_table(node):
        raise RefusedQueryError("IN takes values or a query here: write IN (1, 2) or IN (SELECT ...)")


def _may_name_a_table(node: exp.In) -> bool:
    """ClickHouse reads a lone name after IN as a table, also in parentheses, and with a name for it."""
    if node.args.get("field") is not None:
        return True
    alone = node.expressions[0] if len(node.expressions) == 1 else None
    while isinstance(alone, exp.Paren | exp.Alias):
        alone = alone.this
    return isinstance(alone, exp.Column)


def _check_function(name: str) -> None:
    if _REFUSED_FUNCTION.fullmatch(name):
        raise RefusedQueryError(f"the function {name} is not allowed in queries")


def _check_table(table: exp.Table, databases: Collection[str]) -> None:
    written = table.sql(dialect=_DIALECT)[:80]
    if not isinstance(table.this, exp.Identifier):
        raise RefusedQueryError(f"table functions are not allowed ({written}); name a dataset's table")
    if table.catalog:
        raise RefusedQueryError(f"{written} has too many parts: write domain.name")
    if not table.db:
        raise RefusedQueryError(f"{table.name} is not a dataset: write domain.name")
    if table.db not in databases:
        known = ", ".join(sorted(databases)) or "none yet"
        raise RefusedQueryError(f"{table.db}.{table.name} is not a dataset's table; the known domains are: {known}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].replace("\x1b[4m", "").replace("\x1b[0m", "") or type(error).__name__

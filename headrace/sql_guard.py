"""Decides which SQL may be asked of the warehouse: one query, over the tables of datasets, that only reads.

The warehouse's own read-only account is the wall; this is the gate before it, with clear words. What goes on is
the text as it was understood here, token by token and without comments, so that no trick of quoting can mean one
thing to this parser and another to the engine's.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import takewhile
from operator import is_not
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from headrace.sql_functions import WORDS, is_allowed

_DIALECT: Final = "clickhouse"
_ONLY_SELECT: Final = "only SELECT is allowed (also with WITH and UNION)"
_ONLY_CONDITION: Final = "write what may follow WHERE, for example flight = 1545 AND carrier = 'UA'"

#: Without parentheses, and about who asks.
_REFUSED_WORDS: Final = frozenset({"current_user", "session_user", "current_database"})
_STATE: Final = "aggregatefunction"
_WORD: Final = re.compile(r"[A-Za-z_]\w*( +[A-Za-z_]\w*)*", re.ASCII)
_PRINTABLE: Final = re.compile(r"[ -~]+")
_STRINGS: Final = frozenset({TokenType.STRING, TokenType.HEREDOC_STRING})
_QUOTED: Final = _STRINGS | {TokenType.IDENTIFIER}


class RefusedQueryError(ValueError):
    """The query is not one that may be asked. The message says why, and what to write instead."""


def guarded(sql: str, databases: Collection[str], limit: int) -> str:
    """The query as it may be sent, cut to `limit` rows. Errors: RefusedQueryError."""
    query, tokens = parsed(sql)
    check_parts(query, tokens, lambda table: _check_table(table, databases))
    return cut("".join(understood(sql, tokens)), query, limit)


def cut(text: str, query: exp.Query, limit: int) -> str:
    """The text of a query, cut to `limit` rows."""
    if isinstance(query, exp.Select) and not any(query.args.get(name) for name in ("limit", "offset", "fetch")):
        return f"{text} LIMIT {limit}"
    return f"SELECT * FROM ({text}) LIMIT {limit}"  # noqa: S608


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
    """The text anew, a piece for each token: quoted things quoted in one way, all others as they were written, with a space in
    front where there was anything. Errors: RefusedQueryError.
    """
    end = 0
    for token in tokens:
        space = " " if token.start > end else ""
        end = token.end + 1
        yield f"{space}{_piece(token, sql[token.start : end])}"


def _piece(token: Token, written: str) -> str:
    if "\0" in written or _STATE in token.text.lower():
        raise RefusedQueryError(
            "there is something in the query that is not allowed: a zero byte, or the state of an aggregate"
        )
    if token.token_type in _STRINGS:
        return f"'{_escaped(token.text, chr(39))}'"
    if token.token_type == TokenType.IDENTIFIER:
        return f"`{_escaped(token.text, '`')}`"
    if any(quote in written for quote in "'\"`$"):
        raise RefusedQueryError(f"{written[:40]} is a kind of literal that is not supported")
    if not _PRINTABLE.fullmatch(
        written
    ):  # what one of the two parsers takes for a letter, the other may take for a space
        raise RefusedQueryError(
            f"{written[:40]!r} has characters that names have in quotes only: write `{written[:40]}`"
        )
    return written


def _escaped(text: str, quote: str) -> str:
    return text.replace("\\", "\\\\").replace(quote, f"\\{quote}")


def check_parts(
    query: exp.Query,
    tokens: Sequence[Token],
    check_table: Callable[[exp.Table], None],
    parameters: Collection[str] = (),
    functions: Collection[str] = (),
) -> None:
    """Whether a query only reads. `check_table` judges its tables, but for the names its WITH gives; `parameters` may be in it,
    and calls of `functions` beside those that every query may call.

    Errors: RefusedQueryError, and those of `check_table`.
    """
    _check_parameters(tokens)
    named = set()
    for node in query.walk():
        _check(node, parameters)
        if isinstance(node, exp.Table) and not _is_named(node):
            check_table(node)
        if isinstance(node, exp.TableAlias) and node.columns:
            named.add(node.this.meta.get("start"))
    _check_lambdas(query, tokens)
    for at, word in enumerate(tokens):
        if word.text.lower() in _REFUSED_WORDS and word.token_type not in _QUOTED:
            raise RefusedQueryError(f"{word.text} is not allowed in queries")
        if at + 1 < len(tokens) and tokens[at + 1].token_type == TokenType.L_PAREN and word.start not in named:
            _check_function(word, functions)
        if word.text.lower() == "apply" and word.token_type != TokenType.STRING:
            _check_applied(tokens[at + 1 : at + 4])


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
    if isinstance(node, exp.From | exp.Join | exp.Subquery | exp.Lateral | exp.Unnest):
        _check_source(node)
    if isinstance(node, exp.Placeholder | exp.Parameter):
        if node.name not in parameters:
            known = f"; there are {', '.join(sorted(parameters))}" if parameters else ""
            raise RefusedQueryError(f"query parameters need values, and {node.name or 'one'} has none{known}")
    elif isinstance(node, exp.Query) and any(node.args.get(name) for name in ("settings", "format", "into")):
        raise RefusedQueryError("SETTINGS, FORMAT and INTO OUTFILE are not allowed: leave them out")
    elif isinstance(node, exp.In) and _may_name_a_table(node):
        raise RefusedQueryError("IN takes values or a query here: write IN (1, 2) or IN (SELECT ...)")


def _check_source(node: exp.Expr) -> None:
    """Rows come from tables and queries alone. `(SHOW TABLES)` is a table to sqlglot, and a statement to the engine."""
    source = node.this.this if isinstance(node.this, exp.Final) else node.this
    joins = node.args.get("kind") == "ARRAY"
    allowed = exp.Query if isinstance(node, exp.Subquery) else exp.Table | exp.Subquery
    if isinstance(node, exp.Lateral | exp.Unnest) or not (joins or isinstance(source, allowed)):
        written = source.sql(dialect=_DIALECT)[:80]
        raise RefusedQueryError(f"rows cannot come from {written}: name a dataset's table, or write (SELECT ...)")


def _may_name_a_table(node: exp.In) -> bool:
    """ClickHouse reads a lone name after IN as a table, also in parentheses, and with a name for it."""
    if (field := node.args.get("field")) is not None:
        return not isinstance(field, exp.Placeholder)
    alone = node.expressions[0] if len(node.expressions) == 1 else None
    while isinstance(alone, exp.Paren | exp.Alias):
        alone = alone.this
    return isinstance(alone, exp.Column)


def _check_lambdas(query: exp.Query, tokens: Sequence[Token]) -> None:
    """A function with a name of its own could stand in for one that somebody else's condition calls, such as `equals`."""
    arrows = sum(token.token_type == TokenType.ARROW for token in tokens)
    lambdas = [
        node for node in query.find_all(exp.Lambda) if not isinstance(node.parent, exp.Alias | exp.CTE | exp.Paren)
    ]
    if arrows != len(lambdas):
        raise RefusedQueryError("x -> ... stands where it is called, without a name: arrayMap(x -> x + 1, [1, 2])")


def _check_parameters(tokens: Sequence[Token]) -> None:
    """A parameter is a value: as a name it could be one of a table."""
    for brace, _, colon, kind in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        is_parameter = brace.token_type == TokenType.L_BRACE and colon.token_type == TokenType.COLON
        if is_parameter and kind.text.lower() == "identifier":
            raise RefusedQueryError("parameters are values, and no names: write the name into the query")


def _check_function(word: Token, functions: Collection[str]) -> None:
    """Whether what stands before a parenthesis may be called, if it is called at all."""
    if word.token_type in _STRINGS or (word.token_type != TokenType.IDENTIFIER and not _WORD.fullmatch(word.text)):
        return
    name = word.text.lower()
    if is_allowed(name) or name in functions or (word.token_type != TokenType.IDENTIFIER and name.split()[-1] in WORDS):
        return
    raise RefusedQueryError(f"the function {word.text[:80]} is not allowed in queries")


def _check_applied(following: Sequence[Token]) -> None:
    """Whether APPLY, if it is that, applies what may be called: `APPLY(f)` names it without calling it.

    `APPLY f` does not get through the parser, so that without parentheses it is a column of that name.
    """
    if len(following) < 3 or following[0].token_type != TokenType.L_PAREN:
        return
    name = following[1].text
    if following[2].token_type != TokenType.ARROW and not is_allowed(name):
        raise RefusedQueryError(f"the function {name[:80]} is not allowed in queries")


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

"""Decides which SQL a model may be, which datasets it reads, and as what it goes to the warehouse.

It is one query that only reads, over `ref('domain.name')` and nothing else: so what it depends on is known, and nobody reaches
files, other hosts or the warehouse's own tables with it.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from headrace.contract.rules import RESERVED_DOMAINS
from headrace.sql_guard import RefusedQueryError, check_parts, parsed, understood

REF: Final = "ref"
EVERY: Final = "*"
MAX_CHARACTERS: Final = 50_000
_DATASET: Final = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_REFERENCE: Final = (TokenType.L_PAREN, TokenType.STRING, TokenType.R_PAREN)
_INSTEAD: Final = "name the rows of a dataset as ref('domain.name')"


@dataclass(frozen=True, slots=True)
class ModelQuery:
    """The SQL of a model in ClickHouse's dialect, as it is sent: without comments, each `ref` as the view of its dataset.

    `mentioned` are the columns it names, in lower case, and EVERY where there is a `*`; `gives` those of its result.
    """

    text: str
    references: tuple[str, ...]
    parameters: frozenset[str]
    mentioned: frozenset[str] = frozenset()
    gives: tuple[str, ...] = ()


@lru_cache(256)
def model_query(sql: str, parameters: Collection[str] = frozenset()) -> ModelQuery:
    """The query of a model. `parameters` are the names that may stand in braces in it. Errors: RefusedQueryError."""
    if len(sql) > MAX_CHARACTERS:
        raise RefusedQueryError(f"the query has {len(sql)} characters; {MAX_CHARACTERS} are the most")
    query, tokens = parsed(sql)
    check_parts(query, tokens, _check_table, parameters, (REF,))
    for select in query.find_all(exp.Select):
        _check_sources(select)
    found = list(query.find_all(exp.Table))
    references = dict.fromkeys(_referred(table) for table in found if isinstance(table.this, exp.Anonymous))
    if not references:
        raise RefusedQueryError(f"a model reads at least one dataset: {_INSTEAD}")
    text, replaced = _resolved(sql, tokens)
    if replaced != sum(isinstance(table.this, exp.Anonymous) for table in found):
        raise RefusedQueryError("ref('domain.name') stands for a table: write it after FROM or JOIN")
    return ModelQuery(
        text,
        tuple(references),
        frozenset(each.name for each in query.find_all(exp.Placeholder)),
        frozenset(_mentioned(query)),
        tuple(name for name in query.named_selects if name not in ("", EVERY)),
    )


def _mentioned(query: exp.Query) -> Iterator[str]:
    """The names of columns anywhere in a query. The `*` of `count(*)` names none."""
    for column in query.find_all(exp.Column):
        yield EVERY if isinstance(column.this, exp.Star) else column.name.lower()
    for join in query.find_all(exp.Join):
        yield from (identifier.name.lower() for identifier in join.args.get("using") or [])
    if any(isinstance(each, exp.Star) for select in query.find_all(exp.Select) for each in select.expressions):
        yield EVERY


def _check_table(table: exp.Table) -> None:
    written = table.sql(dialect="clickhouse")[:80]
    if isinstance(table.this, exp.Anonymous) and table.this.name.lower() == REF:
        _referred(table)
        return
    if not isinstance(table.this, exp.Identifier):
        raise RefusedQueryError(f"table functions are not allowed in a model ({written}): {_INSTEAD}")
    instead = f"ref('{table.db}.{table.name}')" if table.db else "ref('domain.name')"
    raise RefusedQueryError(f"a model reads tables by ref alone: write {instead} in the place of {written}")


def _check_sources(select: exp.Select) -> None:
    """Errors: RefusedQueryError when rows come from something that is neither a table nor a query, such as VALUES."""
    source = select.args.get("from_")
    joined = [join for join in select.args.get("joins") or [] if join.args.get("kind") != "ARRAY"]
    for each in [*([source] if source else []), *joined]:
        if not isinstance(each.this, exp.Table | exp.Subquery):
            raise RefusedQueryError(f"rows cannot come from {each.this.sql(dialect='clickhouse')[:80]}: {_INSTEAD}")


def _referred(table: exp.Table) -> str:
    """The dataset that a `ref` names. Errors: RefusedQueryError when it names none."""
    given = table.this.expressions
    name = given[0].name if len(given) == 1 and isinstance(given[0], exp.Literal) and given[0].is_string else ""
    if not _DATASET.fullmatch(name):
        written = table.this.sql(dialect="clickhouse")[:80]
        raise RefusedQueryError(f"{written} names no dataset: write ref('domain.name')")
    if name.partition(".")[0] in RESERVED_DOMAINS:
        raise RefusedQueryError(f"{name} is no dataset, but a table of the warehouse's own: {_INSTEAD}")
    return str(name)


def _resolved(sql: str, tokens: Sequence[Token]) -> tuple[str, int]:
    """(The text with each `ref` as a view, how many there were)."""
    parts = list(understood(sql, tokens))
    at, count, text = 0, 0, ""
    while at < len(tokens):
        if _is_reference(tokens, at):
            domain, _, name = tokens[at + 2].text.partition(".")
            text += f"{' ' if parts[at].startswith(' ') else ''}`{domain}`.`{name}`"
            at, count = at + 4, count + 1
        else:
            text += parts[at]
            at += 1
    return text, count


def _is_reference(tokens: Sequence[Token], at: int) -> bool:
    following = tuple(token.token_type for token in tokens[at + 1 : at + 4])
    return (
        tokens[at].text.lower() == REF
        and tokens[at].token_type
        not in (
            TokenType.STRING,
            TokenType.IDENTIFIER,
        )
        and following == _REFERENCE
    )

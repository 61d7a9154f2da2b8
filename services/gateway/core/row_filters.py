"""Decides which conditions may filter the rows that a grant shows."""

from collections.abc import Collection
from functools import lru_cache
from itertools import pairwise
from typing import Final

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from headrace.sql_functions import is_aggregate
from headrace.sql_guard import RefusedQueryError, guarded_condition, parsed

_MAX_CHARACTERS: Final = 10_000
_VALUES: Final = (TokenType.STRING, TokenType.HEREDOC_STRING)
_MULTIPLIES: Final = ("arrayjoin", "unnest")


def checked_rows(condition: str, columns: Collection[str]) -> str:
    """A condition over one row of a table that has these columns, as it may stand in a query, in parentheses.

    It names columns of the table alone: another name could be one that the query around it gives to something else. Without
    `columns` the table is not known yet, and that is looked at when it is read.
    Errors: RefusedQueryError.
    """
    return _checked(condition, frozenset(columns))


@lru_cache(1024)
def _checked(condition: str, columns: frozenset[str]) -> str:
    if len(condition) > _MAX_CHARACTERS:
        raise RefusedQueryError(f"the condition has {len(condition)} characters; {_MAX_CHARACTERS} are the most")
    guarded = guarded_condition(condition)
    query, tokens = parsed(f"SELECT {condition}")
    for word, after in pairwise(tokens):
        called = after.token_type == TokenType.L_PAREN and word.token_type not in _VALUES
        if called and (word.text.lower() in _MULTIPLIES or is_aggregate(word.text)):
            raise RefusedQueryError(f"a row filter looks at one row: {word.text} is about several")
    unknown = [column.sql(dialect="clickhouse") for column in query.find_all(exp.Column) if not _is_of(column, columns)]
    if columns and unknown:
        named = ", ".join(unknown)
        raise RefusedQueryError(f"there is no column {named}; there are {', '.join(sorted(columns))}")
    return guarded


def _is_of(column: exp.Column, columns: Collection[str]) -> bool:
    """Whether it is a column of the table, or a part of one."""
    parts = [part.name for part in column.parts]
    return any(".".join(parts[:count]) in columns for count in range(1, len(parts) + 1))

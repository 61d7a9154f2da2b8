"""The statements that keep the table of another dataset; `changes` is what they read."""

# ruff: noqa: S608 - names and values are quoted by `headrace.transform.quoting`, conditions were examined by `headrace.contract`

from collections.abc import Iterable, Sequence
from typing import Final

import sqlglot
from sqlglot import exp

from headrace.contract import Check, CompiledTransform, References
from headrace.transform.quoting import quoted

CHANGES: Final = "changes"


def needed(compiled: CompiledTransform, checks: Iterable[Check]) -> dict[str, frozenset[str]]:
    """The columns that may be asked of each dataset referred to.

    Every column name in the SQL counts for all of them: those that a dataset does not have are not kept.
    """
    named = frozenset(column.name for column in sqlglot.parse_one(compiled.sql, dialect="duckdb").find_all(exp.Column))
    columns = dict.fromkeys(compiled.references, named)
    for check in checks:
        if isinstance(check, References):
            columns[check.dataset] = columns.get(check.dataset, frozenset()) | {check.to}
    return columns


def create(table: str) -> str:
    """An empty table with the columns of `changes`."""
    return f"CREATE OR REPLACE TABLE {quoted(table)} AS SELECT * FROM {CHANGES}"


def append(table: str, names: Iterable[str]) -> str:
    """Add `changes`."""
    return f"INSERT INTO {quoted(table)} SELECT {_listed(names)} FROM {CHANGES} WHERE NOT __deleted"


def upsert(table: str, names: Iterable[str], key: Sequence[str]) -> str:
    """Let the last change of each key replace what the table has under it, or delete it."""
    same = " AND ".join(f"kept.{quoted(name)} IS NOT DISTINCT FROM {CHANGES}.{quoted(name)}" for name in key)
    latest = f"QUALIFY row_number() OVER (PARTITION BY {_listed(key)} ORDER BY __at DESC) = 1"
    return (
        f"DELETE FROM {quoted(table)} AS kept USING {CHANGES} WHERE {same}; "
        f"INSERT INTO {quoted(table)} SELECT {_listed(names)} FROM (SELECT * FROM {CHANGES} {latest}) WHERE NOT __deleted"
    )


def drop(table: str) -> str:
    """Without the table, and how old its rows are."""
    return f"DROP TABLE IF EXISTS {quoted(table)}; DROP TABLE IF EXISTS {_ages(table)}"


def create_ages(table: str, key: Sequence[str]) -> str:
    """An empty table of how old the row of each key is, also of one that was deleted. `changes` have the columns of the key."""
    return f"CREATE OR REPLACE TABLE {_ages(table)} AS SELECT {_listed(key)}, 0::BIGINT AS __age FROM {CHANGES}"


def upsert_by_age(table: str, names: Iterable[str], key: Sequence[str]) -> str:
    """Like `upsert`, where changes may be older than what the table has: `__age` of `changes` says which is the newer."""
    latest = f"QUALIFY row_number() OVER (PARTITION BY {_listed(key)} ORDER BY __age DESC, __at DESC) = 1"

    def same(other: str) -> str:
        return " AND ".join(f"{other}.{quoted(name)} IS NOT DISTINCT FROM newest.{quoted(name)}" for name in key)

    return (
        f"CREATE OR REPLACE TEMP TABLE newest AS SELECT * FROM {CHANGES} {latest}; "
        f"DELETE FROM newest USING {_ages(table)} AS known WHERE {same('known')} AND known.__age > newest.__age; "
        f"DELETE FROM {quoted(table)} AS kept USING newest WHERE {same('kept')}; "
        f"DELETE FROM {_ages(table)} AS known USING newest WHERE {same('known')}; "
        f"INSERT INTO {quoted(table)} SELECT {_listed(names)} FROM newest WHERE NOT __deleted; "
        f"INSERT INTO {_ages(table)} SELECT {_listed(key)}, __age FROM newest"
    )


def _ages(table: str) -> str:
    return quoted(f"ages of {table}")  # a name that no dataset's table has


def _listed(names: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in names)

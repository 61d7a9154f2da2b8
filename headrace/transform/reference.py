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
        f"BEGIN; DELETE FROM {quoted(table)} AS kept USING {CHANGES} WHERE {same}; "
        f"INSERT INTO {quoted(table)} SELECT {_listed(names)} FROM (SELECT * FROM {CHANGES} {latest}) WHERE NOT __deleted; COMMIT"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in names)

"""Which SQL only looks: one SELECT that writes nothing, also to no file that the engine itself may write to."""

import json
from collections.abc import Iterator
from typing import Any, Final

import duckdb

from headrace.errors import Fatal

#: DuckDB takes INSERT, UPDATE, DELETE and COPY TO as a part of a SELECT: a transaction that is read-only refuses the first three.
LOOK: Final = "BEGIN TRANSACTION READ ONLY"
_WRITES: Final = "COPY"


class Looking:
    """Says of the SQL that a connection is asked whether it only looks. What was looked into once is known."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._known: set[str] = set()

    def examine(self, sql: str) -> None:
        """Within a transaction that is read-only. Errors: Fatal; duckdb.Error, where it cannot be planned."""
        if sql in self._known:
            return
        kinds = [statement.type for statement in self._connection.extract_statements(sql)]
        if kinds != [duckdb.StatementType.SELECT]:
            raise Fatal("the SQL of the dataset file is not one SELECT")
        [(_, plan)] = self._connection.execute(f"EXPLAIN (FORMAT json) {sql}").fetchall()
        if any(_WRITES in name.upper() for root in json.loads(plan) for name in _operators(root)):
            raise Fatal("the SQL of the dataset file writes a file")
        self._known.add(sql)


def _operators(node: dict[str, Any]) -> Iterator[str]:
    yield node["name"]
    for child in node.get("children", ()):
        yield from _operators(child)

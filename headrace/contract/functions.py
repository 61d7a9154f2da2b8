"""What DuckDB says of its functions: which are aggregates, and which give another result another time.

Beside them, the functions that Headrace adds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import duckdb
from sqlglot import exp

#: Words and macros that depend on the clock, the session or a file, beyond what the catalogue marks as such.
_ALSO_UNSTABLE: Final = frozenset(
    {
        *("current_timestamp", "current_time", "current_date", "current_localtime", "current_localtimestamp"),
        *("localtime", "localtimestamp", "ago", "sysdate", "unix_timestamp"),
        *("current_user", "current_role", "current_catalog", "session_user", "user", "getenv", "get_block_size"),
    }
)
#: Macros that hide an aggregate.
_ALSO_AGGREGATES: Final = frozenset(
    {
        *("geomean", "geometric_mean", "wavg", "weighted_avg"),
        *("json_group_array", "json_group_object", "json_group_structure", "variant_group_array"),
    }
)
#: Marked volatile, yet the same for the same row.
_STABLE: Final = frozenset({"error"})


@dataclass(frozen=True, slots=True)
class OwnFunction:
    """A function that Headrace adds. `keyed` ones need `transform.hash_key`. What they do: `headrace.transform.personal`."""

    name: str
    parameters: tuple[str, ...]
    keyed: bool = False

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.parameters)})"


#: The functions that keep personal data out of the published table.
MASK: Final = OwnFunction("mask", ("value", "first", "last"))
KEYED_HASH: Final = OwnFunction("keyed_hash", ("value",), keyed=True)
TOKENISE: Final = OwnFunction("tokenise", ("value",), keyed=True)
OWN: Final = {own.name: own for own in (MASK, KEYED_HASH, TOKENISE)}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The names of DuckDB's functions, in lower case."""

    known: frozenset[str]
    aggregates: frozenset[str]
    windows: frozenset[str]
    unstable: frozenset[str]


@cache
def catalogue() -> Catalogue:
    """The functions of the DuckDB that is installed, which is the one that runs the transforms."""
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT lower(function_name), function_type, coalesce(stability, '') FROM duckdb_functions()"
        ).fetchall()
    unstable = {name for name, _, stability in rows if stability in ("VOLATILE", "CONSISTENT_WITHIN_QUERY")}
    return Catalogue(
        known=frozenset(name for name, kind, _ in rows if kind in ("scalar", "aggregate", "macro", "window")),
        aggregates=frozenset(name for name, kind, _ in rows if kind == "aggregate") | _ALSO_AGGREGATES,
        windows=frozenset(name for name, kind, _ in rows if kind == "window"),
        unstable=(frozenset(unstable) | _ALSO_UNSTABLE) - _STABLE,
    )


def calls(tree: exp.Expr) -> Iterator[tuple[exp.Expr, str]]:
    """Every function call of a query, with the name under which DuckDB would run it."""
    for call in tree.find_all(exp.Func):
        if isinstance(call, exp.Anonymous):
            yield call, str(call.name).lower()
        elif head := re.match(r"([A-Za-z_][A-Za-z0-9_]*)(?=\s*\(|$)", call.sql(dialect="duckdb")):
            yield call, head[1].lower()

"""Decides how a table is read by somebody who may not see all of it: the query that stands in for the table."""

from collections.abc import Iterable, Mapping
from typing import Final

from headrace.access.policy import Rows, Sight
from headrace.sql_guard import RefusedQueryError
from services.gateway.core.row_filters import checked_rows

#: What every query over such a subquery needs: the engine's memory of which granules a condition is true in was found to leave
#: rows out (26.9).
NEEDED: Final[Mapping[str, str]] = {"use_query_condition_cache": "0"}
_ALL: Final = 2**64 - 1


def quoted(name: str) -> str:
    """A name as ClickHouse reads it, whatever is in it."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def visible(table: str, columns: Iterable[str], sight: Sight) -> str:
    """The query whose rows somebody sees of a table, in parentheses; `table` is quoted, its `columns` are not.

    A hidden value is NULL, also to conditions, joins and sums around it: nothing can be found out by filtering by it. Nor is
    anything around it computed of a hidden row: the engine moves conditions and expressions below anything but a LIMIT, and
    `toInt32(name)` would tell by its error what a hidden name is.

    Errors: RefusedQueryError when a condition does not fit the table: a name that it does not have would be looked up in the
    query around it.
    """
    shown = {name: sight.of_column(name) for name in columns}
    _check(table, shown, sight)
    partly = dict.fromkeys(where for where in shown.values() if where != "all")
    flags: dict[Rows, str] = {where: f"`__shown_{at}`" for at, where in enumerate(partly)}
    selected = ", ".join(_column(name, flags.get(where)) for name, where in shown.items())
    # Conditions stand in a query of their own: here their names could mean the masked columns.
    seen = "".join(f", {_condition(where)} AS {flag}" for where, flag in flags.items())
    where = "" if sight.rows == "all" else f" WHERE {_condition(sight.rows)}"
    return f"(SELECT {selected} FROM (SELECT *{seen} FROM {table}{where}) LIMIT {_ALL})"  # noqa: S608  # guarded when they are granted


def _check(table: str, columns: Iterable[str], sight: Sight) -> None:
    try:
        for condition in sight.conditions:
            checked_rows(condition, frozenset(columns))
    except RefusedQueryError as error:
        raise RefusedQueryError(
            f"{table.replace('`', '')} cannot be read: what you may see of it depends on columns that it does not have; "
            "ask whoever granted it"
        ) from error


def _column(name: str, flag: str | None) -> str:
    if flag is None:
        return quoted(name)
    return f"if({flag}, {quoted(name)}, NULL) AS {quoted(name)}"


def _condition(rows: Rows) -> str:
    """True where a row counts; a condition that is neither true nor false hides it."""
    return " OR ".join(f"ifNull({condition}, 0)" for condition in rows if rows != "all") or "0"

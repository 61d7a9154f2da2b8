"""Reads some rows of a dataset as somebody sees them."""

from dataclasses import dataclass, field
from typing import Any, Final

from headrace.access.policy import Sight
from services.gateway.adapters.warehouse import QueryError, Warehouse
from services.gateway.core.query_errors import told
from services.gateway.core.visible import NEEDED, quoted, visible

_MOST_COLUMNS: Final = 10_000
_COLUMNS: Final = (
    "SELECT name FROM system.columns WHERE database = {domain:String} AND table = {name:String} ORDER BY position"
)


@dataclass(frozen=True, slots=True)
class Sampled:
    """Some rows, with the columns that are not shown in all of them."""

    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)


def sampled(warehouse: Warehouse, dataset: str, sight: Sight, limit: int) -> Sampled:
    """Some rows of a dataset's table; nothing before its first row is loaded. Errors: those of `query`; RefusedQueryError."""
    domain, _, name = dataset.partition(".")
    found = warehouse.query(_COLUMNS, _MOST_COLUMNS, {"domain": domain, "name": name}).rows
    every = [str(column) for [column] in found]
    columns = [column for column in every if not column.startswith("_")]
    if not columns:
        return Sampled()
    seen = visible(f"{quoted(domain)}.{quoted(name)}", every, sight)
    listed = ", ".join(map(quoted, columns))
    try:
        answer = warehouse.query(f"SELECT {listed} FROM {seen} LIMIT {int(limit)}", limit, needed=NEEDED)  # noqa: S608
    except QueryError as error:
        if error.no_table:
            return Sampled()
        if sight.whole:
            raise
        raise QueryError(told(str(error), error.code, ()), error.code) from None
    return Sampled(answer.columns, answer.rows, [column for column in columns if sight.of_column(column) != "all"])

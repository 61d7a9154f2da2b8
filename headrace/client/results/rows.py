"""Rows of the warehouse and of topics."""

from datetime import datetime
from typing import Any

from headrace.client.results.base import Result


class Column(Result):
    """A column of a query's answer."""

    name: str
    type: str


class QueryResult(Result):
    """The answer to a query."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    row_count: int
    truncated: bool = False
    elapsed_ms: float | None = None


class TailRecord(Result):
    """A record of one of a dataset's topics."""

    partition: int
    offset: int
    timestamp: datetime | None = None
    fields: Any = None
    error: str | None = None  # why it cannot be decoded

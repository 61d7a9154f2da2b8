"""Rows of the warehouse and of topics."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.client import html
from headrace.client.results.base import Result

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class Column(Result):
    """A column of a query's answer."""

    name: str
    type: str


class ReadDataset(Result):
    """A dataset that was read: all that its source had by `complete_through` was among its rows; None: not known."""

    dataset: str
    complete_through: datetime | None = None
    loaded_at: datetime | None = None
    rows_in_flight: int = 0
    waiting_for: tuple[str, ...] = ()
    partial: bool = False


class QueryEstimate(Result):
    """What a query would read at most."""

    rows: int
    parts: int
    datasets: tuple[str, ...] = ()


class QueryResult(Result):
    """The answer to a query."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    row_count: int
    truncated: bool = False
    elapsed_ms: float | None = None
    datasets: tuple[ReadDataset, ...] = ()

    def to_arrow(self) -> "pa.Table":
        """As an Arrow table, each column of the type it has in the warehouse. Times are exact to the microsecond."""
        from headrace.client import frames  # pyarrow takes a while to load

        return frames.arrow([(column.name, column.type) for column in self.columns], self.rows)

    def to_polars(self) -> "pl.DataFrame":
        """As a data frame of polars. Errors: HeadraceError when it is not installed."""
        from headrace.client import frames

        return frames.polars(self.to_arrow())

    def to_pandas(self) -> "pd.DataFrame":
        """As a data frame of pandas. Errors: HeadraceError when it is not installed."""
        from headrace.client import frames

        return frames.pandas(self.to_arrow())

    def _repr_html_(self) -> str:
        cut = "<p>There are more: the answer was cut at its limit.</p>" if self.truncated else ""
        return html.table([column.name for column in self.columns], self.rows, of=self.row_count) + cut


class TailRecord(Result):
    """A record of one of a dataset's topics."""

    partition: int
    offset: int
    timestamp: datetime | None = None
    fields: Any = None
    error: str | None = None  # why it cannot be decoded

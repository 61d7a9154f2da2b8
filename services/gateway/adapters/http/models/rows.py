"""Bodies: the records of topics, and the answers of the warehouse."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from services.gateway.adapters.http.models.words import Answer, Body

MOST_IN_JSON: Final = 100_000
MOST_STREAMED: Final = 10**9


class TailRecord(Answer):
    """A record of one of a dataset's topics."""

    partition: int
    offset: int
    timestamp: datetime
    fields: dict[str, Any] | None = Field(description="The decoded record; null when it cannot be decoded.")
    error: str | None = Field(description="Why it cannot be decoded.")


class TailRecords(Answer):
    """The newest records, oldest first."""

    items: list[TailRecord]


class Query(Body):
    """A query of the warehouse."""

    recorded = frozenset({"sql", "limit"})

    sql: str = Field(
        min_length=1,
        max_length=100_000,
        description="One SELECT in ClickHouse's SQL over tables named domain.name.",
        examples=["SELECT carrier, count() AS flights FROM nyc.flights GROUP BY carrier ORDER BY flights DESC"],
    )
    limit: int | None = Field(
        None,
        ge=1,
        le=MOST_STREAMED,
        description=f"The most rows to answer with: as JSON 1000 unless given, and at most {MOST_IN_JSON:,}.",
    )
    parameters: dict[str, str | int | float | bool | list[str] | list[int] | None] = Field(
        {},
        max_length=100,
        description="Values for `{name:Type}` in the query. The engine binds them: they are never part of its text.",
        examples=[{"carrier": "UA"}],
    )
    format: Literal["json", "jsonl", "csv", "arrow"] | None = Field(
        None, description="How the rows are written; left out, as the header Accept asks for."
    )


class Column(Answer):
    """A column of the answer."""

    name: str = Field(examples=["carrier"])
    type: str = Field(description="ClickHouse's type.", examples=["String"])


class ReadDataset(Answer):
    """A dataset that was read, and how complete its rows are."""

    dataset: str = Field(examples=["nyc.flights"])
    complete_through: datetime | None = Field(
        description="All that its source had by then is among the rows; null while something is under way."
    )
    loaded_at: datetime | None = Field(description="When the newest rows were loaded.")
    rows_in_flight: int = Field(description="Rows that were read from the source and have not reached their fate.")
    waiting_for: list[str] = Field(description="What is under way, if anything is.")
    partial: bool = Field(description="Whether some of its rows or values are hidden from you.")


class QueryResult(Answer):
    """The answer to a query.

    Values: numbers of up to 64 bits are JSON numbers; larger ones and decimals are strings with all their digits;
    NaN and the infinities are the strings NaN, Infinity and -Infinity; dates, times and timestamps are ISO 8601
    strings, with an offset when the column has a time zone; UUIDs are strings; strings that are not UTF-8 are shown
    as hexadecimal digits.
    """

    columns: list[Column]
    rows: list[list[Any]]
    row_count: int
    truncated: bool = Field(description="Whether there are more rows than the limit.")
    elapsed_ms: float
    datasets: list[ReadDataset] = Field([], description="The datasets that were read.")


class QueryEstimate(Answer):
    """What a query would read."""

    rows: int = Field(description="Rows that the engine would read at most, by the index of each table.")
    parts: int = Field(description="Parts of tables that it would open.")
    datasets: list[str] = Field(description="The datasets that would be read.")

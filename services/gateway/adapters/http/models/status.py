"""Bodies: what every stage of a dataset is doing, and its source."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.gateway.adapters.http.models.words import Answer, Problems, Rows


class Latency(Answer):
    """Age of rows since ingestion when a stage committed them, over the minute that ends with its last activity."""

    p50: float | None = Field(description="Milliseconds; half of the rows were younger.")
    p95: float | None = Field(description="Milliseconds; 95 of 100 rows were younger.")


class StageStatus(Answer):
    """What one stage is doing."""

    stage: str = Field(examples=["transformer"])
    rows_in: Rows
    rows_out: Rows
    lag_rows: int | None = Field(description="Rows the stage before has written and this one has not read.")
    rate_rows_s: float = Field(description="Rows read a second, over the last minute.")
    latency_ms: Latency
    last_commit_at: datetime | None


class SourceStatus(Answer):
    """What a source is doing."""

    state: Literal["reading", "quiet", "down", "paused", "stopped"] = Field(
        description="`quiet`: it was read to its end, and has nothing new; `down`: it does not answer, and is tried again; "
        "`paused`: somebody wants it so; `stopped`: ingest has given it up, and a person has to act."
    )
    since: datetime | None = Field(description="Since when; of a source that is read, when rows of it last came.")
    by: str = Field(description="Who paused it.", examples=["admin"])
    because: str = Field(
        description="Why it is down, paused or stopped.", examples=["the database is moved to another host"]
    )


class DatasetStatus(Answer):
    """What a dataset is doing."""

    dataset: str = Field(examples=["nyc.flights"])
    state: str = Field(examples=["active"])
    settled: bool = Field(description="Whether everything its source had has reached its fate.")
    waiting_for: list[str] = Field(
        description="Why it is not settled.", examples=[["loader has not read nyc.flights.validated.v1 to its end"]]
    )
    problems: Problems
    pinned: str = Field(description="Who pinned its version, when and why; empty when new ones may go live.")
    source: SourceStatus
    stages: list[StageStatus]
    quarantined: int = Field(description="Rows that are set aside.")
    resubmitted: int = Field(description="Rows that left quarantine and were read anew.")
    discarded: int = Field(description="Quarantined rows that were given up.")
    parked: int = Field(description="Rows that wait for a row of another dataset.")


class Statuses(Answer):
    """The status of datasets."""

    items: list[DatasetStatus]

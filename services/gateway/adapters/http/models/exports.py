"""Bodies: exports that are made in the background, and their schedules."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import Field

from services.gateway.adapters.http.models.words import Answer, Body
from services.gateway.core.export_jobs import Destination, State
from services.gateway.core.exports import Format

ExportId = Annotated[
    str,
    Path(description="The id of an export or a schedule.", pattern=r"^[0-9a-f]{16}$", examples=["5f0c6d7e8a9b4c3d"]),
]


class NewExport(Body):
    """What is to be exported."""

    recorded = frozenset({"dataset", "format", "columns", "where", "destination"})

    dataset: str = Field(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", max_length=120, examples=["nyc.flights"])
    format: Format = Field("parquet", description="How the rows are written.")
    columns: list[Annotated[str, Field(max_length=200)]] = Field(
        [], max_length=1000, description="Only these, in this order; none: all but Headrace's own."
    )
    where: str = Field("", max_length=10_000, description="Only rows that meet this condition; empty: all.")
    destination: Destination = Field(
        "download", description="`download`: the file is kept here for a while; `s3`: in the bucket of the settings."
    )


class NewExportSchedule(NewExport):
    """What is to be exported, and when."""

    cron: str = Field(
        max_length=200, description="As in dataset files, such as `30 6 * * 1-5`.", examples=["30 6 * * 1-5"]
    )
    timezone: str = Field("UTC", max_length=100, description="Of `cron`.", examples=["Europe/Zurich"])


class Export(Answer):
    """An export, and how far it is."""

    id: str
    owner: str
    dataset: str
    format: Format
    columns: list[str]
    where: str
    destination: Destination
    schedule: str | None = Field(description="The schedule that made it.")
    state: State
    rows: int = Field(description="Rows written so far.")
    estimated_rows: int | None = Field(description="How many there were when it began.")
    size_bytes: int
    error: str = Field(description="Why it failed, or is tried again; empty when nothing went wrong.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None = Field(description="When its file is deleted.")
    location: str | None = Field(description="Where the file is, if it is not to be downloaded.")
    manifest: dict[str, Any] | None = Field(
        description="What the file holds, how complete that is, what is hidden in it, and its SHA-256."
    )


class Exports(Answer):
    """Exports, newest first."""

    items: list[Export]


class ExportSchedule(Answer):
    """When a dataset is exported, and how."""

    id: str
    owner: str
    dataset: str
    format: Format
    columns: list[str]
    where: str
    destination: Destination
    cron: str
    timezone: str
    paused: bool
    next_at: datetime | None = Field(description="When it makes the next export; none while it is paused.")
    last_export: str | None = Field(description="The id of the export it made last.")
    created_at: datetime


class ExportSchedules(Answer):
    """Schedules, the next to be due first."""

    items: list[ExportSchedule]

"""Exports that are made in the background, and their schedules."""

from datetime import datetime
from typing import Any

from headrace.client.results.base import Result


class Export(Result):
    """An export: `queued`, `running`, `done`, `failed`, `cancelled` or `expired`, and how far it is."""

    id: str
    owner: str
    dataset: str
    format: str
    columns: tuple[str, ...] = ()
    where: str = ""
    destination: str = "download"
    schedule: str | None = None
    state: str
    rows: int = 0
    estimated_rows: int | None = None
    size_bytes: int = 0
    error: str = ""
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    location: str | None = None
    manifest: dict[str, Any] | None = None


class ExportSchedule(Result):
    """When a dataset is exported, and how."""

    id: str
    owner: str
    dataset: str
    format: str
    columns: tuple[str, ...] = ()
    where: str = ""
    destination: str = "download"
    cron: str
    timezone: str
    paused: bool = False
    next_at: datetime | None = None
    last_export: str | None = None
    created_at: datetime

"""The tables of exports that are made in the background, and of their schedules."""

from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, Table, Text

from services.gateway.adapters.tables import METADATA, UtcDateTime


def _wanted() -> tuple[Column[Any], ...]:
    """What is to be exported, for whom, and with which token it was asked for."""
    return (
        Column("id", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("owner_name", Text, nullable=False),
        Column("token", Text, nullable=True),
        Column("dataset", Text, nullable=False),
        Column("format", Text, nullable=False),
        Column("columns", JSON, nullable=False),
        Column("condition", Text, nullable=False),
        Column("destination", Text, nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
    )


#: A replica that works at an export holds it until `lease_until`; `holder` is who that is.
EXPORTS: Final = Table(
    "exports",
    METADATA,
    *_wanted(),
    Column("schedule", Text, nullable=True),
    Column("state", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("estimated_rows", BigInteger, nullable=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
    Column("sight", Text, nullable=False),
    Column("manifest", JSON, nullable=True),
    Column("started_at", UtcDateTime, nullable=True),
    Column("ended_at", UtcDateTime, nullable=True),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("holder", Text, nullable=True),
    Column("lease_until", UtcDateTime, nullable=True),
    Index("ix_exports_state", "state"),
)

#: Who moves `next_at` on makes the export that is due: one replica alone.
EXPORT_SCHEDULES: Final = Table(
    "export_schedules",
    METADATA,
    *_wanted(),
    Column("cron", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("last_export", Text, nullable=True),
)

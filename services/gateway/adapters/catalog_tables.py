"""The tables of the catalog: what columns look like, who uses what, and what people write beside a dataset's file."""

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Date, Float, Index, Integer, String, Table, Text

from services.gateway.adapters.tables import METADATA, UtcDateTime

#: What the columns of each generation look like, folded from `_headrace.profiles`. `version` is that of the latest profile.
COLUMN_PROFILES: Final = Table(
    "column_profiles",
    METADATA,
    Column("dataset", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("nulls", BigInteger, nullable=False),
    Column("flagged", BigInteger, nullable=False),
    Column("distinct_at_least", BigInteger, nullable=True),
    Column("least", Text, nullable=True),
    Column("greatest", Text, nullable=True),
    Column("counted", BigInteger, nullable=False),
    Column("mean", Float(53), nullable=True),
    Column("m2", Float(53), nullable=True),
    Column("profiled_at", UtcDateTime, nullable=False),
)

#: How often somebody asked for the rows of a dataset on a day (UTC).
USAGE_DAILY: Final = Table(
    "usage_daily",
    METADATA,
    Column("dataset", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("principal", Text, primary_key=True),
    Column("principal_name", Text, nullable=False),
    Column("queries", BigInteger, nullable=False),
    Column("exports", BigInteger, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
)

#: The datasets that somebody wants to find again.
FAVOURITES: Final = Table(
    "favourites",
    METADATA,
    Column("principal", Text, primary_key=True),
    Column("dataset", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

_NUMBER: Final[Any] = BigInteger().with_variant(Integer, "sqlite")  # only that one counts up by itself there

#: Every state of the notes on a dataset (`column` empty) and on its columns; the highest id stands, empty when taken away.
NOTES: Final = Table(
    "catalog_notes",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("dataset", Text, nullable=False),
    Column("column", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("author_name", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_catalog_notes_dataset", "dataset", "column", "id"),
)

#: What people talk about: a thread has one remark at least.
THREADS: Final = Table(
    "catalog_threads",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("dataset", Text, nullable=False, index=True),
    Column("column", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime, nullable=True),
    Column("resolved_by", Text, nullable=False),
)

REMARKS: Final = Table(
    "catalog_remarks",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("thread", String(32), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("author_name", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("edited_at", UtcDateTime, nullable=True),
    Column("deleted", Boolean, nullable=False),
)

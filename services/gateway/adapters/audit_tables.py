"""The table of the audit log. Nothing changes or deletes an entry; the database refuses it, too (migration 0013)."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from services.gateway.adapters.tables import METADATA

#: Fields: `headrace.audit.Entry`.
AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("writer", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("id", String(32), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("actor", "actor_id", "credential", "action", "datasets")),
    *(Column(name, Text, nullable=False) for name in ("address", "user_agent", "request_id")),
    Column("status", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("details", Text, nullable=False),
    Index("ix_audit_at_us", "at_us"),
    Index("ix_audit_id", "id"),
)

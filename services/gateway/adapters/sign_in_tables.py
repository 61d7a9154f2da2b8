"""The tables of sign-in: passwords, sessions, one-time codes, and attempts that failed. No secret is in them, only hashes."""

from typing import Final

from sqlalchemy import JSON, Column, Integer, LargeBinary, String, Table, Text

from services.gateway.adapters.tables import METADATA, UtcDateTime

CREDENTIALS: Final = Table(
    "credentials",
    METADATA,
    Column("principal", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

#: `former_hash` is that of the cookie before: it counts until `former_until`, for requests that were under way.
SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("hash", LargeBinary(32), nullable=False, index=True),
    Column("former_hash", LargeBinary(32), nullable=True, index=True),
    Column("former_until", UtcDateTime, nullable=True),
    Column("principal", Text, nullable=False, index=True),
    Column("powers", JSON, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
)

#: `purpose` is `setup` (no principal yet) or `password`.
ONE_TIME_CODES: Final = Table(
    "one_time_codes",
    METADATA,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("principal", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

#: What is counted is a name, an address, or a name from an address: `subject` is the keyed hash of it.
SIGN_IN_ATTEMPTS: Final = Table(
    "sign_in_attempts",
    METADATA,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("blocked_until", UtcDateTime, nullable=False),
    Column("succeeded_at", UtcDateTime, nullable=True),
    Column("forget_at", UtcDateTime, nullable=False, index=True),
)

"""The table of sign-ins that were begun at an OpenID provider. What could end one is in its browser alone; here are hashes."""

from typing import Final

from sqlalchemy import Column, LargeBinary, Table, Text

from services.gateway.adapters.tables import METADATA, UtcDateTime

OIDC_ATTEMPTS: Final = Table(
    "oidc_attempts",
    METADATA,
    Column("state_hash", LargeBinary(32), primary_key=True),
    Column("browser_hash", LargeBinary(32), nullable=False),
    Column("nonce", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

"""Decides what a one-time code is worth. Of a code only a keyed hash is kept; it is gone once it was used."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Engine, delete, insert, or_

from services.gateway.adapters.sign_in_tables import ONE_TIME_CODES
from services.gateway.core.keyed import keyed_hash
from services.gateway.core.sign_in import CodeRefused

Purpose = Literal["setup", "password"]


@dataclass(frozen=True, slots=True)
class OneTimeCode:
    """A new code, which is shown this once."""

    code: str
    expires_at: datetime


class OneTimeCodes:
    """Codes that somebody hands on to a person. Errors: those of SQLAlchemy."""

    def __init__(self, engine: Engine, key: bytes) -> None:
        self._engine = engine
        self._key = key

    def make(self, purpose: Purpose, principal_id: str, by: str, at: datetime, expires_at: datetime) -> OneTimeCode:
        """A new code with 256 random bits; the one before, for the same purpose and person, is worth nothing from now on."""
        table = ONE_TIME_CODES
        code = secrets.token_urlsafe(32)
        former = (table.c.purpose == purpose) & (table.c.principal == principal_id)
        row = {"hash": self._hash(purpose, code), "purpose": purpose, "principal": principal_id, "made_by": by}
        with self._engine.begin() as connection:
            connection.execute(delete(table).where(or_(former, table.c.expires_at <= at)))
            connection.execute(insert(table).values(**row, expires_at=expires_at))
        return OneTimeCode(code, expires_at)

    def use(self, connection: Connection, purpose: Purpose, code: str, now: datetime) -> str:
        """Whose code this is; it is used up when the caller's transaction ends well. Errors: CodeRefused."""
        table = ONE_TIME_CODES
        mine = (table.c.hash == self._hash(purpose, code)) & (table.c.purpose == purpose) & (table.c.expires_at > now)
        used = connection.execute(delete(table).where(mine).returning(table.c.principal)).scalar_one_or_none()
        if used is None:
            raise CodeRefused("this link was used already, is too old, or a newer one was made: ask for another one")
        return str(used)

    def _hash(self, purpose: Purpose, code: str) -> bytes:
        return keyed_hash(self._key, f"code {purpose}", code)

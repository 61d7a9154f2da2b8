"""Decides what a one-time code is worth. Of a code only a keyed hash is kept; it is gone once it was used."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, or_, select

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

    def whose(self, purpose: Purpose, code: str, now: datetime) -> str:
        """Whose code this is; it stays. Errors: CodeRefused."""
        with self._engine.connect() as connection:
            query = select(ONE_TIME_CODES.c.principal).where(*self._is(purpose, code, now))
            return _checked(connection.execute(query).scalar_one_or_none())

    def use(self, connection: Connection, purpose: Purpose, code: str, now: datetime) -> None:
        """Use a code up, once the caller's transaction ends well. Errors: CodeRefused when another was quicker."""
        used = delete(ONE_TIME_CODES).where(*self._is(purpose, code, now)).returning(ONE_TIME_CODES.c.principal)
        _checked(connection.execute(used).scalar_one_or_none())

    def forget(self, connection: Connection, principal_id: str) -> None:
        """Make somebody's codes worth nothing, within the caller's transaction."""
        connection.execute(delete(ONE_TIME_CODES).where(ONE_TIME_CODES.c.principal == principal_id))

    def _is(self, purpose: Purpose, code: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
        table = ONE_TIME_CODES
        return table.c.hash == self._hash(purpose, code), table.c.purpose == purpose, table.c.expires_at > now

    def _hash(self, purpose: Purpose, code: str) -> bytes:
        return keyed_hash(self._key, f"code {purpose}", code)


def _checked(principal_id: str | None) -> str:
    if principal_id is None:
        raise CodeRefused("this link was used already, is too old, or a newer one was made: ask for another one")
    return principal_id

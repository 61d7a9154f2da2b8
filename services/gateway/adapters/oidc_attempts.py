"""Keeps the sign-ins that were begun at an OpenID provider, where every gateway finds them. Each can be ended once."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Engine, delete, insert

from services.gateway.adapters.oidc_tables import OIDC_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that was begun: the nonce its ID token must have, and where to go afterwards."""

    nonce: str
    after: str


class OidcAttempts:
    """The sign-ins that were begun. Errors: those of SQLAlchemy."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, state: str, browser: str, attempt: Attempt, now: datetime, expires_at: datetime) -> None:
        """Keep one, and forget those that nobody came back from in time."""
        row = {
            "state_hash": _hash(state),
            "browser_hash": _hash(browser),
            "nonce": attempt.nonce,
            "after": attempt.after,
            "expires_at": expires_at,
        }
        with self._engine.begin() as connection:
            connection.execute(delete(OIDC_ATTEMPTS).where(OIDC_ATTEMPTS.c.expires_at <= now))
            connection.execute(insert(OIDC_ATTEMPTS).values(row))

    def take(self, state: str, browser: str, now: datetime) -> Attempt | None:
        """The one with this state, if this browser began it and it was not taken before; it cannot be taken again."""
        table = OIDC_ATTEMPTS
        taken = (
            delete(table)
            .where(
                table.c.state_hash == _hash(state),
                table.c.browser_hash == _hash(browser),
                table.c.expires_at > now,
            )
            .returning(table.c.nonce, table.c.after)
        )
        with self._engine.begin() as connection:
            found = connection.execute(taken).one_or_none()
        return None if found is None else Attempt(*found)


def _hash(text: str) -> bytes:
    """Of 256 random bits and more, so that a plain one does."""
    return sha256(text.encode("utf-8", "replace")).digest()

"""Decides whose session a cookie is. Of a cookie only a keyed hash is kept; the token against forged requests is derived.

Everything is in the database, so that every gateway knows of it at once.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, insert, or_, select, update

from services.gateway.adapters.sign_in_tables import SESSIONS
from services.gateway.core.keyed import keyed_hash
from services.gateway.core.session_life import Lifetime, to_note

_GRACE: Final = timedelta(seconds=30)  # requests that were sent before the browser had the next cookie
_AGENT_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Whence:
    """From where somebody signs in: their address, the program as it names itself, and the cookie it had until then."""

    address: str
    agent: str = ""
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is listed. `ends_at` is when it ends if nobody uses it any more."""

    id: str
    principal: str
    powers: frozenset[str]
    opened_at: datetime
    seen_at: datetime
    ends_at: datetime
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session: what goes into its cookie, which is shown this once, and the token for the header X-CSRF-Token."""

    session: Session
    cookie: str
    csrf: str


class Sessions:
    """The sessions of people. `key` is that of the tokens; `powers_of` says what somebody may do now.

    Errors: those of SQLAlchemy.
    """

    def __init__(
        self, engine: Engine, key: bytes, lifetime: Lifetime, powers_of: Callable[[str], frozenset[str]]
    ) -> None:
        self._engine = engine
        self._key = key
        self._lifetime = lifetime
        self._powers_of = powers_of

    def open(self, principal_id: str, at: datetime, from_where: Whence) -> Opened:
        """A new session of somebody who has just shown who they are. No cookie they had has a part in it: its session ends."""
        cookie = secrets.token_urlsafe(32)
        row = {
            "id": secrets.token_hex(8),
            "hash": self._hash("cookie", cookie),
            "principal": principal_id,
            "powers": sorted(self._powers_of(principal_id)),
            "opened_at": at,
            "seen_at": at,
            "address": _plain(from_where.address),
            "agent": _plain(from_where.agent),
        }
        over = or_(SESSIONS.c.opened_at <= at - self._lifetime.absolute, SESSIONS.c.seen_at <= at - self._lifetime.idle)
        with self._engine.begin() as connection:
            connection.execute(delete(SESSIONS).where(or_(over, *self._is(from_where.cookie, at))))
            connection.execute(insert(SESSIONS).values(row))
        session = self._session(row)
        return Opened(session, cookie, self.csrf(session))

    def of(self, cookie: str, now: datetime) -> Session | None:
        """Whose cookie this is; None when it is nobody's, or nobody's any more. Once a minute it notes that it was used."""
        with self._engine.connect() as connection:
            row = connection.execute(select(SESSIONS).where(or_(*self._is(cookie, now)))).mappings().one_or_none()
        session = None if row is None else self._session(dict(row))
        if session is None or session.ends_at <= now:
            return None
        if to_note(session.seen_at, now):
            used = update(SESSIONS).where(SESSIONS.c.id == session.id, SESSIONS.c.seen_at < now).values(seen_at=now)
            with self._engine.begin() as connection:
                connection.execute(used)
        return session

    def csrf(self, session: Session) -> str:
        """The token that a request from the session has to show. No foreign page can read it, and nobody can make it up."""
        return self._hash("csrf", session.id).hex()

    def shows(self, session: Session, csrf: str) -> bool:
        """Whether this is the token of the session."""
        return hmac.compare_digest(self.csrf(session).encode(), csrf.encode("utf-8", "backslashreplace"))

    def renew(self, session: Session, cookie: str, now: datetime, *, grace: timedelta = _GRACE) -> str | None:
        """Another cookie for the session, whose present one is given; that one counts for a few seconds more.

        Returns None when it has another one already.
        """
        new = secrets.token_urlsafe(32)
        digest = self._hash("cookie", cookie)
        powers = session.powers | self._powers_of(session.principal)
        change = (
            update(SESSIONS)
            .where(SESSIONS.c.id == session.id, SESSIONS.c.hash == digest)
            .values(hash=self._hash("cookie", new), former_hash=digest, former_until=now + grace, powers=sorted(powers))
        )
        with self._engine.begin() as connection:
            return new if connection.execute(change).rowcount else None

    def all(self, now: datetime, principal_id: str | None = None) -> Sequence[Session]:
        """The sessions of somebody, or of everybody, that still count: the newest first."""
        query = select(SESSIONS).order_by(SESSIONS.c.opened_at.desc(), SESSIONS.c.id)
        if principal_id is not None:
            query = query.where(SESSIONS.c.principal == principal_id)
        with self._engine.connect() as connection:
            found = [self._session(dict(row)) for row in connection.execute(query).mappings()]
        return [each for each in found if each.ends_at > now]

    def end(self, session_id: str, principal_id: str | None = None) -> bool:
        """End a session, if it is this principal's. Returns whether there was one."""
        whose = () if principal_id is None else (SESSIONS.c.principal == principal_id,)
        with self._engine.begin() as connection:
            return connection.execute(delete(SESSIONS).where(SESSIONS.c.id == session_id, *whose)).rowcount > 0

    def _is(self, cookie: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
        """That a session has this cookie, or had it until a moment ago."""
        digest = self._hash("cookie", cookie)
        return SESSIONS.c.hash == digest, and_(SESSIONS.c.former_hash == digest, SESSIONS.c.former_until > now)

    def _hash(self, what: str, value: str) -> bytes:
        return keyed_hash(self._key, f"session {what}", value)

    def _session(self, row: Mapping[str, Any]) -> Session:
        opened_at, seen_at = row["opened_at"], row["seen_at"]
        return Session(
            row["id"],
            row["principal"],
            frozenset(row["powers"]),
            opened_at,
            seen_at,
            self._lifetime.ends_at(opened_at, seen_at),
            row["address"],
            row["agent"],
        )


def end_all(connection: Connection, principal_id: str, but: str = "") -> int:
    """End every session of somebody but one, within the caller's transaction. Returns how many there were."""
    theirs = delete(SESSIONS).where(SESSIONS.c.principal == principal_id, SESSIONS.c.id != but)
    return connection.execute(theirs).rowcount


def _plain(text: str) -> str:
    """Text that somebody sent, short and without characters that steer anything."""
    return "".join(c for c in text if c.isprintable())[:_AGENT_CHARS]

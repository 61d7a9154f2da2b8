"""Decides who gets a session: by name and password, by a one-time link, or as the first administrator.

How somebody has shown who they are is no matter to the sessions: other ways to sign in open them as well.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from argon2 import PasswordHasher
from sqlalchemy import Engine

from headrace.access.book import AccessBook, Caller, Principal
from headrace.access.policy import EVERYTHING, Grant
from headrace.access.topic import AccessChange
from headrace.errors import Fatal
from services.gateway.adapters.access_desk import AccessDesk, refuse_taken
from services.gateway.adapters.attempt_store import Attempts
from services.gateway.adapters.credential_store import Credentials, forget, put_hash
from services.gateway.adapters.one_time_codes import OneTimeCode, OneTimeCodes
from services.gateway.adapters.session_store import Opened, Session, Sessions, Whence, end_all
from services.gateway.core.passwords import why_refused
from services.gateway.core.session_life import SignInTimes, powers
from services.gateway.core.sign_in import CodeRefused, PasswordRefused, SignInRefused, administrators, person_named

_SETUP: Final = timedelta(hours=1)
_ARRIVING: Final = timedelta(seconds=10)
_THERE_IS_ONE: Final = "there is an administrator already ({}): they can add others and give them a link"


class SignIn:
    """Passwords, one-time links and sessions. Errors: those of SQLAlchemy; Transient."""

    def __init__(
        self, engine: Engine, key: bytes, access: AccessDesk, times: SignInTimes, hasher: PasswordHasher
    ) -> None:
        self._engine = engine
        self._access = access
        self._times = times
        self._attempts = Attempts(engine, key)
        self._credentials = Credentials(engine, hasher)
        self._codes = OneTimeCodes(engine, key)
        self.sessions = Sessions(engine, key, times.session, self._powers)

    def with_password(self, name: str, password: str, at: datetime, from_where: Whence) -> Opened:
        """Sign somebody in. Errors: SignInRefused, after the same work whether the name exists or not; TooManyAttempts."""
        person = person_named(self._access.book, name)
        self._attempts.begin(name, from_where.address, at)
        if not self._credentials.are(person.id if person else None, password, at) or person is None:
            raise SignInRefused("the name or the password is wrong")
        self._attempts.succeeded(name, from_where.address, at)
        return self.sessions.open(person.id, at, from_where)

    def change_password(
        self, session: Session, cookie: str, old: str, new: str, at: datetime, from_where: Whence
    ) -> str:
        """Another password for whoever is signed in; all their other sessions end. Returns the next cookie of this one.

        Errors: SignInRefused when the old password is wrong; PasswordRefused; TooManyAttempts.
        """
        person = self._person(session.principal)
        if not self._credentials.has(person.id):
            raise Fatal(f"{person.name} signs in without a password: an administrator can make a link to set one")
        self._attempts.begin(person.name, from_where.address, at)
        if not self._credentials.are(person.id, old, at):
            raise SignInRefused("the old password is wrong")
        self._attempts.succeeded(person.name, from_where.address, at)
        hashed = self._hashed(new, person.name)
        with self._engine.begin() as connection:
            put_hash(connection, person.id, hashed, at)
            end_all(connection, person.id, but=session.id)
        return self.sessions.renew(session, cookie, at, grace=timedelta()) or cookie

    def offer_setup(self, by: str, at: datetime) -> OneTimeCode:
        """A code with which somebody makes themselves the first administrator. Errors: Fatal when there is one."""
        _refuse_second(self._access.book)
        return self._codes.make("setup", "", by, at, at + _SETUP)

    def set_up(self, code: str, name: str, password: str, at: datetime, from_where: Whence) -> Opened:
        """Make the first administrator, and sign them in. Nothing is used up unless all of it is done.

        Errors: CodeRefused; PasswordRefused; Fatal when there is an administrator, or the name is taken.
        """
        person = Principal(f"u-{secrets.token_hex(8)}", "user", name)
        grant = Grant(f"g-{secrets.token_hex(8)}", f"user:{person.id}", "admin", EVERYTHING)

        def decide(book: AccessBook) -> Sequence[AccessChange]:
            _refuse_second(book)
            refuse_taken(book, person)
            return [AccessChange(person), AccessChange(grant)]

        self._codes.whose("setup", code, at)
        hashed = self._hashed(password, name)
        with self._engine.begin() as connection:
            self._codes.use(connection, "setup", code, at)
            put_hash(connection, person.id, hashed, at)
            self._access.change(name, at, decide)
        return self.sessions.open(person.id, at, from_where)

    def offer_reset(self, principal_id: str, by: str, at: datetime) -> OneTimeCode:
        """A code with which a person sets a password, their first or their next. Errors: Fatal when they are none."""
        person = self._person(principal_id)
        return self._codes.make("password", person.id, by, at, at + self._times.link)

    def reset(self, code: str, password: str, at: datetime, from_where: Whence) -> Opened:
        """Set the password of whoever was given the code, end their sessions, and sign them in.

        Errors: CodeRefused; PasswordRefused. Then the code is not used up.
        """
        person = self._access.book.principals.get(self._codes.whose("password", code, at))
        if person is None or not person.active:
            raise CodeRefused("the account that this link is for is gone, or switched off")
        hashed = self._hashed(password, person.name)
        with self._engine.begin() as connection:
            self._codes.use(connection, "password", code, at)
            put_hash(connection, person.id, hashed, at)
            end_all(connection, person.id)
        self._attempts.succeeded(person.name, from_where.address, at)
        return self.sessions.open(person.id, at, from_where)

    def caller(self, session: Session, at: datetime) -> Caller | None:
        """What somebody may do who is signed in. None when they were switched off: their sessions end, for good.

        Not at once, though: another gateway has let in somebody new, or switched them on, before this one knows of it.
        """
        caller = self._access.book.caller(session.principal)
        if caller is None and at - session.opened_at < _ARRIVING:
            return self._access.arriving(session.principal)
        if caller is None:
            self.end_all(session.principal)
        return caller

    def renewed(self, session: Session, cookie: str, caller: Caller, at: datetime) -> str | None:
        """The next cookie of a session whose owner may do more than when it got its present one; None when there is no need."""
        if powers(caller.access.grants) <= session.powers:
            return None
        return self.sessions.renew(session, cookie, at)

    def end_all(self, principal_id: str) -> None:
        """End every session of somebody: they were switched off."""
        with self._engine.begin() as connection:
            end_all(connection, principal_id)

    def forget(self, principal_id: str) -> None:
        """Drop what is kept of somebody who is gone: who signs in at a provider comes again under the same id."""
        with self._engine.begin() as connection:
            end_all(connection, principal_id)
            forget(connection, principal_id)
            self._codes.forget(connection, principal_id)

    def _person(self, principal_id: str) -> Principal:
        person = self._access.book.principals.get(principal_id)
        if person is None or person.kind != "user" or not person.active:
            raise Fatal(f"{principal_id} is no active person: only people sign in")
        return person

    def _hashed(self, password: str, name: str) -> str:
        if why := why_refused(password, name):
            raise PasswordRefused(f"this password will not do: {why}")
        return self._credentials.hash(password)

    def _powers(self, principal_id: str) -> frozenset[str]:
        caller = self._access.book.caller(principal_id)
        return frozenset() if caller is None else powers(caller.access.grants)


def _refuse_second(book: AccessBook) -> None:
    if there := administrators(book):
        raise Fatal(_THERE_IS_ONE.format(", ".join(sorted(each.name for each in there))))

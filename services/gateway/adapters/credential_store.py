"""Decides whether a password is somebody's. Only its Argon2id hash is kept. Source: RFC 9106."""

import secrets
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import Connection, Engine, delete, select

from headrace.errors import Transient
from services.gateway.adapters.dataset_store import put
from services.gateway.adapters.sign_in_tables import CREDENTIALS
from services.gateway.core.passwords import canonical

_AT_ONCE: Final = 4  # each takes 64 MiB while it lasts
_WAIT_S: Final = 10.0


class Credentials:
    """The passwords of people. Errors: those of SQLAlchemy; Transient when too many are looked at at once."""

    def __init__(self, engine: Engine, hasher: PasswordHasher) -> None:
        self._engine = engine
        self._hasher = hasher
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._nobodys = _nobodys(hasher)

    def has(self, principal_id: str) -> bool:
        """Whether somebody has a password."""
        return self._kept(principal_id) is not None

    def are(self, principal_id: str | None, password: str, at: datetime) -> bool:
        """Whether the password is theirs. It takes as long for somebody without one, or for nobody: None.

        A hash that was made with other parameters than today's is made anew.
        """
        kept = self._kept(principal_id or "")
        with self._turn():
            try:
                self._hasher.verify(kept or self._nobodys, _bytes(password))
            except VerificationError:
                return False
        if kept is None or principal_id is None:
            return False
        if self._hasher.check_needs_rehash(kept):
            made = self.hash(password)
            with self._engine.begin() as connection:
                put_hash(connection, principal_id, made, at)
        return True

    def hash(self, password: str) -> str:
        """What is kept of a password."""
        with self._turn():
            return self._hasher.hash(_bytes(password))

    def _kept(self, principal_id: str) -> str | None:
        query = select(CREDENTIALS.c.hash).where(CREDENTIALS.c.principal == principal_id)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one_or_none()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=_WAIT_S):
            raise Transient("too many people sign in at once: try again in a few seconds")
        try:
            yield
        finally:
            self._turns.release()


def put_hash(connection: Connection, principal_id: str, hashed: str, at: datetime) -> None:
    """Give somebody a password, within the caller's transaction."""
    put(connection, CREDENTIALS, {"principal": principal_id, "hash": hashed, "changed_at": at})


def forget(connection: Connection, principal_id: str) -> None:
    """Take somebody's password away, within the caller's transaction."""
    connection.execute(delete(CREDENTIALS).where(CREDENTIALS.c.principal == principal_id))


def _bytes(password: str) -> bytes:
    return canonical(password).encode("utf-8", "surrogatepass")


def _nobodys(hasher: PasswordHasher) -> str:
    """A hash that takes as long as any other, and is that of no password."""
    salt, digest = (
        b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"

"""Counts sign-ins that failed, in the database: every gateway knows of them."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.gateway.adapters.sign_in_tables import SIGN_IN_ATTEMPTS
from services.gateway.core.keyed import keyed_hash
from services.gateway.core.sign_in import TooManyAttempts, counted_address
from services.gateway.core.throttle import Count, Counts, Kind, succeeded, tried, wait_of

_NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NEW: Final = Count(0, _NEVER)


class Attempts:
    """The attempts to sign in. Names and addresses are kept as keyed hashes. Errors: those of SQLAlchemy."""

    def __init__(self, engine: Engine, key: bytes) -> None:
        self._engine = engine
        self._key = key

    def begin(self, name: str, address: str, now: datetime) -> None:
        """Count an attempt, as a failure until it has succeeded. Errors: TooManyAttempts when it has to wait."""
        subjects = self._subjects(name, address)
        with self._engine.begin() as connection:
            connection.execute(delete(SIGN_IN_ATTEMPTS).where(SIGN_IN_ATTEMPTS.c.forget_at <= now))
        with self._engine.begin() as connection:
            counts = _counts(connection, subjects, now)
            if wait := wait_of(counts, now):
                raise TooManyAttempts(math.ceil(wait.total_seconds()))
            _write(connection, subjects, tried(counts, now))

    def succeeded(self, name: str, address: str, now: datetime) -> None:
        """The attempt has succeeded."""
        subjects = self._subjects(name, address)
        with self._engine.begin() as connection:
            _write(connection, subjects, succeeded(_counts(connection, subjects, now), now))

    def _subjects(self, name: str, address: str) -> dict[Kind, bytes]:
        name, address = name.strip().casefold(), counted_address(address)
        return {
            "pair": keyed_hash(self._key, "attempts pair", name, address),
            "address": keyed_hash(self._key, "attempts address", address),
            "name": keyed_hash(self._key, "attempts name", name),
        }


def _counts(connection: Connection, subjects: Mapping[Kind, bytes], now: datetime) -> Counts:
    """What is known of each. Until the transaction ends nobody else counts them: they are written first, in one order."""
    table = SIGN_IN_ATTEMPTS
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    empty = {"failures": 0, "blocked_until": _NEVER, "forget_at": now}
    for subject in sorted(subjects.values()):
        connection.execute(insert(table).values(subject=subject, **empty).on_conflict_do_nothing())
    mine = table.c.subject.in_(subjects.values())
    rows = connection.execute(select(table).where(mine).order_by(table.c.subject).with_for_update())
    found = {row.subject: Count(row.failures, row.blocked_until, row.succeeded_at) for row in rows}
    return {kind: found.get(subject, _NEW) for kind, subject in subjects.items()}


def _write(connection: Connection, subjects: Mapping[Kind, bytes], counts: Counts) -> None:
    for kind, count in counts.items():
        row = {
            "failures": count.failures,
            "blocked_until": count.blocked_until,
            "succeeded_at": count.succeeded_at,
            "forget_at": count.forget_at(),
        }
        connection.execute(update(SIGN_IN_ATTEMPTS).where(SIGN_IN_ATTEMPTS.c.subject == subjects[kind]).values(row))

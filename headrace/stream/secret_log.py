"""The topic of sealed secrets: how a record is written, and what must not have happened in between.

All writers, gateways and ingests, share one transactional id (`SoleWriter`), so a change is decided on all that stands, or is not
written. See docs/decisions/0010-secrets-are-records-sealed-by-the-gateway.md.
"""

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from headrace.secrets.envelope import Sealed
from headrace.stream import notices, topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed, SoleWriter, TransactionalWriter

log = logging.getLogger(__name__)

_WRITER_ID: Final = "headrace-secrets"


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A sealed secret, and who gave it its value. `kept_for` is the dataset whose source replaced it; None for a person."""

    sealed: Sealed
    set_at: datetime
    set_by: str
    kept_for: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The record as `schemas/secret.avsc` has it."""
        return {
            **self.sealed.to_dict(),
            "set_at": self.set_at,
            "set_by": self.set_by,
            "kept_for": self.kept_for,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "SecretRecord":
        """The inverse of `to_dict`. Errors: Fatal when it is not a secret."""
        return cls(Sealed.from_dict(record), record["set_at"], record["set_by"], record["kept_for"])


@dataclass(frozen=True, slots=True)
class SecretChange:
    """What becomes of a secret (None: it is removed), and the event that says so."""

    name: str
    record: SecretRecord | None
    event: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets that stand. An `unreadable` one has a last record that says nothing: it may be removed, not written over."""

    records: Mapping[str, SecretRecord]
    unreadable: Set[str] = frozenset()


Decision = Callable[[Secrets], Sequence[SecretChange]]


def followed_secrets(connection: Connection, controls: Controls) -> Followed[SecretRecord]:
    """The secrets as they stand, by name, kept in step with their topic."""
    return Followed(connection, topics.SECRETS, lambda value: SecretRecord.from_dict(controls.decode(value)))


class SecretLog:
    """Writes changes of secrets, each in one transaction with the event that tells of it. Safe to share between threads."""

    def __init__(self, connection: Connection, controls: Controls, service: str, instance: str) -> None:
        self._connection = connection
        self._controls = controls
        self._origin = notices.Origin(service, instance)
        self._writer = SoleWriter(connection, _WRITER_ID, "another secret was written at the same time")

    def change(self, decide: Decision) -> Sequence[SecretChange]:
        """Write what `decide` makes of what stands; returns it.

        Errors: whatever `decide` raises (nothing is written); Transient, also when another writer was quicker: what was
        decided may have been decided on less than stands by now, so nothing was written.
        """
        with self._writer.turn() as writer:
            changes = decide(self._standing())
            if changes:
                self._write(writer, changes)
        for change in changes:
            log.info(change.message, extra={"secret": change.name, **change.data})
        return changes

    def _standing(self) -> Secrets:
        followed = followed_secrets(self._connection, self._controls)
        try:
            followed.refresh()
            readable = {name: record for name, record in followed.state.items() if name not in followed.unreadable}
            return Secrets(readable, followed.unreadable)
        finally:
            followed.close()

    def _write(self, writer: TransactionalWriter, changes: Sequence[SecretChange]) -> None:
        keys = [change.name.encode() for change in changes]
        values = [self._value(change.record) for change in changes]
        events = [self._controls.encode("event", self._event(change)) for change in changes]
        with writer.transaction() as transaction:
            transaction.produce(topics.SECRETS, values, keys=keys)
            transaction.produce(topics.EVENTS, events, keys=[self._origin.service.encode()] * len(events))

    def _value(self, record: SecretRecord | None) -> bytes | None:
        return None if record is None else self._controls.encode("secret", record.to_dict())

    def _event(self, change: SecretChange) -> dict[str, Any]:
        dataset = change.record.kept_for if change.record else None
        data = {"secret": change.name, **change.data}
        return self._origin.event(change.event, dataset, change.message, data)

"""Writes the audit log: the chain of this process, an entry at a time."""

import logging
import secrets
import threading
import time
from dataclasses import asdict, replace

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import SQLAlchemyError

from headrace.audit import GENESIS, Entry, Head, sealed
from headrace.errors import Transient
from services.gateway.adapters.audit_tables import AUDIT
from services.gateway.metrics import AUDIT_FAILURES, AUDITED

log = logging.getLogger(__name__)


class AuditLog:
    """The chain of this process, which begins with it. Safe to share between threads.

    `head` is the newest entry that is known to stand. After a failure it is not known whether the entry stands: then the
    database is asked before the next.
    """

    def __init__(self, engine: Engine, instance: str) -> None:
        self._engine = engine
        self._turn = threading.Lock()
        self._unsure = False
        self.instance = instance
        self.writer = f"{instance}.{secrets.token_hex(8)}"
        self.head = Head(self.writer, 0, GENESIS)
        self._closed = False

    def append(self, said: Entry) -> None:
        """Write an entry, whose place in the chain and time it gets here. Errors: Transient (it may stand all the same)."""
        with self._turn:
            if self._closed:
                raise Transient("the audit log is closed: this gateway stops")
            try:
                if self._unsure:
                    self.head = self._stored()
                self._unsure = True
                self.head = self._written(said)
                self._unsure = False
            except SQLAlchemyError as error:
                AUDIT_FAILURES.inc()
                raise Transient(f"the audit log cannot be written ({type(error).__name__})") from error
        AUDITED.labels(said.phase).inc()

    def close(self) -> None:
        """Take no more entries: the chain ends here."""
        with self._turn:
            self._closed = True

    def _written(self, said: Entry) -> Head:
        seq, now_us = self.head.seq + 1, time.time_ns() // 1000
        entry = sealed(replace(said, writer=self.writer, seq=seq, prev_hash=self.head.hash, at_us=now_us))
        with self._engine.begin() as connection:
            connection.execute(insert(AUDIT), asdict(entry))
        return Head(self.writer, entry.seq, entry.hash)

    def _stored(self) -> Head:
        newest = select(AUDIT.c.seq, AUDIT.c.hash).where(AUDIT.c.writer == self.writer).order_by(AUDIT.c.seq.desc())
        with self._engine.connect() as connection:
            row = connection.execute(newest.limit(1)).one_or_none()
        return Head(self.writer, row.seq, row.hash) if row is not None else Head(self.writer, 0, GENESIS)

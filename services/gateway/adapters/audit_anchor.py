"""Anchors the head of this process's chain in `_headrace.audit-heads`, and reads the heads of all."""

import logging
import threading
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from confluent_kafka import KafkaException

from headrace.audit import Head
from headrace.errors import Fatal, HeadraceError, Transient
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Replay, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.kafka.connection import mapped
from services.gateway.adapters.audit_log import AuditLog

log = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
_STOP_S: Final = 3.0
_TRANSACTION_MS: Final = 10_000


class AuditAnchor:
    """A thread that writes the head within a second or so of the chain's growing, and at its end.

    While Kafka or the registry is away it tries again; `fault` says what is wrong meanwhile.
    """

    def __init__(self, connection: Connection, controls: Controls, log_of: AuditLog) -> None:
        self._connection = connection
        self._controls = controls
        self._log = log_of
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-anchor", daemon=True)
        self._writer = TransactionalWriter(
            connection, f"headrace-audit-{log_of.writer}", transaction_timeout_ms=_TRANSACTION_MS
        )
        self._anchored: Head | None = None
        self.fault: str | None = "not started"

    def start(self) -> None:
        """Begin: the chain is announced before its first entry, where Kafka is there."""
        self._thread.start()

    def stop(self) -> None:
        """End the chain, and say so. Where Kafka was away a moment ago, its end is not anchored."""
        self._log.close()
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._log.head != self._anchored:
                self._try(closed=False)
            self._stopping.wait(_EVERY_S)
        if self.fault is None:
            self._try(closed=True)
        self._writer.close()

    def _try(self, *, closed: bool) -> None:
        head = self._log.head
        try:
            self.write(head, closed=closed)
        except (HeadraceError, KafkaException) as error:
            said = mapped(error, "anchoring the audit log") if isinstance(error, KafkaException) else error
            if str(said) != self.fault:
                log.warning("the audit log is not anchored: %s", said)
            self.fault = str(said)
        else:
            self._anchored, self.fault = head, None

    def write(self, head: Head, *, closed: bool) -> None:
        """Anchor this head. Errors: Transient, Fatal."""
        if self._anchored is None:
            kafka_topics.answering(self._connection)
            kafka_topics.ensure_control(self._connection)
        record = {"writer": head.writer, "seq": head.seq, "hash": head.hash, "at": datetime.now(UTC), "closed": closed}
        value = self._controls.encode("audit_head", record)
        with self._writer.transaction() as transaction:
            transaction.produce(topics.AUDIT_HEADS, [value], keys=[head.writer.encode()])

    def heads(self) -> Mapping[str, Head]:
        """The farthest head of every chain that was ever anchored. Errors: Transient, at once where Kafka is known to be away."""
        if self.fault is not None:
            raise Transient(f"the heads of the audit log cannot be read from Kafka now: {self.fault}")
        found: dict[str, Head] = {}
        with closing(Replay(self._connection, topics.AUDIT_HEADS)) as replay:
            for records in replay.advance():
                for value in records.values:
                    head = self._head(value)
                    if head is not None:
                        found[head.writer] = farther(found.get(head.writer), head)
        return found

    def _head(self, value: bytes | None) -> Head | None:
        if value is None:  # nobody takes a head back: who tries leaves the records in front of it
            return None
        try:
            fields = self._controls.decode(value)
            return Head(fields["writer"], fields["seq"], fields["hash"], fields["closed"])
        except (Fatal, KeyError) as error:
            log.error("a head of the audit log cannot be read: %s", error)
            return None


def farther(known: Head | None, other: Head) -> Head:
    """Which of two heads of a chain counts: the one with more entries, or that says it is the last."""
    if known is None:
        return other
    return max(known, other, key=lambda head: (head.seq, head.closed))

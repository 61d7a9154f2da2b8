"""Writes pushed rows: everything that waits shares one transaction, and an idempotency key stands or falls with its rows.

Requests with a key go through a transactional id that all instances share. Starting to use it shuts the other instances
out and settles what they left open; then the topic of accepted keys is read to its end. From there on this instance knows
every accepted key, until another instance starts to use the id, which shuts this one out before it can write again.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import pyarrow as pa

from headrace.connector import Fetched
from headrace.errors import Fatal, Fenced, HeadraceError, Transient
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import TransactionalWriter
from headrace.stream.kafka.connection import Connection
from headrace.stream.kafka.topics import PUSH_KEYS_KEPT
from headrace.stream.outputs import Messages
from headrace.stream.registry import Schemas
from headrace.stream.service import LiveDataset
from services.ingest.adapters.committed import committed
from services.ingest.connectors.http_push.desk import Answer, Desk, KeyReused, Push, fail
from services.ingest.adapters.pinned import pinned_schema
from services.ingest.adapters.publisher import Encoded, Publisher
from services.ingest.connectors.http_push.push_body import Typing, Unreadable, fetched
from services.ingest.core.types import declared_columns

log = logging.getLogger(__name__)

_MOST_ROWS: Final = 20_000  # in a transaction that more than one request shares
_TAKEOVERS: Final = 20  # how often two instances may take the shared id from each other over one group


class PushWriter:
    """See `headrace.stream.service.Worker`. One writes requests without a key, one those with a key."""

    def __init__(
        self,
        dataset: LiveDataset,
        connection: Connection,
        registry: Schemas,
        desk: Desk,
        *,
        keyed: bool,
        instance: str,
        transaction_timeout_ms: int,
    ) -> None:
        self.name = f"push {dataset.name}{' keyed' if keyed else ''}"
        self._dataset = dataset
        self._registry = registry
        self._controls = Controls(registry)
        self._desk = desk
        self._counter = desk.open(dataset.name, keyed)
        owner = "keyed" if keyed else instance
        self._writer = TransactionalWriter(
            connection, f"headrace-push-{dataset.name}-{owner}", transaction_timeout_ms=transaction_timeout_ms
        )
        self._publisher = Publisher(dataset, registry, self._writer, instance)
        self._keys = AcceptedKeys(connection, self._controls, dataset.name) if keyed else None
        self._certain = False
        self._typing = Typing(
            declared_columns(dataset.contract),
            dataset.contract.schema_.evolution,
            dataset.contract.source.max_record_bytes,
        )
        self._schema: pa.Schema | None = None

    def run(self, stopping: threading.Event) -> None:
        """See `Worker.run`. A request whose transaction fails is answered so; the writer goes on."""
        try:
            while not stopping.is_set():
                group = self._counter.take(0.2)
                if not group:
                    continue
                try:
                    self._settle(group)
                except HeadraceError as error:
                    log.warning("%d requests failed: %s", len(group), error, extra={"dataset": self._dataset.name})
                    fail(group, error)
                except BaseException:
                    fail(group, Transient("the dataset's writer has failed"))
                    raise
        finally:
            self._desk.close(self._counter)
            self._writer.close()
            if self._keys is not None:
                self._keys.close()

    def _settle(self, group: Sequence[Push]) -> None:
        """Answer every request of a group. Errors: Transient, Fatal (nothing is known of those not yet answered)."""
        for _ in range(_TAKEOVERS):
            try:
                for part in self._parts(group):
                    self._commit(part)
                return
            except Fenced:
                self._certain = False
                log.info("another instance used the keys; reading them again", extra={"dataset": self._dataset.name})
            except HeadraceError:
                self._certain = False
                raise
        raise Transient("other instances keep taking the dataset's keys over")

    def _parts(self, group: Sequence[Push]) -> Iterator[list[tuple[Push, Encoded]]]:
        """The requests of a group with their records, as many together as a transaction should have."""
        part: list[tuple[Push, Encoded]] = []
        rows = 0
        for push in group:
            if push.answer.done():
                continue
            try:
                found = self._publisher.encoded(self._fetched(push))
            except (Unreadable, Fatal) as error:
                self._schema = None  # what the request wanted the columns to be does not stand
                push.answer.set_exception(error)
                continue
            except HeadraceError:
                raise
            except Exception as error:  # there is no end to what can be wrong with foreign values
                log.warning("a request cannot be taken", exc_info=error, extra={"dataset": self._dataset.name})
                self._schema = None
                push.answer.set_exception(Unreadable(f"its rows cannot be written ({type(error).__name__}): {error}"))
                continue
            if part and rows + len(found.values) > _MOST_ROWS:
                yield part
                part, rows = [], 0
            part.append((push, found))
            rows += len(found.values)
        if part:
            yield part

    def _fetched(self, push: Push) -> Fetched:
        """The rows of a request. New columns are looked up first: another instance may have added them."""
        if self._schema is None:
            self._schema = pinned_schema(self._registry, self._dataset.name)
        origin = f"push {push.key}" if push.key else "push"
        found = fetched(push.body, push.form, self._schema, self._typing, origin)
        if found.rows.schema != self._schema:
            pinned = pinned_schema(self._registry, self._dataset.name)
            if pinned != self._schema:
                self._schema = pinned
                found = fetched(push.body, push.form, pinned, self._typing, origin)
            self._schema = found.rows.schema if len(found.rows.schema) else self._schema
        return found

    def _commit(self, part: Sequence[tuple[Push, Encoded]]) -> None:
        """Write a part of a group in one transaction, then answer it."""
        fresh = part if self._keys is None else self._not_yet_accepted(part, self._keys)
        if not fresh:
            return
        now = datetime.now(UTC)
        answers = [Answer(len(records.values), len(records.rejected)) for _, records in fresh]
        keys = [
            self._key_record(push, answer, now)
            for (push, _), answer in zip(fresh, answers, strict=True)
            if push.key is not None
        ]
        self._publisher.write([records for _, records in fresh], keys)
        for (push, _), answer in zip(fresh, answers, strict=True):
            if self._keys is not None and push.key is not None:
                self._keys.remember(push.key, push.body_sha256, answer, now)
            push.answer.set_result(answer)

    def _not_yet_accepted(
        self, part: Sequence[tuple[Push, Encoded]], keys: "AcceptedKeys"
    ) -> list[tuple[Push, Encoded]]:
        """The requests to write now: of those with the same key the first; the others are answered, or left for the next turn."""
        if not self._certain:
            self._writer.init()
            keys.read_on()
            self._certain = True
        fresh: dict[str, tuple[Push, Encoded]] = {}
        for push, records in part:
            key = push.key or ""
            if (known := keys.find(key)) is not None:
                _answer_again(push, *known)
            elif key not in fresh:
                fresh[key] = push, records
            else:
                first, encoded = fresh[key]
                _answer_like(push, first, Answer(len(encoded.values), len(encoded.rejected)))
        return list(fresh.values())

    def _key_record(self, push: Push, answer: Answer, now: datetime) -> Messages:
        key = push.key or ""
        record = {
            "dataset": self._dataset.name,
            "key": key,
            "body_sha256": push.body_sha256,
            "rows": answer.accepted,
            "quarantined": answer.quarantined,
            "at": now,
        }
        value = self._controls.encode("push_key", record)
        return Messages(topics.PUSH_KEYS, [value], [_topic_key(self._dataset.name, key)])


class AcceptedKeys:
    """The idempotency keys of a dataset that were accepted, and with which answer, for as long as their topic keeps them.

    A key is kept as a hash: some 250 bytes of memory each.
    """

    def __init__(self, connection: Connection, controls: Controls, dataset: str) -> None:
        self._controls = controls
        self._dataset = dataset
        self._replay = committed(connection, topics.PUSH_KEYS)
        self._known: dict[bytes, tuple[bytes, Answer, datetime]] = {}  # the oldest first

    def read_on(self) -> None:
        """Learn what was accepted since the last call. Errors: Transient."""
        prefix = _topic_key(self._dataset, "")
        for records in self._replay.advance():
            for key, value in zip(records.keys, records.values, strict=True):
                if key is not None and key.startswith(prefix) and value is not None:
                    record = self._controls.decode(value)
                    answer = Answer(record["rows"], record["quarantined"])
                    self.remember(record["key"], record["body_sha256"], answer, record["at"])

    def remember(self, key: str, body_sha256: str, answer: Answer, at: datetime) -> None:
        """Note a key that was accepted at some time."""
        self._known.pop(_short(key), None)
        self._known[_short(key)] = bytes.fromhex(body_sha256), answer, at
        self._forget()

    def find(self, key: str) -> tuple[str, Answer] | None:
        """The fingerprint of the body a key was accepted with, and the answer it got."""
        self._forget()
        found = self._known.get(_short(key))
        return None if found is None else (found[0].hex(), found[1])

    def _forget(self) -> None:
        """Drop the keys that are too old."""
        until = datetime.now(UTC) - PUSH_KEYS_KEPT
        while self._known:
            oldest = next(iter(self._known))
            if self._known[oldest][2] >= until:
                return
            del self._known[oldest]

    def close(self) -> None:
        """Stop reading."""
        self._replay.close()


def _short(key: str) -> bytes:
    return sha256(key.encode()).digest()


def _topic_key(dataset: str, key: str) -> bytes:
    return f"{dataset}\0{key}".encode()


def _answer_again(push: Push, body_sha256: str, answer: Answer) -> None:
    if push.body_sha256 == body_sha256:
        push.answer.set_result(Answer(answer.accepted, answer.quarantined, repeated=True))
    else:
        push.answer.set_exception(KeyReused(f"the key {push.key!r} was accepted with another body"))


def _answer_like(push: Push, first: Push, answer: Answer) -> None:
    """Answer a request when the one with the same key is answered, as that one was."""

    def settle(done: "Future[Answer]") -> None:
        error = done.exception()
        if push.answer.done():
            return
        if error is not None:
            push.answer.set_exception(error)
        else:
            _answer_again(push, first.body_sha256, answer)

    first.answer.add_done_callback(settle)

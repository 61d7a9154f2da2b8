"""Writes pushed rows: everything that waits shares one transaction, and an idempotency key stands or falls with its rows.

Requests with a key go through a transactional id that all instances share. Starting to use it shuts the other instances
out and settles what they left open; then the topic of accepted keys is read to its end. From there on this instance knows
every accepted key, until another instance starts to use the id, which shuts this one out before it can write again.

Named producers number their frames. The last number that was accepted is written in the transaction of the frames, in the
same topic; frames up to it are not written again, however they are grouped the next time.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
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
from headrace.stream.notices import Notices
from headrace.stream.outputs import Messages
from headrace.stream.registry import Schemas
from headrace.stream.service import LiveDataset
from services.ingest.adapters.committed import committed
from services.ingest.adapters.pinned import pinned_schema
from services.ingest.adapters.publisher import Encoded, Publisher
from services.ingest.connectors.http_push.desk import Answer, Desk, KeyReused, Numbered, Push, fail
from services.ingest.connectors.http_push.push_body import Unreadable, fetched
from services.ingest.core.types import declared_columns, declares_all
from services.ingest.core.typing import Typing

log = logging.getLogger(__name__)

_MOST_ROWS: Final = 20_000  # in a transaction that more than one request shares
_PRODUCER: Final = "producer\0"  # no header can have it, so no key starts with it
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
        notices: Notices | None = None,
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
        self._publisher = Publisher(dataset, registry, self._writer, instance, notices)
        self._keys = AcceptedKeys(connection, self._controls, dataset.name) if keyed else None
        self._certain = False
        self._typing = Typing(
            declared_columns(dataset.contract),
            dataset.contract.schema_.evolution,
            dataset.contract.source.max_record_bytes,
            declares_all(dataset.contract),
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
                self._tell([push for push in group if push.asks])
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
            if push.answer.done() or push.asks:
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
            self._schema = pinned_schema(self._registry, self._dataset)
        origin = f"push {push.key}" if push.key else "push"
        found = fetched(push.body, push.form, self._schema, self._typing, origin)
        if found.rows.schema != self._schema:
            pinned = pinned_schema(self._registry, self._dataset)
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
        answers = [
            Answer(len(records.values), len(records.rejected), repeated_frames=push.repeated_frames)
            for push, records in fresh
        ]
        keys = [
            self._key_record(push, answer, now) for (push, _), answer in zip(fresh, answers, strict=True) if push.once
        ]
        self._publisher.write([records for _, records in fresh], keys)
        for (push, _), answer in zip(fresh, answers, strict=True):
            if self._keys is not None and push.key is not None:
                self._keys.remember(push.key, push.body_sha256, answer, now)
            if self._keys is not None and push.numbered is not None:
                self._keys.advance(push.numbered.producer, push.numbered.numbers[-1], now)
            push.answer.set_result(answer)

    def _not_yet_accepted(
        self, part: Sequence[tuple[Push, Encoded]], keys: "AcceptedKeys"
    ) -> list[tuple[Push, Encoded]]:
        """The requests to write now: of those with the same key the first, of a producer's the frames that are new.

        The others are answered, or will be when the one they repeat is.
        """
        if not self._certain:
            self._writer.init()
            keys.read_on()
            self._certain = True
        fresh: list[tuple[Push, Encoded]] = []
        first: dict[str, tuple[Push, Answer]] = {}
        last: dict[str, tuple[Push, int]] = {}
        for push, records in part:
            if push.answer.done():  # with the one it repeats, just now
                continue
            if push.numbered is not None:
                new = self._new_frames(push, push.numbered, records, last, keys)
                fresh += [new] if new else []
                continue
            key = push.key or ""
            if (known := keys.find(key)) is not None:
                _answer_again(push, *known)
            elif key not in first:
                first[key] = push, Answer(len(records.values), len(records.rejected))
                fresh.append((push, records))
            else:
                _answer_like(push, *first[key])
        return fresh

    def _new_frames(
        self,
        push: Push,
        numbered: Numbered,
        records: Encoded,
        last: dict[str, tuple[Push, int]],
        keys: "AcceptedKeys",
    ) -> tuple[Push, Encoded] | None:
        """The frames of a request that are new; `last` has the last number of each producer in this transaction."""
        producer = numbered.producer
        before, number = last.get(producer, (None, keys.last(producer)))
        new = numbered.after(number)
        if new.frames:
            last[producer] = push, new.numbers[-1]
            if new is numbered:
                return push, records
            push = push.narrowed(new)
            return push, self._publisher.encoded(self._fetched(push))
        repeated = Answer(0, 0, True, len(numbered.frames), number)
        if before is None:
            push.answer.set_result(repeated)
        else:
            _answer_after(before, push, lambda: push.answer.set_result(repeated))
        return None

    def _tell(self, asking: Sequence[Push]) -> None:
        """Answer producers that ask for their last number."""
        if not asking or self._keys is None:
            return
        self._keys.read_on()  # another instance may have written since
        for push in asking:
            if push.numbered is not None and not push.answer.done():
                push.answer.set_result(Answer(0, 0, last=self._keys.last(push.numbered.producer)))

    def _key_record(self, push: Push, answer: Answer, now: datetime) -> Messages:
        numbered = push.numbered
        key = push.key or "" if numbered is None else f"{_PRODUCER}{numbered.producer}"
        record = {
            "dataset": self._dataset.name,
            "key": key,
            "body_sha256": push.body_sha256,
            "rows": answer.accepted,
            "quarantined": answer.quarantined,
            "at": now,
            "last": None if numbered is None else numbered.numbers[-1],
        }
        value = self._controls.encode("push_key", record)
        return Messages(topics.PUSH_KEYS, [value], [_topic_key(self._dataset.name, key)])


class AcceptedKeys:
    """The idempotency keys of a dataset that were accepted, and with which answer, for as long as their topic keeps them.

    A key is kept as a hash: some 250 bytes of memory each. Of a named producer it is the last number that is known.
    """

    def __init__(self, connection: Connection, controls: Controls, dataset: str) -> None:
        self._controls = controls
        self._dataset = dataset
        self._replay = committed(connection, topics.PUSH_KEYS)
        self._known: dict[bytes, tuple[bytes, Answer, datetime]] = {}  # the oldest first
        self._last: dict[str, tuple[int, datetime]] = {}  # likewise

    def read_on(self) -> None:
        """Learn what was accepted since the last call. Errors: Transient."""
        prefix = _topic_key(self._dataset, "")
        for records in self._replay.advance():
            for key, value in zip(records.keys, records.values, strict=True):
                if key is not None and key.startswith(prefix) and value is not None:
                    record = self._controls.decode(value)
                    if (last := record.get("last")) is not None:  # written since there are named producers
                        self.advance(record["key"].removeprefix(_PRODUCER), last, record["at"])
                        continue
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

    def advance(self, producer: str, last: int, at: datetime) -> None:
        """Note the last number that was accepted of a producer."""
        self._last.pop(producer, None)
        self._last[producer] = last, at
        self._forget()

    def last(self, producer: str) -> int | None:
        """The last number that was accepted of a producer; None when it is not known."""
        self._forget()
        found = self._last.get(producer)
        return None if found is None else found[0]

    def _forget(self) -> None:
        """Drop what is too old."""
        until = datetime.now(UTC) - PUSH_KEYS_KEPT
        while self._known and self._known[oldest := next(iter(self._known))][2] < until:
            del self._known[oldest]
        while self._last and self._last[name := next(iter(self._last))][1] < until:
            del self._last[name]

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
    _answer_after(first, push, lambda: _answer_again(push, first.body_sha256, answer))


def _answer_after(first: Push, push: Push, act: Callable[[], None]) -> None:
    """Let `act` answer a request once the one before is written; when that fails, so does this one."""

    def settle(done: "Future[Answer]") -> None:
        error = done.exception()
        if push.answer.done():
            return
        if error is not None:
            push.answer.set_exception(error)
        else:
            act()

    first.answer.add_done_callback(settle)

"""Kafka transactions: a producer that is thrown away after any failure, because only a new one knows what stands."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from headrace.errors import HeadraceError, Transient
from headrace.stream.kafka.connection import Connection, mapped

log = logging.getLogger(__name__)

_REPLY_S = 30.0
_OFFSETS_S = 10.0
_GRACE_S = 5.0
_MOST_BYTES = 16 << 20


def write_one(connection: Connection, topic: str, value: bytes, key: bytes, timeout_s: float = 10.0) -> None:
    """Write one record, outside of any transaction; it stands when this returns. Errors: Transient, Fatal."""
    write_all(connection, topic, [(key, value)], timeout_s)


def write_all(
    connection: Connection, topic: str, records: Iterable[tuple[bytes, bytes]], timeout_s: float = 10.0
) -> int:
    """Write (key, value) records in order, outside of any transaction; they stand when this returns. Returns how many.

    Units: `timeout_s` is for each record. Errors: Transient, Fatal (some may stand); whatever `records` raises.
    """
    failures: list[HeadraceError] = []
    doing = f"writing to {topic}"
    producer = Producer(
        connection.client(
            enable_idempotence=True, message_timeout_ms=int(timeout_s * 1000), message_max_bytes=_MOST_BYTES
        )
    )
    written = 0
    try:
        for key, value in records:
            while not failures and not _taken(producer, topic, key, value, failures, doing):
                producer.poll(0.1)
            producer.poll(0)
            if failures:
                break
            written += 1
        left = producer.flush(timeout_s + 1)
    except KafkaException as error:
        raise mapped(error, doing) from error
    if failures:
        raise failures[0]
    if left:
        raise Transient(f"{doing}: no answer in {timeout_s:g} s")
    return written


def _taken(producer: Producer, topic: str, key: bytes, value: bytes, failures: list[HeadraceError], doing: str) -> bool:
    """Hand a record to the producer. Returns whether its queue had room."""
    try:
        producer.produce(
            topic, value, key, on_delivery=lambda error, _: failures.append(mapped(error, doing)) if error else None
        )
    except BufferError:
        return False
    return True


class Transaction:
    """An open transaction. Valid inside the `with` of `TransactionalWriter.transaction`."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def produce(
        self,
        topic: str,
        values: Sequence[bytes | None],
        *,
        partition: int = -1,
        keys: Sequence[bytes | None] | None = None,
    ) -> None:
        """Write `values`, in order; None removes a key.

        Shapes: `keys`, if any, has an entry for each value. Errors: Transient, Fatal.
        """
        messages: list[dict[str, Any]]
        if keys is None:
            messages = [{"value": value} for value in values]
        else:
            messages = [{"value": value, "key": key} for value, key in zip(values, keys, strict=True)]
        while messages:
            if self._producer.produce_batch(topic, messages, partition=partition) == len(messages):
                return
            messages = _refused(messages, topic)
            if messages:
                self._producer.poll(0.05)

    def send_offsets(self, topic: str, offsets: Mapping[int, int], membership: object) -> None:
        """Commit input offsets with this transaction, on the authority of `membership`. Errors: Transient, Fenced, Fatal."""
        positions = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        _within(
            _OFFSETS_S + _GRACE_S,
            f"committing offsets of {topic}",
            lambda: self._producer.send_offsets_to_transaction(positions, membership, _OFFSETS_S),
        )


def _within(seconds: float, doing: str, act: Callable[[], None]) -> None:
    """Do it, or give up waiting: what is not answered is left to a thread of its own.

    librdkafka (2.16) keeps this one call waiting for ever, whatever time it is given, when the broker dies as it looks for the
    group's coordinator. Errors: Transient when no answer came; whatever `act` raises.
    """
    outcome: Future[None] = Future()
    # A thread of no pool: the interpreter would wait for its end.
    threading.Thread(target=_settle, args=(outcome, act), name=doing, daemon=True).start()
    if not wait([outcome], seconds).done:
        raise Transient(f"{doing}: no answer in {seconds:g} s")
    try:
        outcome.result()
    finally:
        del outcome  # its error leads back to this frame: each would keep the other, and the client, alive


def _settle(outcome: "Future[None]", act: Callable[[], None]) -> None:
    try:
        act()
        outcome.set_result(None)
    except BaseException as error:
        outcome.set_exception(error)
    finally:
        del outcome  # likewise


def _refused(messages: list[dict[str, Any]], topic: str) -> list[dict[str, Any]]:
    """The messages the producer's queue had no room for, in order. Errors: Fatal, Transient when one is refused for good."""
    refused = [message for message in messages if "_error" in message]
    for message in refused:
        error = message.pop("_error")
        if error.code() != KafkaError._QUEUE_FULL:
            raise mapped(error, f"writing to {topic}")
    return refused


class TransactionalWriter:
    """Opens transactions under one transactional id: a newer writer with that id shuts this one out (Fenced).

    Errors: after any failure the transaction is aborted, the producer is dropped, and the next transaction
    begins with a new one, which first completes or aborts what the old one left open.
    """

    def __init__(self, connection: Connection, transactional_id: str, *, transaction_timeout_ms: int = 15_000) -> None:
        self._connection = connection
        self._id = transactional_id
        self._timeout_ms = transaction_timeout_ms
        self._producer: Producer | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that is committed at the end of the block, or aborted when the block raises."""
        try:
            producer = self._ready()
            producer.begin_transaction()
            yield Transaction(producer)
            producer.commit_transaction(_REPLY_S)
        except BaseException as error:
            self._drop()
            if isinstance(error, KafkaException):
                raise mapped(error, f"transaction of {self._id}") from error
            if isinstance(error, BufferError):
                raise Transient(f"transaction of {self._id}: the producer's queue is full") from error
            raise

    def init(self) -> None:
        """Shut out older writers with this id now, completing or aborting what they left open. Errors: Transient, Fatal."""
        try:
            self._ready()
        except KafkaException as error:
            self._drop()
            raise mapped(error, f"starting the transactions of {self._id}") from error

    def close(self) -> None:
        """Give the producer up; an open transaction is aborted."""
        self._drop()

    def _ready(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(
                self._connection.client(
                    transactional_id=self._id,
                    transaction_timeout_ms=self._timeout_ms,
                    linger_ms=2,
                    retry_backoff_ms=5,  # a transaction that follows at once is told to wait for the markers of the last
                    batch_num_messages=100_000,
                    batch_size=1_000_000,
                    queue_buffering_max_messages=1_000_000,
                    queue_buffering_max_kbytes=512 << 10,
                    compression_type="lz4",
                    message_max_bytes=_MOST_BYTES,
                    delivery_report_only_error=True,
                )
            )
            self._producer.init_transactions(_REPLY_S)
        return self._producer

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        with suppress(KafkaException, HeadraceError):
            producer.purge()
            producer.abort_transaction(5.0)

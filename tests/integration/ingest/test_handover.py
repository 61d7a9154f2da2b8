"""What one instance committed is known to the next, and an instance that was given up cannot write any more."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from headrace.stream.kafka import TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from services.ingest.adapters.committed import committed
from tests.integration.ingest.running import Ingest, Platform, ingest, until

ROWS = 20_000
JOINED = "source partitions"
SHUT_OUT = "another instance has taken this work over"


def test_a_frozen_owner_that_wakes_up_writes_nothing_more(
    platform: Platform, dataset: str, port: int, tmp_path: Path, another_port: Callable[[], int]
) -> None:
    (tmp_path / "f.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(ROWS)))
    platform.apply(dataset, {"type": "file", "path": "f.csv"})
    frozen = Ingest(platform, port, tmp_path, max_batch_rows=20).wait()
    try:
        until(lambda: frozen.rows_in(dataset) > 0, "the first instance reads")
        frozen.process.send_signal(signal.SIGSTOP)
        with ingest(platform, another_port(), tmp_path):
            until(lambda: platform.caught_up(dataset, ROWS), "the second instance reads to the end", 120)
            joined = frozen.log().count(JOINED)
            frozen.process.send_signal(signal.SIGCONT)
            until(
                lambda: SHUT_OUT in frozen.log() or frozen.log().count(JOINED) > joined,
                "the first instance is shut out, or learns that it was given up before it writes",
            )
    finally:
        frozen.kill()
    assert platform.column(dataset, "id") == list(range(ROWS))
    assert platform.books(dataset) == {"rows_in": ROWS, "emitted": ROWS}


def test_what_stands_behind_an_open_transaction_of_another_is_read(platform: Platform, dataset: str) -> None:
    topic = f"{dataset}.shared"
    kafka_topics.ensure(platform.connection, {topic: 1})
    slow = TransactionalWriter(platform.connection, f"{topic}-slow", transaction_timeout_ms=60_000)
    mine = TransactionalWriter(platform.connection, f"{topic}-mine")
    found: list[bytes | None] = []
    replay = committed(platform.connection, topic)
    reading = threading.Thread(
        target=lambda: found.extend(value for records in replay.advance() for value in records.values)
    )
    with slow.transaction() as open_transaction:
        open_transaction.produce(topic, [b"slow"], partition=0)
        until(lambda: end_of(platform, topic) == 1, "the slow transaction is open")
        with mine.transaction() as transaction:
            transaction.produce(topic, [b"mine"], partition=0)
        reading.start()
        # The control: to a reader that stops at the present end of what is committed, the topic is empty.
        assert platform.messages(topic) == []
        assert reading.is_alive()
    reading.join(30)
    assert found == [b"slow", b"mine"]
    replay.close()
    slow.close()
    mine.close()


def end_of(platform: Platform, topic: str) -> int:
    """The offset after the last record, committed or not."""
    consumer = Consumer(
        {"bootstrap.servers": platform.bootstrap_servers, "group.id": "test-end", "isolation.level": "read_uncommitted"}
    )
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1])
    finally:
        consumer.close()

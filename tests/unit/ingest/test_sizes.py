"""Whatever is too large is set aside in a record that fits in a message."""

import base64
from datetime import UTC, datetime

import pyarrow as pa

from headrace.connector import Fetched, SourceRow
from headrace.contract import load
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.kafka.topics import MOST_MESSAGE_BYTES
from headrace.stream.ledger import Position
from headrace.stream.memory import MemorySchemas
from headrace.stream.service import LiveDataset
from services.ingest.adapters.publisher import Publisher
from services.ingest.core import books

DOCUMENT = """
dataset: shop.orders
description: Orders.
owner: {team: shop}
source: {type: http_push, max_record_bytes: 1000}
key: [id]
"""


def test_a_message_key_counts_as_part_of_its_record() -> None:
    dataset = LiveDataset("shop.orders", 1, 1, "active", load(DOCUMENT))
    writer = TransactionalWriter(Connection("127.0.0.1:1"), "never-used")
    publisher = Publisher(dataset, MemorySchemas(), writer, "0")
    rows = pa.RecordBatch.from_pydict({"id": ["a" * 100, "b" * 450, "c" * 550]})
    found = publisher.encoded(Fetched(rows))
    assert [len(value) < 1000 for value in found.values] == [True, True]
    assert [row.reason for row in found.rejected] == ["too_large"]
    assert b"cccc" in found.rejected[0].raw


def test_of_a_huge_source_row_quarantine_keeps_a_part_and_says_so() -> None:
    position = Position("shop.orders", 1, 1, books.STAGE, "0")
    huge = SourceRow(b"x" * (16 << 20), "unreadable_row", "it never ends", "f.csv:2")
    record = books.quarantined(position, huge, 0, datetime.now(UTC))
    assert base64.b64decode(record["value"]) == b"x" * books.KEPT_BYTES
    assert record["detail"] == "it never ends; the first 1048576 of its 16777216 bytes are kept here"
    assert len(Controls(MemorySchemas()).encode("quarantined", record)) < MOST_MESSAGE_BYTES


def test_a_row_of_ordinary_size_is_kept_whole() -> None:
    position = Position("shop.orders", 1, 1, books.STAGE, "0")
    record = books.quarantined(position, SourceRow(b"1,x", "wrong_type", "no", "f.csv:2"), 0, datetime.now(UTC))
    assert (base64.b64decode(record["value"]), record["detail"]) == (b"1,x", "no")

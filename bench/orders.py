"""The record every benchmark moves: an order of ten columns, generated the same way each time."""

from typing import Final

import numpy as np
import pyarrow as pa

from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.registry import Schemas

_FIELDS: Final[list[pa.Field]] = [
    pa.field("order_id", pa.int64(), nullable=False),
    pa.field("customer_id", pa.int64(), nullable=False),
    pa.field("email", pa.string(), nullable=False),
    pa.field("status", pa.string(), nullable=False),
    pa.field("amount", pa.float64(), nullable=False),
    pa.field("currency", pa.string(), nullable=False),
    pa.field("country", pa.string(), nullable=False),
    pa.field("ts", pa.timestamp("us", tz="UTC"), nullable=False),
    pa.field("items", pa.int32(), nullable=False),
    pa.field("note", pa.string()),
]
SCHEMA: Final = pa.schema(_FIELDS)

_STATUSES: Final = np.array(["new", "paid", "shipped", "returned"])
_CURRENCIES: Final = np.array(["EUR", "USD", "GBP", "JPY"])
_COUNTRIES: Final = np.array(["DE", "US", "GB", "JP", "FR", "NL"])
_EPOCH_US: Final = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def orders(first: int, count: int) -> pa.RecordBatch:
    """Orders `first` to `first + count - 1`. Shapes: `count` rows of `SCHEMA`. One in 50 has a negative amount."""
    number = np.arange(first, first + count)
    mixed = (number * 2654435761) % 1_000_003
    amount = np.where(mixed % 50 == 0, -1.0, (mixed % 100_000) / 100)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(number),
            pa.array(mixed),
            pa.array([f"Customer.{each}@Example.com" for each in mixed.tolist()]),
            pa.array(_STATUSES[mixed % 4]),
            pa.array(amount),
            pa.array(_CURRENCIES[mixed % 4]),
            pa.array(_COUNTRIES[mixed % 6]),
            pa.array(_EPOCH_US + number * 1000, pa.timestamp("us", tz="UTC")),
            pa.array((mixed % 9).astype(np.int32)),
            pa.array([None if each % 3 else f"note {each}" for each in mixed.tolist()], pa.string()),
        ],
        schema=SCHEMA,
    )


def avro() -> str:
    """The Avro schema of an order, as JSON."""
    return avro_schema(SCHEMA, "bench.orders")


def encoder(registry: Schemas, topic: str) -> tuple[Codec, int]:
    """How to encode orders for a topic: the codec and the schema id registered for it."""
    text = avro()
    return Codec(text), registry.register(topics.subject(topic), text)

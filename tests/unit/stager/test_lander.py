"""The lander never lands what it read under an assignment that is over."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.decode import Decoder
from headrace.stream.memory import MemoryLog, MemorySchemas, MemorySource
from headrace.stream.pump import Delivery
from services.stager.adapters.lander import Lander

DATASET = "shop.orders"
SCHEMA = pa.schema([pa.field("n", pa.int64())])
AVRO = avro_schema(SCHEMA, DATASET)


class Lake:
    """Takes note of what is landed: a double of the Iceberg table, whose own tests run against the real one."""

    identifier = "shop.orders__raw"

    def __init__(self) -> None:
        self.landed: list[int] = []
        self.reached: dict[int, int] = {}

    def append(self, rows: pa.Table | None, next_offsets: Mapping[int, int]) -> None:
        self.landed += [n.as_py() for n in rows.column("n")] if rows is not None else []
        self.reached |= next_offsets


class Reassigned(MemorySource):
    """After its second delivery the assignment changes: it starts over, and the poll that notices brings nothing."""

    polls = 0

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        self.polls += 1
        if self.polls == 2:
            self.rewind()
            return None
        delivery = super().poll(max_rows, timeout_s)
        return None if delivery is None else replace(delivery, epoch=self.epoch)


@dataclass
class Due:
    """Landing is due from the second poll on."""

    source: Reassigned
    landing_rows: int = 1000
    landing_bytes: int = 1 << 20

    @property
    def landing_interval_s(self) -> float:
        return 0 if self.source.polls > 1 else 3600


def landed(values: Sequence[bytes]) -> Lake:
    """The lake after a lander has read these records."""
    log, schemas, lake = MemoryLog(), MemorySchemas(), Lake()
    schemas.register(topics.subject(topics.raw(DATASET)), AVRO)
    for value in values:
        log.append(topics.raw(DATASET), value)
    source = Reassigned(log, topics.raw(DATASET), "g")
    lander = Lander(DATASET, 1, source, Decoder(schemas), lake, Due(source))  # type: ignore[arg-type]
    stopping = threading.Event()
    thread = threading.Thread(target=lander.run, args=(stopping,))
    thread.start()
    while source.polls < 10:
        thread.join(0.01)
    stopping.set()
    thread.join(10)
    return lake


def test_what_was_read_before_a_change_of_assignment_is_landed_once() -> None:
    lake = landed(list(Codec(AVRO).encode(pa.record_batch([pa.array(range(5))], schema=SCHEMA), 1)))
    assert sorted(lake.landed) == [0, 1, 2, 3, 4]


def test_records_that_cannot_be_decoded_are_passed_also_where_nothing_else_is_landed_with_them() -> None:
    """Else a passport says of them for ever that they are not landed yet."""
    lake = landed([b"no record", b"none either"])
    assert (lake.landed, lake.reached) == ([], {0: 2})

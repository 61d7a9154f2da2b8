"""The lander never lands what it read under an assignment that is over."""

import threading
from collections.abc import Mapping
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


class Lake:
    """Takes note of what is landed: a double of the Iceberg table, whose own tests run against the real one."""

    identifier = "shop.orders__raw"

    def __init__(self) -> None:
        self.landed: list[int] = []

    def append(self, rows: pa.Table, next_offsets: Mapping[int, int]) -> None:
        self.landed += [n.as_py() for n in rows.column("n")]


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


def test_what_was_read_before_a_change_of_assignment_is_landed_once() -> None:
    log, schemas, lake = MemoryLog(), MemorySchemas(), Lake()
    avro = avro_schema(SCHEMA, DATASET)
    schema_id = schemas.register(topics.subject(topics.raw(DATASET)), avro)
    for value in Codec(avro).encode(pa.record_batch([pa.array(range(5))], schema=SCHEMA), schema_id):
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
    assert sorted(lake.landed) == [0, 1, 2, 3, 4]

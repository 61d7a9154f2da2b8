"""What every pair of source and sink promises, as one suite that each pair inherits.

A pair offers `send`, `source`, `sink` and `values`; the tests know nothing else of it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pytest

from headrace.errors import HeadraceError, Transient
from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.control import Controls
from headrace.stream.decode import Decoder
from headrace.stream.ledger import Position
from headrace.stream.outputs import Outputs
from headrace.stream.pump import Delivery, Pump, Sink, Source
from headrace.stream.registry import Schemas
from headrace.stream.stage import MAIN, Batch, Emitted, Outcome, Rejection

SCHEMA = pa.schema([pa.field("n", pa.int64(), nullable=False)])


class Pair(Protocol):
    """One transport under test, with topics of its own for dataset `dataset`."""

    dataset: str
    registry: Schemas

    def send(self, values: Sequence[bytes | None], partition: int = 0) -> None: ...
    def source(self, group: str) -> Source: ...
    def sink(self, outputs: Outputs) -> Sink: ...
    def values(self, topic: str) -> list[bytes]: ...


class OddOut:
    """Quarantines odd numbers, drops those divisible by four, doubles the rest."""

    name = "transformer"

    def __call__(self, batch: Batch) -> Outcome:
        numbers: list[int] = [n.as_py() for n in batch.rows.column("n")]
        kept = [at for at, n in enumerate(numbers) if n % 4 == 2]
        rows = pa.record_batch([pa.array([2 * numbers[at] for at in kept], pa.int64())], schema=SCHEMA)
        return Outcome(
            (Emitted(pa.array(kept, pa.int64()), rows),),
            {"n % 4 <> 0": pa.array([at for at, n in enumerate(numbers) if n % 4 == 0], pa.int64())},
            [Rejection(at, "check_expression", f"{n} is odd") for at, n in enumerate(numbers) if n % 2],
        )


class Forward:
    """Passes everything on as it is."""

    name = "quality"

    def __call__(self, batch: Batch) -> Outcome:
        return Outcome((Emitted(pa.array(range(len(batch.raw)), pa.int64()), None),))


class SeamBehaviour:
    """The suite. A subclass provides the fixture `pair`."""

    @pytest.fixture
    def encode(self, pair: Pair) -> Callable[[Sequence[int]], list[bytes]]:
        avro = avro_schema(SCHEMA, pair.dataset)
        schema_id = pair.registry.register(topics.subject(topics.staged(pair.dataset)), avro)
        return lambda numbers: Codec(avro).encode(
            pa.record_batch([pa.array(numbers, pa.int64())], schema=SCHEMA), schema_id
        )

    @pytest.fixture
    def pump_of(self, pair: Pair) -> Iterator[Callable[..., Pump]]:
        opened: list[Source | Sink] = []

        def build(stage: Any = None, group: str = "g", source: Source | None = None) -> Pump:
            source = source or pair.source(group)
            outputs = Outputs(
                pair.registry, {MAIN: topics.transformed(pair.dataset, 1)}, topics.quarantine(pair.dataset)
            )
            sink = pair.sink(outputs)
            opened.extend((source, sink))
            position = Position(pair.dataset, 1, 1, "transformer", "0")
            return Pump(position, source, Decoder(pair.registry), stage or OddOut(), sink)

        yield build
        for each in opened:
            each.close()

    def emitted(self, pair: Pair) -> list[int]:
        values = pair.values(topics.transformed(pair.dataset, 1))
        return [n.as_py() for n in Codec(avro_schema(SCHEMA, pair.dataset)).decode(values).rows.column("n")]

    def test_each_row_meets_its_fate_once(self, pair: Pair, encode: Any, pump_of: Any) -> None:
        pair.send(encode(range(100)))
        pump = pump_of()
        drain(pump, 100)
        assert self.emitted(pair) == [2 * n for n in range(100) if n % 4 == 2]
        controls = Controls(pair.registry)
        set_aside = [controls.decode(value) for value in pair.values(topics.quarantine(pair.dataset))]
        assert [json.loads(record["fields"])["n"] for record in set_aside] == [n for n in range(100) if n % 2]
        assert {record["reason"] for record in set_aside} == {"check_expression"}
        entries = ledger(pair)
        assert sum(entry["rows_in"] for entry in entries) == 100
        assert sum(entry["filtered"]["n % 4 <> 0"] for entry in entries) == 25
        assert sum(entry["quarantined"]["check_expression"] for entry in entries) == 50
        assert sum(entry["rows_out"] for entry in entries) == 25

    def test_what_was_committed_is_not_delivered_again(self, pair: Pair, encode: Any, pump_of: Any) -> None:
        pair.send(encode([2, 6]))
        first = pump_of()
        drain(first, 2)
        first._source.close()
        pair.send(encode([10]))
        drain(pump_of(), 1)
        assert self.emitted(pair) == [4, 12, 20]

    def test_what_was_not_committed_is_delivered_again_under_a_new_epoch(self, pair: Pair, encode: Any) -> None:
        pair.send(encode([2, 6]))
        source = pair.source("g")
        first = taken(source, 2)
        source.rewind()
        again = taken(source, 2)
        assert [d.records.values for d in first] == [d.records.values for d in again]
        assert first[0].epoch != again[0].epoch
        source.close()

    def test_a_member_that_was_replaced_is_refused(self, pair: Pair, encode: Any, pump_of: Any) -> None:
        """The first member read the rows, its successor moved them: the first must not move them again."""
        pair.send(encode([2, 6, 10]))
        stale_source = pair.source("g")
        (delivery,) = taken(stale_source, 3)
        stale = pump_of(source=Replay(delivery))
        stale_source.close()
        drain(pump_of(), 3)
        stale.step(1.0)
        with pytest.raises(HeadraceError):
            stale.settle()
        assert self.emitted(pair) == [4, 12, 20]
        assert sum(entry["rows_in"] for entry in ledger(pair)) == 3

    def test_a_bad_record_goes_aside_and_its_neighbours_pass(self, pair: Pair, encode: Any, pump_of: Any) -> None:
        good = encode([2, 6, 10, 14, 18])
        bad = [b"\x01\x02\x03", None, b"", b"\x00\x00\x0f\x42\x40unknown", good[0][:5], good[0] + b"more"]
        pair.send([good[0], bad[0], good[1], bad[1], bad[2], good[2], bad[3], good[3], bad[4], bad[5], good[4]])
        drain(pump_of(), 11)
        assert self.emitted(pair) == [4, 12, 20, 28, 36]
        controls = Controls(pair.registry)
        set_aside = [controls.decode(value) for value in pair.values(topics.quarantine(pair.dataset))]
        assert sorted((record["offset"], record["reason"]) for record in set_aside) == [
            (1, "not_wire_format"),
            (3, "missing_value"),
            (4, "not_wire_format"),
            (6, "unknown_schema"),
            (8, "undecodable"),
            (9, "undecodable"),
        ]

    def test_a_record_keeps_its_partition_and_its_order(self, pair: Pair, encode: Any, pump_of: Any) -> None:
        pair.send(encode([2, 6, 10]), partition=1)
        pair.send(encode([14, 18]), partition=0)
        drain(pump_of(), 5)
        assert sorted(self.emitted(pair)) == [4, 12, 20, 28, 36]
        by_partition = {entry["partition"]: entry["rows_in"] for entry in ledger(pair)}
        assert by_partition == {0: 2, 1: 3}
        assert [n for n in self.emitted(pair) if n in (4, 12, 20)] == [4, 12, 20]

    def test_forwarded_rows_keep_their_bytes(self, pair: Pair, encode: Any, pump_of: Any) -> None:
        sent = encode([1, 2, 3])
        pair.send(sent)
        drain(pump_of(Forward()), 3)
        assert [value[5:] for value in pair.values(topics.transformed(pair.dataset, 1))] == [
            value[5:] for value in sent
        ]


class Replay:
    """A source that still holds what it was delivered before it lost its place."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.epoch = delivery.epoch

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        return self._delivery

    def rewind(self) -> None: ...
    def before_handover(self, finish: Callable[[], None]) -> None: ...
    def close(self) -> None: ...


def drain(pump: Pump, rows: int, patience: int = 200) -> None:
    """Step until `rows` records have moved."""
    moved = 0
    for _ in range(patience):
        try:
            moved += pump.step(0.1)
        except Transient:
            pump.rewind()
        if moved >= rows:
            return
    pytest.fail(f"only {moved} of {rows} records moved")


def taken(source: Source, rows: int, patience: int = 200) -> list[Delivery]:
    """Poll until `rows` records have come."""
    deliveries: list[Delivery] = []
    for _ in range(patience):
        delivery = source.poll(1000, 0.1)
        if delivery is not None:
            deliveries.append(delivery)
        if sum(len(each.records) for each in deliveries) >= rows:
            return deliveries
    pytest.fail(f"only {len(deliveries)} deliveries came")


def ledger(pair: Pair) -> list[dict[str, Any]]:
    """The ledger entries of the pair's dataset."""
    controls = Controls(pair.registry)
    entries = [controls.decode(value) for value in pair.values(topics.LEDGER)]
    return [entry for entry in entries if entry["dataset"] == pair.dataset]

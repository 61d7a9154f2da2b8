"""A member commits what it read before it hands its partitions over, or is refused; the controls show what else would happen."""

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pyarrow as pa
import pytest
from confluent_kafka import Consumer

from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.decode import Decoder
from headrace.stream.kafka import KafkaSink, KafkaSource
from headrace.stream.kafka import source as kafka_source
from headrace.stream.ledger import Position
from headrace.stream.outputs import Outputs
from headrace.stream.pump import Pump, Sink, Source, Work
from headrace.stream.stage import MAIN
from tests.chaos.member import COMMITTED, REFUSED
from tests.contract.stream.seams import SCHEMA, Forward
from tests.contract.stream.test_kafka import KafkaPair
from tests.stack import QUICK, Platform, Stack, eventually

ROWS = list(range(100))
AFTERWARDS = list(range(100, 200))


@contextmanager
def member(stack: Stack, pair: KafkaPair, *how: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of `tests.chaos.member`."""
    told = {"HEADRACE_BOOTSTRAP_SERVERS": stack.bootstrap_servers, "HEADRACE_REGISTRY_URL": stack.registry_url}
    command = [sys.executable, "-m", "tests.chaos.member", pair.dataset, *how]
    with subprocess.Popen(command, env={**os.environ, **QUICK, **told}) as process:
        try:
            yield process
        finally:
            process.kill()


def moved(pair: KafkaPair) -> list[int]:
    """The rows that have been written on."""
    rows = Codec(avro_schema(SCHEMA, pair.dataset)).decode(pair.values(topics.transformed(pair.dataset, 1))).rows
    return sorted(n.as_py() for n in rows.column("n"))


def woken(stack: Stack, *how: str) -> tuple[int, list[int]]:
    """How the commit of a member ends that was frozen until another had moved all rows; and which rows stand then."""
    pair = KafkaPair(stack)
    avro = avro_schema(SCHEMA, pair.dataset)
    schema_id = pair.registry.register(topics.subject(topics.staged(pair.dataset)), avro)
    pair.send(Codec(avro).encode(pa.record_batch([pa.array(ROWS, pa.int64())], schema=SCHEMA), schema_id))
    with member(stack, pair, "1", *how) as frozen:
        stopped = psutil.Process(frozen.pid)
        eventually(lambda: stopped.status() == psutil.STATUS_STOPPED, 60, "the member has polled")
        with member(stack, pair, "2"):
            eventually(lambda: moved(pair) == ROWS, 60, "its successor has moved the rows")
            stopped.resume()
            return frozen.wait(120), moved(pair)


def test_a_replaced_member_is_refused(platform: Platform) -> None:
    assert woken(platform.stack, "freezes") == (REFUSED, ROWS)


class Watched(KafkaSource):
    """Notes that it has been asked to hand over."""

    def __init__(self, pair: KafkaPair) -> None:
        super().__init__(pair.connection, topics.staged(pair.dataset), f"g-{pair.dataset}", session_timeout_ms=6000)
        self.asked = threading.Event()

    def before_handover(self, finish: Callable[[], None]) -> None:
        """See `headrace.stream.pump.Source.before_handover`."""

        def noted() -> None:
            self.asked.set()
            finish()

        super().before_handover(noted)


class Careless(Watched):
    """Does not wait for the commit under way before it hands over."""

    def before_handover(self, finish: Callable[[], None]) -> None:
        """Nothing is waited for."""


class Held:
    """A sink whose commit waits for `ready`. `outcome` says how it ended; None before that, and if it was never tried."""

    def __init__(self, inner: Sink, ready: Callable[[], bool]) -> None:
        self._inner = inner
        self._ready = ready
        self.entered, self.ended = threading.Event(), threading.Event()
        self.outcome: int | None = None

    def commit(self, work: Work) -> None:
        """See `headrace.stream.pump.Sink.commit`."""
        self.entered.set()
        try:
            eventually(self._ready, 60, "the commit may go on")
            self.outcome = REFUSED
            self._inner.commit(work)
            self.outcome = COMMITTED
        finally:
            self.ended.set()

    def close(self) -> None:
        """See `headrace.stream.pump.Sink.close`."""
        self._inner.close()


class Late:
    """A sink that commits with the authority of the commit, not of the poll."""

    def __init__(self, inner: Sink, consumer: Consumer) -> None:
        self._inner = inner
        self._consumer = consumer

    def commit(self, work: Work) -> None:
        """See `headrace.stream.pump.Sink.commit`."""
        membership = self._consumer.consumer_group_metadata()
        self._inner.commit(replace(work, delivery=replace(work.delivery, membership=membership)))

    def close(self) -> None:
        """See `headrace.stream.pump.Sink.close`."""
        self._inner.close()


@pytest.fixture
def pair(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> KafkaPair:
    """One poll waits until it has all rows."""
    monkeypatch.setattr(kafka_source, "_LINGER_S", 30.0)
    return KafkaPair(stack)


def send(pair: KafkaPair, rows: list[int]) -> None:
    """Half of the rows to each partition."""
    avro = avro_schema(SCHEMA, pair.dataset)
    schema_id = pair.registry.register(topics.subject(topics.staged(pair.dataset)), avro)
    encoded = Codec(avro).encode(pa.record_batch([pa.array(rows, pa.int64())], schema=SCHEMA), schema_id)
    for number in range(2):
        pair.send(encoded[number::2], number)


def pump_over(pair: KafkaPair, source: Source, sink: Sink, max_rows: int) -> Pump:
    position = Position(pair.dataset, 1, 1, "transformer", "0")
    return Pump(position, source, Decoder(pair.registry), Forward(), sink, max_rows=max_rows)


def sink_of(pair: KafkaPair) -> KafkaSink:
    return pair.sink(
        Outputs(pair.registry, {MAIN: topics.transformed(pair.dataset, 1)}, topics.quarantine(pair.dataset))
    )


def handed_over(pair: KafkaPair, source: Watched, held: Held) -> list[int]:
    """The rows that stand once a member that had read them all has handed a partition over amid its commit, then the other."""
    send(pair, ROWS)
    first = pump_over(pair, source, held, len(ROWS))
    second = pump_over(pair, pair.source("g"), sink_of(pair), len(ROWS) // 2)
    eventually(lambda: first.step(0.1) == 0 and held.entered.is_set(), 60, "the first member has read all rows")
    stopping = threading.Event()
    thread = threading.Thread(target=second.run, args=(stopping,))
    thread.start()
    try:
        eventually(lambda: source.poll(1, 0.1) is None and held.ended.is_set(), 60, "the first member has committed")
        source.close()
        send(pair, AFTERWARDS)
        eventually(lambda: set(AFTERWARDS) <= set(moved(pair)), 60, "its successor has moved what came afterwards")
        return moved(pair)
    finally:
        stopping.set()
        thread.join(60)
        held.close()


def test_a_member_hands_over_when_its_commit_has_ended(pair: KafkaPair) -> None:
    source = Watched(pair)
    held = Held(sink_of(pair), source.asked.is_set)
    assert handed_over(pair, source, held) == ROWS + AFTERWARDS
    assert held.outcome == COMMITTED


def successor_was_faster(pair: KafkaPair) -> Callable[[], bool]:
    """Whether another member has moved the rows of a partition."""
    return lambda: len(moved(pair)) >= len(ROWS) // 2


def test_one_that_does_not_wait_is_refused(pair: KafkaPair) -> None:
    held = Held(sink_of(pair), successor_was_faster(pair))
    assert handed_over(pair, Careless(pair), held) == ROWS + AFTERWARDS
    assert held.outcome == REFUSED


def test_one_that_does_not_wait_and_commits_with_the_authority_of_the_commit_doubles_rows(pair: KafkaPair) -> None:
    source = Careless(pair)
    held = Held(Late(sink_of(pair), source._consumer), successor_was_faster(pair))
    doubled = Counter(handed_over(pair, source, held))
    assert held.outcome == COMMITTED
    assert sorted(doubled) == ROWS + AFTERWARDS
    assert sorted(doubled.values()) == [1] * (len(ROWS) // 2 + len(AFTERWARDS)) + [2] * (len(ROWS) // 2)

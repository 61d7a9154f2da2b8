"""A world in which everything around the loader's sink can go wrong, one random step at a time.

The sink under test is the real one; Kafka and the engine are models that can crash, stall, lose answers and
finish late. Loaders run in threads that hand a baton around, so that a seed gives one schedule.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa

from headrace.errors import Transient
from headrace.stream.ledger import Position
from headrace.stream.pump import Delivery, Portion, Work
from headrace.stream.stage import Batch, Emitted, Outcome, Records
from services.loader.adapters.sink import WarehouseSink
from services.loader.core.fencing import Fence, FenceMovedError
from services.loader.core.table import LOAD_FIELDS, Table

T = TypeVar("T")

TABLE = Table("sim", "rows", order_by=("_load_partition", "_load_offset"))
POSITION = Position("sim.rows", 1, 1, "loader", "sim")


class Crash(BaseException):
    """The process is gone: nothing of ours may handle this."""


class Actor:
    """A thread that only runs while it holds the baton."""

    def __init__(self, body: Callable[["Actor"], None]) -> None:
        self._turn = threading.Lock()
        self._back = threading.Lock()
        self._turn.acquire()
        self._back.acquire()
        self.killed = False
        self.ended = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(body,), daemon=True)
        self._thread.start()

    def _run(self, body: Callable[["Actor"], None]) -> None:
        self._turn.acquire()
        try:
            if not self.killed:
                body(self)
        except Crash:
            pass
        except BaseException as error:
            self.failure = error
        self.ended = True
        self._back.release()

    def step(self) -> None:
        """Let it run to its next pause."""
        self._turn.release()
        self._back.acquire()
        if self.failure is not None:
            raise self.failure

    def pause(self) -> None:
        """Called by the actor itself: anything may happen now."""
        self._back.release()
        self._turn.acquire()
        if self.killed:
            raise Crash

    def kill(self) -> None:
        self.killed = True
        if not self.ended:
            self.step()


@dataclass
class Faults:
    """How often things go wrong, per opportunity."""

    error: float = 0.0  # a call fails before it does anything
    lost_answer: float = 0.0  # a call does its work and fails
    torn: float = 0.0  # an insert fails after some of its parts
    timeout: float = 0.0  # an insert goes on, its caller does not wait
    stale: float = 0.0  # a member that was replaced does not notice
    crash: float = 0.0
    rebalance: float = 0.0


@dataclass
class Insert:
    """An insert as the engine runs it, part by part, whether or not anyone still waits for it."""

    parts: list[list[tuple[int, int]]]
    fences: Mapping[int, Fence]
    started: bool = False
    done: bool = False
    error: Transient | None = None


@dataclass
class World:
    """What is shared: the topic, the group, the table, the fences."""

    random: random.Random
    log: dict[int, list[int]]
    faults: Faults
    committed: dict[int, int] = field(default_factory=dict)
    generation: int = 0
    assigned: dict[int, str] = field(default_factory=dict)
    rows: list[tuple[int, int]] = field(default_factory=list)
    fences: dict[int, list[Fence]] = field(default_factory=dict)
    inserts: list[Insert] = field(default_factory=list)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def newest(self, partition: int) -> Fence | None:
        return max(self.fences.get(partition, []), default=None)

    def advance(self, insert: Insert) -> None:
        """One step of a running insert."""
        if not insert.started:
            insert.started = True
            if self.refuses(insert):
                insert.done, insert.error = True, FenceMovedError("fence moved")
            return
        if self.chance(self.faults.torn):
            insert.done, insert.error = True, Transient("torn")
            return
        self.rows += insert.parts.pop(self.random.randrange(len(insert.parts)))
        insert.done = not insert.parts

    def refuses(self, insert: Insert) -> bool:
        return any(self.newest(number) != fence for number, fence in insert.fences.items())

    def finished(self) -> bool:
        return all(self.committed.get(number, 0) > offsets[-1] for number, offsets in self.log.items())


class SimulatedWarehouse:
    """A `Warehouse` in a `World`; everything may happen before and after each of its calls."""

    def __init__(self, world: World, actor: Actor) -> None:
        self.world = world
        self.actor = actor

    def prepare(self, table: Table, rows: pa.Schema) -> None:
        pass

    def newest(self, table: Table, partitions: Iterable[int]) -> dict[int, Fence]:
        self._before()
        return self._answer({p: fence for p in partitions if (fence := self.world.newest(p)) is not None})

    def fence(self, table: Table, fences: Mapping[int, Fence]) -> None:
        self._before()
        for number, fence in fences.items():
            self.world.fences.setdefault(number, []).append(fence)
        self._answer(None)

    def stop(self, table: Table, partitions: Iterable[int]) -> None:
        """What was running may still have got anywhere when it ends."""
        self._before()
        for insert in self.world.inserts:
            if insert.started and not insert.done and set(insert.fences) & set(partitions):
                for _ in range(self.world.random.randint(0, len(insert.parts))):
                    self.world.rows += insert.parts.pop(0)
                insert.done, insert.error = True, Transient("killed")
        self._answer(None)

    def loaded(self, table: Table, bases: Mapping[int, int]) -> dict[int, pa.Int64Array]:
        self._before()
        found = {
            number: pa.array([at for part, at in self.world.rows if part == number and at >= base], pa.int64())
            for number, base in bases.items()
        }
        return self._answer(found)

    def insert(self, table: Table, rows: pa.Table, fences: Mapping[int, Fence]) -> None:
        self._before()
        partition, offset = (rows[name].to_numpy().tolist() for name in ("_load_partition", "_load_offset"))
        identities = list(zip(partition, offset, strict=True))
        cut = self.world.random.randint(0, len(identities))
        parts = [part for part in (identities[:cut], identities[cut:]) if part]
        insert = Insert(parts, dict(fences))
        self.world.inserts.append(insert)
        while not insert.done:
            if self.world.chance(self.world.faults.timeout):
                raise Transient("timed out")
            self.actor.pause()
        if insert.error is not None:
            raise insert.error
        self._answer(None)

    def close(self) -> None:
        pass

    def _before(self) -> None:
        self.actor.pause()
        if self.world.chance(self.world.faults.error):
            raise Transient("refused")

    def _answer(self, value: T) -> T:
        self.actor.pause()
        if self.world.chance(self.world.faults.lost_answer):
            raise Transient("answer lost")
        return value


class SimulatedKafka:
    """The source and the inner sink of one group member."""

    def __init__(self, world: World, actor: Actor, name: str) -> None:
        self._world = world
        self._actor = actor
        self._name = name
        self._generation = -1
        self._epoch = 0
        self._next: dict[int, int] = {}

    def poll(self) -> Delivery | None:
        self._actor.pause()
        world = self._world
        if self._generation != world.generation and not world.chance(world.faults.stale):
            self._generation = world.generation
            self._next = {number: 0 for number, name in world.assigned.items() if name == self._name}
            self.rewind()
        most = world.random.randint(1, 4)
        taken = {
            number: [offset for offset in world.log[number] if offset >= start][:most]
            for number, start in self._next.items()
        }
        taken = {number: offsets for number, offsets in taken.items() if offsets}
        if not taken:
            return None
        self._next |= {number: offsets[-1] + 1 for number, offsets in taken.items()}
        pairs = [(number, offset) for number, offsets in taken.items() for offset in offsets]
        records = Records(
            "sim.rows.validated.v1",
            pa.array([number for number, _ in pairs], pa.int32()),
            pa.array([offset for _, offset in pairs], pa.int64()),
            pa.array([0] * len(pairs), pa.int64()),
            [None] * len(pairs),
            [b""] * len(pairs),
        )
        return Delivery(records, {p: o[-1] + 1 for p, o in taken.items()}, self._generation, self._epoch)

    def rewind(self) -> None:
        self._epoch += 1
        self._next = {number: self._world.committed.get(number, 0) for number in self._next}

    def commit(self, work: Work) -> None:
        world = self._world
        assert not any(portion.outcome.emitted for portion in work.portions), "rows must not go to Kafka"
        self._actor.pause()
        if world.chance(world.faults.error):
            raise Transient("broker away")
        if work.delivery.membership != world.generation:
            raise Transient("a newer generation of the group has begun")
        world.committed |= work.delivery.next_offsets
        self._actor.pause()
        if world.chance(world.faults.lost_answer):
            raise Transient("commit unknown")

    def close(self) -> None:
        pass


def work_of(delivery: Delivery) -> Work:
    """The work of a pump whose stage emits every record."""
    records = delivery.records
    rows = pa.RecordBatch.from_arrays([records.partition, records.offset], schema=pa.schema(LOAD_FIELDS))
    emitted = Emitted(pa.array(range(len(records)), pa.int64()), rows)
    return Work(POSITION, delivery, (Portion(Batch(records, rows, 1), Outcome((emitted,))),), (), ())


@dataclass
class Result:
    """What a schedule came to."""

    lost: Counter[tuple[int, int]]
    doubled: Counter[tuple[int, int]]

    @property
    def violated(self) -> bool:
        return bool(self.lost or self.doubled)


class Schedule:
    """One random life of a group of loaders, and a quiet end in which the work is finished."""

    def __init__(
        self, seed: int, warehouse: type[SimulatedWarehouse] = SimulatedWarehouse, world: type[World] = World
    ) -> None:
        self._random = random.Random(seed)
        log = {number: self._offsets() for number in range(2)}
        faults = Faults(
            **{name: self._random.choice((0.0, 0.03, 0.15)) for name in ("error", "lost_answer", "torn", "timeout")},
            stale=self._random.choice((0.0, 0.5, 0.95)),
            crash=self._random.choice((0.0, 0.01)),
            rebalance=self._random.choice((0.0, 0.02, 0.1)),
        )
        self._world = world(self._random, log, faults)
        self._warehouse = warehouse
        self._actors: dict[str, Actor] = {}
        self._born = 0

    def run(self) -> Result:
        for _ in range(2):
            self._start()
        self._rebalance()
        for _ in range(self._random.randint(30, 150)):
            self._step()
        self._world.faults = Faults()
        self._rebalance()
        quiet = 0
        while not self._world.finished():
            self._step()
            quiet += 1
            assert quiet < 20_000, "the loaders do not get the work done although nothing fails any more"
        for insert in self._world.inserts:
            while not insert.done:
                self._world.advance(insert)
        for actor in self._actors.values():
            actor.kill()
        found = Counter(self._world.rows)
        wanted = Counter((number, offset) for number, offsets in self._world.log.items() for offset in offsets)
        return Result(wanted - found, found - wanted)

    def _offsets(self) -> list[int]:
        """Offsets with gaps, as transaction markers leave them."""
        return sorted(self._random.sample(range(30), self._random.randint(4, 12)))

    def _step(self) -> None:
        world = self._world
        if world.chance(world.faults.crash):
            del self._actors[self._kill()]
            self._start()
        if world.chance(world.faults.rebalance):
            self._rebalance()
        running = [insert for insert in world.inserts if not insert.done]
        if running and world.chance(0.3):
            world.advance(self._random.choice(running))
        else:
            self._random.choice(list(self._actors.values())).step()

    def _kill(self) -> str:
        name = self._random.choice(list(self._actors))
        with suppress(Crash):
            self._actors[name].kill()
        return name

    def _start(self) -> None:
        self._born += 1
        name = f"loader-{self._random.randint(0, 9)}/{self._born}"

        def body(actor: Actor) -> None:
            kafka = SimulatedKafka(self._world, actor, name)
            sink = WarehouseSink(kafka, self._warehouse(self._world, actor), TABLE, name)
            while True:
                if (delivery := kafka.poll()) is None:
                    continue
                try:
                    sink.commit(work_of(delivery))
                except Transient:
                    kafka.rewind()

        self._actors[name] = Actor(body)

    def _rebalance(self) -> None:
        self._world.generation += 1
        members = list(self._actors)
        self._world.assigned = {number: self._random.choice(members) for number in self._world.log}

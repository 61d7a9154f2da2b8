"""The loop every streaming service runs: poll, decode, decide, check the books, commit in one transaction.

In a backlog the next batch is read and decided while the one before it is committed: half of a commit is waiting for the
broker. The seams are narrow, so that a memory pair serves the tests and a native pair could replace the Kafka one
without a stage noticing.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from headrace.errors import Held, Transient
from headrace.stream import metrics
from headrace.stream.committer import Committer
from headrace.stream.decode import Decoder
from headrace.stream.ledger import LedgerEntry, Position, entries_of, identities
from headrace.stream.parking import Waiting, decided, marked, records_of, waiting_of
from headrace.stream.stage import Batch, Outcome, Records, Rejection, Stage

log = logging.getLogger(__name__)

#: How long the batches of a delivery may take before what is left of it is read anew: a member that does not poll for 300 s is
#: given up by its group, and the last batch that is begun may take most of that (`headrace.transform.stage`).
_DELIVERY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one poll brought.

    `membership` is the consumer group metadata under which the records were read: the commit must carry it, or a
    member that has been replaced could commit again what its successor has committed. `epoch` changes whenever the
    records no longer continue the ones before (a new assignment, a rewind). `backlog` says that more was waiting. `again` are
    records that had been parked: they come before the others, and nothing but what is written says that they came.
    """

    records: Records
    next_offsets: Mapping[int, int]  # partition -> offset to commit
    membership: object
    epoch: int
    backlog: bool = False
    again: Sequence[Waiting] = ()


@dataclass(frozen=True, slots=True)
class Portion:
    """A batch and what the stage made of it."""

    batch: Batch
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Work:
    """Everything one transaction writes.

    `undecodable` holds rejections whose `row` is an index into `delivery.records`. `parking` are the records that wait from now
    on, or go on to.
    """

    position: Position
    delivery: Delivery
    portions: tuple[Portion, ...]
    undecodable: tuple[Rejection, ...]
    entries: tuple[LedgerEntry, ...]
    parking: tuple[Waiting, ...] = ()


class Source(Protocol):
    """Where deliveries come from. One thread at a time."""

    @property
    def epoch(self) -> int:
        """Changes whenever what comes next does not continue what came before: see `Delivery`."""
        ...

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        """The next records in order, at most `max_rows`, waiting up to `timeout_s` for the first. Errors: Transient, Fatal."""
        ...

    def rewind(self) -> None:
        """Go back to the committed offsets: what was delivered since is delivered again, under a new epoch. Errors: Transient."""
        ...

    def before_handover(self, finish: Callable[[], None]) -> None:
        """Have `finish` called before partitions go to another member: it returns when no commit of theirs is under way."""
        ...

    def close(self) -> None: ...


class Sink(Protocol):
    """Where work goes, all of it or none. One call at a time, from any thread."""

    def commit(self, work: Work) -> None:
        """Write outputs, quarantine, ledger entries and offsets as one.

        Errors: Transient (the outcome is unknown or nothing stands: the caller rewinds, and what was committed
        after all is not delivered again), Fenced, Fatal.
        """
        ...

    def close(self) -> None: ...


class Pump:
    """Moves the records of one source through one stage into one sink. Run by one thread; commits run beside it.

    `before_batch` runs after a poll and before the stage sees what it brought, and is given the epoch of that: the place to
    bring what the stage refers to up to date. Under a new epoch no commit is under way. It may raise Transient. `on_work` is
    told what was decided, before it is committed: what comes of that is read back after a rewind.
    """

    def __init__(
        self,
        position: Position,
        source: Source,
        decoder: Decoder,
        stage: Stage,
        sink: Sink,
        *,
        max_rows: int = 20_000,
        before_batch: Callable[[int], None] | None = None,
        on_work: Callable[[Work], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.position = position
        self._source = source
        self._decoder = decoder
        self._stage = stage
        self._sink = sink
        self._max_rows = max_rows
        self._before_batch = before_batch
        self._on_work = on_work
        self._clock = clock
        self._backlog = False
        self._labels = (position.stage, position.dataset, str(position.generation))
        self._committer = Committer(self._commit)
        source.before_handover(self._committer.wait)

    @property
    def name(self) -> str:
        return f"{self._stage.name} {self.position.dataset}"

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop. Errors: Fenced, Fatal and Held end the run; Transient is waited out here."""
        backoff = Backoff()
        rewind = False
        try:
            while not stopping.is_set():
                try:
                    if rewind:
                        self.rewind()
                        rewind = False
                    if self.step(timeout_s=0.25):
                        backoff.reset()
                except Transient as error:
                    rewind = True
                    wait_s = backoff.next_s()
                    log.warning("retrying in %.1f s: %s", wait_s, error, extra={"dataset": self.position.dataset})
                    metrics.RETRIES.labels(*self._labels).inc()
                    stopping.wait(wait_s)
            with suppress(Transient):  # what does not stand is read again by whoever comes next
                self.settle()
        finally:
            self._committer.wait()
            self._source.close()
            self._sink.close()

    def step(self, timeout_s: float) -> int:
        """Read and decide a batch, in a backlog while the one before it is committed, then begin its commit.

        Without a backlog the commit is waited for: what arrives meanwhile goes with the next batch, not the one after.
        Returns how many records are known to have moved since the last step. Errors: Transient (call `rewind` before
        the next step), Fenced, Fatal; those of the batch before, too, and then this one is given up with it. Held, when
        all in front of the row that is held stands.
        """
        moved = 0 if self._backlog else self.settle()
        delivery = self._source.poll(self._max_rows, timeout_s)
        self._backlog = delivery is not None and delivery.backlog
        if delivery is None:
            return moved + self.settle()
        if self._before_batch is not None:
            self._before_batch(delivery.epoch)
        work, held = self._decide(delivery)
        if self._on_work is not None and work is not None:
            self._on_work(work)
        moved += self.settle()
        if work is not None:
            self._committer.begin(work)
        if held is not None:
            self.settle()
            raise held
        if work is not None and _falls_short(work.delivery, delivery):
            self._backlog = False
            moved += self.settle()
            self._source.rewind()
        return moved

    def settle(self) -> int:
        """Wait for the commit under way. Returns how many records moved with it. Errors: see `step`."""
        work = self._committer.settle()
        if work is None:
            return 0
        self._observe(work)
        return len(work.delivery.records) + len(work.delivery.again)

    def rewind(self) -> None:
        """Give up what was read and not committed: it will be read again. Errors: Transient."""
        with suppress(Transient):
            self.settle()
        self._source.rewind()

    def _commit(self, work: Work) -> None:
        started = self._clock()
        self._sink.commit(work)
        metrics.TRANSACTION_SECONDS.labels(*self._labels).observe(self._clock() - started)

    def _decide(self, delivery: Delivery) -> tuple[Work | None, Held | None]:
        """The work of a delivery, or of as much of it as there is time for; up to the first row that is held, if one is, and
        then that.

        Where a row is held that had been parked, nothing of the delivery is done: what comes again stays parked meanwhile.
        """
        held: Held | None = None
        until = self._clock() + _DELIVERY_S
        while len(delivery.records) or delivery.again:
            work = self._work_of(delivery, until)
            if isinstance(work, Work):
                return work, None if _falls_short(work.delivery, delivery) else held  # else it is come to again
            batch, row = work
            held = held_at(self.position, batch, row)
            if batch.since_ms is not None:
                return None, held
            delivery = before(delivery, batch.raw.partition[row.row].as_py(), batch.raw.offset[row.row].as_py())
        return None, held

    def _work_of(self, delivery: Delivery, until: float) -> Work | tuple[Batch, Rejection]:
        """The work of a delivery, but for the batches that would begin after `until`; or the first row of it that is held."""
        now_ms = int(self._clock() * 1000)
        batches, undecodable = self._decoder(delivery.records)
        portions: list[Portion] = []
        for batch in (*self._again(delivery), *batches):
            if portions and self._clock() > until:
                log.warning("batches take long: what is left is read anew", extra={"dataset": self.position.dataset})
                delivery = _up_to(delivery, batch, sum(len(portion.batch.raw) for portion in portions))
                undecodable = [each for each in undecodable if each.row < len(delivery.records)]
                break
            outcome = self._stage(batch)
            if outcome.held is not None:
                return batch, outcome.held
            portions.append(Portion(batch, decided(batch, outcome, now_ms)))
        entries = entries_of(
            self.position,
            delivery.records,
            ((portion.batch, portion.outcome) for portion in portions),
            undecodable,
            now_ms,
            [each.rule for each in delivery.again],
        )
        parking = tuple(each for portion in portions for each in waiting_of(portion.batch, portion.outcome, now_ms))
        return Work(self.position, delivery, tuple(portions), tuple(undecodable), entries, parking)

    def _again(self, delivery: Delivery) -> Iterator[Batch]:
        """The records that had been parked. Errors: Transient when one that was read then cannot be read now."""
        batches, failed = self._decoder(records_of(delivery.records.topic, delivery.again))
        if failed:
            raise Transient(f"a parked record cannot be read: {failed[0].detail}")
        first = 0
        for batch in batches:
            yield marked(batch, delivery.again[first : first + len(batch.raw)])
            first += len(batch.raw)

    def _observe(self, work: Work) -> None:
        labels = self._labels
        for entry in work.entries:
            metrics.ROWS_IN.labels(*labels).inc(entry.rows_in)
            metrics.ROWS_OUT.labels(*labels).inc(entry.rows_out)
            for rule, count in entry.filtered.items():
                metrics.ROWS_FILTERED.labels(*labels, rule).inc(count)
            for reason, count in entry.quarantined.items():
                metrics.ROWS_QUARANTINED.labels(*labels, reason).inc(count)
            for rule, count in entry.parked.items():
                metrics.ROWS_PARKED.labels(*labels, rule).inc(count)
            for rule, count in entry.released.items():
                metrics.ROWS_RELEASED.labels(*labels, rule).inc(count)


def before(delivery: Delivery, partition: int, offset: int) -> Delivery:
    """What a delivery has in front of one of its records.

    A partition of which nothing is left stands where its records begin: it is committed all the same where parked records of it
    come again, so that a stale member is refused.
    """
    records = delivery.records
    partitions, offsets = records.partition.to_numpy(), records.offset.to_numpy()
    here = int(np.flatnonzero((partitions == partition) & (offsets == offset))[0])
    kept = records.take(pa.array(np.arange(here), pa.int64()))
    stands = {number: int(offsets[partitions == number][0]) for number in set(partitions.tolist())}
    last = dict(zip(partitions[:here].tolist(), offsets[:here].tolist(), strict=True))
    stands |= {number: at + 1 for number, at in last.items()}
    wanted = {*last, *(each.place.partition for each in delivery.again)}
    reached = {number: stands.get(number, at) for number, at in delivery.next_offsets.items() if number in wanted}
    return replace(delivery, records=kept, next_offsets=reached, backlog=False)


def _up_to(delivery: Delivery, batch: Batch, rows: int) -> Delivery:
    """What a delivery has in front of one of its batches, which `rows` records that can be read are."""
    if batch.since_ms is None:
        return before(delivery, batch.raw.partition[0].as_py(), batch.raw.offset[0].as_py())
    delivery = replace(delivery, again=delivery.again[:rows])
    if len(delivery.records):
        return before(delivery, delivery.records.partition[0].as_py(), delivery.records.offset[0].as_py())
    mine = {each.place.partition for each in delivery.again}
    stands = {number: at for number, at in delivery.next_offsets.items() if number in mine}
    return replace(delivery, next_offsets=stands, backlog=False)


def _falls_short(part: Delivery, whole: Delivery) -> bool:
    return (len(part.records), len(part.again)) != (len(whole.records), len(whole.again))


def held_at(position: Position, batch: Batch, row: Rejection) -> Held:
    """What is said of a row that waits for a decision. Its place is that in the raw topic."""
    partition, offset, _ = (int(part[row.row]) for part in identities(batch))
    rule = row.rule or row.reason
    message = (
        f"{position.dataset} is held on purpose by the check {rule} at raw partition {partition}, offset {offset}: {row.detail}. "
        f"Look at it: headrace row {position.dataset} --raw {partition}:{offset}; then decide: headrace hold release "
        f"{position.dataset} --raw {partition}:{offset} --pass (or --quarantine) --because TEXT"
    )
    about: dict[str, str | int] = {
        "partition": partition,
        "offset": offset,
        "rule": rule,
        "reason": row.reason,
        "detail": row.detail,
    }
    return Held(message, about)


class Backoff:
    """Waits that double from a tenth of a second to five."""

    def __init__(self, first_s: float = 0.1, most_s: float = 5.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def next_s(self) -> float:
        """How long to wait this time. Units: seconds."""
        wait_s = self._next_s
        self._next_s = min(wait_s * 2, self._most_s)
        return wait_s

    def reset(self) -> None:
        """Forget the failures: the work went on."""
        self._next_s = self._first_s

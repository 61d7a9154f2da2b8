"""Brings parked rows again: those whose parent has come, and those whose time is up, before the rows that are new.

What is parked is kept in memory, as the topic of parked records says; the topic is read at the beginning, and after every
assignment and rewind. What was decided since counts as done: where its commit fails, the pump rewinds.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Set
from contextlib import closing
from dataclasses import replace
from typing import Final, Protocol

from confluent_kafka import IsolationLevel

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Replay
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.parking import Place, Waiting, of_record
from headrace.stream.pump import Delivery, Source, Work
from headrace.stream.registry import Schemas
from headrace.stream.service import LiveDataset
from services.transformer.core.waitlist import Waitlist

log = logging.getLogger(__name__)

#: The most rows of a dataset that wait in one process, and their size: with more it reads nothing new.
MOST_ROWS: Final = 100_000
MOST_BYTES: Final = 64 << 20


class RestingSource(Source, Protocol):
    """A source that can be told to bring nothing new."""

    def standing(self) -> Delivery:
        """A delivery of nothing, on the authority of who holds the partitions: their offsets are where they stand."""
        ...

    def rest(self, resting: bool) -> None: ...


class WaitingSource:
    """A `Source` that brings parked rows again beside those of `source`.

    `read_back` gives the parked rows of these partitions, as they stand (Errors: Transient). `arrived` says whose parents
    are there; `anew` that it is to look for all of them again (Errors: Transient, Fatal). `now_ms`: the clock by which they wait.
    """

    def __init__(
        self,
        source: RestingSource,
        read_back: Callable[[Set[int]], Iterable[Waiting]],
        arrived: Callable[[Collection[Waiting], bool], Set[Place]],
        now_ms: Callable[[], int],
        most_rows: int = MOST_ROWS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._source = source
        self._read_back = read_back
        self._arrived = arrived
        self._now_ms = now_ms
        self._room = most_rows, most_bytes
        self._waitlist = Waitlist(*self._room)
        self._known: int | None = None  # the epoch that the waitlist belongs to
        self._anew = True
        self._full = False

    @property
    def epoch(self) -> int:
        """See `headrace.stream.pump.Source.epoch`."""
        return self._source.epoch

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        """See `headrace.stream.pump.Source.poll`."""
        self._note_room()
        self._source.rest(self._full)
        delivery = self._source.poll(max_rows, timeout_s)
        if self._known != self._source.epoch:
            self._recall()
        if not self._waitlist:
            return delivery
        arrived = self._arrived(self._waitlist.rows, self._anew)
        self._anew = False
        again = self._waitlist.due(self._now_ms(), arrived, max_rows)
        # More may have arrived than were taken: they are looked for again.
        self._anew = len(again) == max_rows
        return self._with(delivery, again) if again else delivery

    def note(self, work: Work) -> None:
        """What was decided: these rows do not wait any longer, those do from now on."""
        self._waitlist.take(work.delivery.again)
        self._waitlist.put(work.parking)

    def rewind(self) -> None:
        """See `headrace.stream.pump.Source.rewind`."""
        self._source.rewind()

    def before_handover(self, finish: Callable[[], None]) -> None:
        """See `headrace.stream.pump.Source.before_handover`."""
        self._source.before_handover(finish)

    def close(self) -> None:
        """See `headrace.stream.pump.Source.close`."""
        self._source.close()

    def _recall(self) -> None:
        """Read what is parked in the partitions that are held now. Errors: Transient."""
        epoch, held = self._source.epoch, set(self._source.standing().next_offsets)
        self._waitlist = Waitlist(*self._room)
        self._waitlist.put(self._read_back(held) if held else ())
        self._known, self._anew = epoch, True
        if self._waitlist:
            log.info("%d rows wait for their parents", len(self._waitlist))

    def _with(self, delivery: Delivery | None, again: list[Waiting]) -> Delivery | None:
        """The delivery with rows that come again. Where a partition stands is committed with them: a stale member is refused."""
        standing = self._source.standing()
        mine = [row for row in again if row.place.partition in standing.next_offsets]
        if not mine:
            return delivery
        needed = {row.place.partition for row in mine}
        offsets = {number: at for number, at in standing.next_offsets.items() if number in needed}
        if delivery is None:
            return replace(standing, next_offsets=offsets, again=mine)
        return replace(delivery, next_offsets={**offsets, **delivery.next_offsets}, again=mine)

    def _note_room(self) -> None:
        full = self._waitlist.full
        if full and not self._full:
            log.warning(
                "%d rows wait for their parents, as many as may: nothing new is read until some are released",
                len(self._waitlist),
            )
        self._full = full


class ParkedTopic:
    """Reads what is parked of a dataset."""

    def __init__(self, connection: Connection, registry: Schemas, dataset: LiveDataset) -> None:
        self._connection = connection
        self._controls = Controls(registry)
        self._topic = topics.parked(dataset.name, dataset.generation)

    def exists(self) -> bool:
        """Whether rows of the dataset ever waited. Errors: Transient."""
        return kafka_topics.exists(self._connection, self._topic)

    def __call__(self, partitions: Set[int]) -> list[Waiting]:
        """The rows parked in these partitions: all that is committed, also behind a transaction that is still being decided.

        Errors: Transient.
        """
        found: dict[tuple[int, bytes | None], bytes | None] = {}
        with closing(Replay(self._connection, self._topic, end=IsolationLevel.READ_UNCOMMITTED)) as replay:
            lows = {number: low for number, (low, _) in replay.watermarks().items() if number in partitions}
            replay.seek(lows)
            for records in replay.advance():
                numbers: list[int] = records.partition.to_numpy().tolist()
                for number, key, value in zip(numbers, records.keys, records.values, strict=True):
                    found[number, key] = value
        return [of_record(self._controls.decode(value)) for value in found.values() if value is not None]

"""Has a generation begin in the lake, where retention has deleted the first staged records, and go on in the staged topic.

Where it stands in the lake is committed like any other position: as its group's offset of the raw topic, which nobody reads
there, in the transaction that holds what was made of the records. A partition of which something staged is committed is past the
lake for good. See docs/decisions/0034-a-replay-begins-in-the-lake.md.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Protocol

import pyarrow as pa

from headrace.errors import Fatal, Transient
from headrace.stream.pump import Delivery
from headrace.stream.stage import Records
from services.transformer.adapters.waiting import RestingSource
from services.transformer.core.stretches import Seam, Stretch, left

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0  # how often it is looked whether more was landed
_NAP_S: Final = 0.05


class StagedSource(RestingSource, Protocol):
    """A source of the staged topic that can be told where to begin."""

    def begin_at(self, first: Callable[[list[int]], Mapping[int, int]]) -> None: ...
    def committed(self, topic: str, partitions: list[int]) -> Mapping[int, int]: ...


class Landings(Protocol):
    """What there is in the lake: see `services.transformer.adapters.landed_records`."""

    @property
    def reached(self) -> Mapping[int, int]: ...
    @property
    def each(self) -> Iterator[pa.Table]: ...


class Landed(Protocol):
    """Reads the lake: see `services.transformer.adapters.landed_records`."""

    def landings(self, wanted: Mapping[int, Stretch]) -> Landings: ...
    def records(self, rows: pa.Table) -> Records: ...


class LakeFirst:
    """A `RestingSource` over `source`, whose partitions rest while something of the lake is left.

    `landed` opens the lake when it is needed. `seams` tells where the topic begins (Errors: Transient, Fatal).
    """

    def __init__(
        self,
        source: StagedSource,
        raw: str,
        seams: Callable[[list[int]], Mapping[int, Seam]],
        landed: Callable[[], Landed],
    ) -> None:
        self._source = source
        self._raw = raw
        self._seams = seams
        self._open = landed
        self._lake: Landed | None = None
        self._finish: Callable[[], None] = lambda: None
        self._parts: dict[int, Stretch] = {}
        self._passed: dict[int, Stretch] = {}
        self._told: Mapping[int, int] = {}  # where partitions were begun of which nothing staged was committed
        self._epoch: int | None = None  # that the parts belong to
        self._landings: Landings | None = None
        self._rows: pa.Table | None = None
        self._resting = False
        self._look_at = 0.0
        self._waits_for: Mapping[int, Stretch] = {}  # as it was told last
        source.begin_at(self._begin)

    @property
    def epoch(self) -> int:
        """See `headrace.stream.pump.Source.epoch`."""
        return self._source.epoch

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        """See `headrace.stream.pump.Source.poll`."""
        if not self._in_lake:
            return self._from_topic(max_rows, timeout_s)
        self._source.rest(True)
        if self._source.poll(1, timeout_s if self._resting else 0) is not None:  # it came before the rest
            self.rewind()
        if not self._in_lake or self._resting:
            return None
        return self._from_lake(max_rows, timeout_s)

    def rewind(self) -> None:
        """See `headrace.stream.pump.Source.rewind`."""
        self._finish()
        self._source.rewind()

    def standing(self) -> Delivery:
        """See `RestingSource.standing`: in the lake, where the partitions stand there."""
        standing = self._source.standing()
        if not self._in_lake:
            return standing
        nothing = replace(standing.records, topic=self._raw)
        return replace(standing, records=nothing, next_offsets={at: part.next for at, part in self._parts.items()})

    def rest(self, resting: bool) -> None:
        """See `RestingSource.rest`."""
        self._resting = resting

    def before_handover(self, finish: Callable[[], None]) -> None:
        """See `headrace.stream.pump.Source.before_handover`."""
        self._finish = finish
        self._source.before_handover(finish)

    def close(self) -> None:
        """See `headrace.stream.pump.Source.close`."""
        self._source.close()

    @property
    def _in_lake(self) -> bool:
        return bool(self._parts) and self._epoch == self._source.epoch

    def _from_topic(self, max_rows: int, timeout_s: float) -> Delivery | None:
        self._source.rest(self._resting)
        try:
            return self._source.poll(max_rows, timeout_s)
        except Fatal as error:
            if self._epoch != self._source.epoch or not self._deleted_since():
                raise
            raise Transient(f"{error}: looked for in the lake") from error

    def _deleted_since(self) -> bool:
        """Whether retention has deleted what partitions were told to begin at. Errors: Transient, Fatal."""
        seams = self._seams(list(self._told))
        return any(seams[at].staged > begun for at, begun in self._told.items())

    def _begin(self, partitions: list[int]) -> Mapping[int, int]:
        """Where partitions begin of which nothing staged is committed, and what comes before. Errors: Transient, Fatal."""
        seams = self._seams(partitions)
        committed = self._source.committed(self._raw, partitions)
        found = {at: left(committed.get(at, 0), seam, self._passed.get(at)) for at, seam in seams.items()}
        self._parts = {at: part for at, part in found.items() if part is not None}
        self._told, self._epoch = {at: seam.staged for at, seam in seams.items()}, self._source.epoch
        self._landings = self._rows = None
        if self._parts:
            log.info("the first records are read from the lake: %s", self._parts)
        return self._told

    def _from_lake(self, max_rows: int, timeout_s: float) -> Delivery | None:
        rows = self._next_rows()
        if rows is None:
            self._at_an_end(timeout_s)
            return None
        if not rows.num_rows:
            return None
        chunk, self._rows = rows.slice(0, max_rows), rows.slice(max_rows)
        assert self._lake is not None
        records = self._lake.records(chunk)
        numbers: list[int] = records.partition.to_numpy().tolist()
        offsets: list[int] = records.offset.to_numpy().tolist()
        last = dict(zip(numbers, offsets, strict=True))
        for at, offset in last.items():
            self._parts[at] = self._parts[at].after(offset)
        standing = self._source.standing()
        return replace(
            standing, records=records, next_offsets={at: offset + 1 for at, offset in last.items()}, backlog=True
        )

    def _next_rows(self) -> pa.Table | None:
        """What comes next of the lake, which may be nothing yet; None at the end of what was landed when it was looked."""
        if self._landings is None:
            if time.monotonic() < self._look_at:
                return None
            self._lake = self._lake or self._open()
            self._landings = self._lake.landings(self._parts)
        if self._rows is None or not self._rows.num_rows:
            self._rows = next(self._landings.each, None)  # one at a time: the source is polled in between
        return self._rows

    def _at_an_end(self, timeout_s: float) -> None:
        """Go on in the topic where everything in front of it was read; else wait until more is landed."""
        landings, self._landings = self._landings, None
        missing = {
            at: part for at, part in self._parts.items() if landings is None or landings.reached.get(at, 0) < part.until
        }
        if not missing:
            self._passed |= self._parts
            self.rewind()  # looks anew where the topic begins by now
            return
        if landings is not None:
            if missing != self._waits_for:
                log.info("waiting until the lake has what is deleted from the topic: %s", missing)
            self._waits_for = missing
            self._look_at = time.monotonic() + _LOOK_S
        time.sleep(min(timeout_s, _NAP_S))

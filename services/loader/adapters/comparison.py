"""Compares the rows of a run in the warehouse with those that were published, value by value, before they show.

Both are read once more in bounded portions, and only their sums are held (`digest`). The rows in the table say at which
offsets of the topic they were; that topic is kept for ever.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Final

from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection, Replay
from headrace.stream.registry import Registry
from headrace.stream.runs import Range
from headrace.stream.service import LiveDataset
from services.loader.adapters.digest import Digest, Place, comparable, differences, told
from services.loader.adapters.warehouse import FullLoads
from services.loader.core import runs
from services.loader.core.stage import LoaderStage
from services.loader.core.table import INTERNAL, Table

log = logging.getLogger(__name__)

_WIDTH: Final = 4096  # raw offsets whose sums are held together
_PORTION: Final = 250_000  # rows of the table in memory at once


class Comparison:
    """Of one dataset. `going_on` says whether somebody still wants to know."""

    def __init__(self, dataset: LiveDataset, connection: Connection, registry: Registry, table: Table) -> None:
        self._dataset = dataset.name
        self._connection = connection
        self._topic = topics.validated(dataset.name, dataset.generation)
        self._decoder = Decoder(registry)
        self._stage = LoaderStage("loader", table)
        self._table = table

    def differs(self, warehouse: FullLoads, ranges: Iterable[Range], going_on: Callable[[], bool]) -> str:
        """What of the rows from these raw offsets is another than what was published; nothing when all is as it was.

        Errors: Transient, also when it is given up; Fatal.
        """
        only = tuple(ranges)
        found = self._differences(warehouse, only, _WIDTH, going_on)
        if not found:
            return ""
        partition, start = next(iter(found))
        rows = self._differences(warehouse, [Range(partition, start, start + _WIDTH)], 1, going_on)
        more = (
            f"; there are others, in {len(found) - 1} more stretches of {_WIDTH} raw offsets" if len(found) > 1 else ""
        )
        return (told(rows) if rows else f"rows from {partition}:{start} on") + more

    def _differences(
        self, warehouse: FullLoads, only: Iterable[Range], width: int, going_on: Callable[[], bool]
    ) -> dict[Place, list[str]]:
        kinds = comparable(warehouse.columns(self._table), INTERNAL)
        with closing(Digest(kinds, width)) as loaded, closing(Digest(kinds, width)) as published:
            for part in runs.portions(only, _PORTION):
                loaded.add(warehouse.rows(self._table, kinds, part))
                _require(going_on)
            self._read(published, warehouse.placed(self._table, only), runs.within(only), going_on)
            if published.rows < loaded.rows:
                log.warning(
                    "%d rows of a run cannot be compared with what was published: they are not in %s any more",
                    loaded.rows - published.rows,
                    self._topic,
                    extra={"dataset": self._dataset},
                )
                return {}
            return differences(loaded, published)

    def _read(
        self, digest: Digest, places: dict[int, tuple[int, int]], only: str, going_on: Callable[[], bool]
    ) -> None:
        """Add what was published at these offsets of the topic, the last included, and comes from those raw offsets."""
        if not places:
            return
        ahead = {number: last for number, (_, last) in places.items()}
        with closing(Replay(self._connection, self._topic)) as replay:
            replay.seek({number: first for number, (first, _) in places.items()})
            for records in replay.advance():
                batches, _ = self._decoder(records)  # what cannot be decoded is in quarantine
                for batch in batches:
                    for part in self._stage(batch).emitted:
                        if part.rows is not None:
                            digest.add(part.rows, only)
                reached = dict(
                    zip(records.partition.to_numpy().tolist(), records.offset.to_numpy().tolist(), strict=True)
                )
                ahead = {number: last for number, last in ahead.items() if reached.get(number, -1) < last}
                if not ahead:
                    return
                _require(going_on)


def _require(going_on: Callable[[], bool]) -> None:
    if not going_on():
        raise Transient("comparing a run was given up: another loader sees to it")

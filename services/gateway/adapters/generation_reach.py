"""Finds out how far a generation of a dataset got: up to which raw offset all that was to become of a record has become of it.

The warehouse alone cannot tell: of a record that was filtered it has nothing.
"""

from collections.abc import Collection
from contextlib import closing

from headrace.stream import topics
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection
from headrace.stream.registry import Registry
from services.gateway.accounts import read_by_stages
from services.gateway.adapters.control_fold import Slot
from services.gateway.adapters.progress import Progress, Reading
from services.gateway.adapters.trail import Trail
from services.gateway.core.conservation import STAGES
from services.gateway.core.datasets import DatasetVersion


class GenerationReach:
    """Asks Kafka what the stages of a generation have left to read."""

    def __init__(self, connection: Connection, registry: Registry, progress: Progress) -> None:
        self._connection = connection
        self._registry = registry
        self._progress = progress

    def __call__(self, version: DatasetVersion) -> dict[int, int]:
        """The last such raw offset of each partition; -1 of one of which nothing is through yet. Errors: Transient."""
        readings = read_by_stages(version)
        by_stage = {stage: [each for each, by in readings.items() if by == stage] for stage in STAGES[1:]}
        first = by_stage[STAGES[1]]
        ends = self._progress.ends([Slot(each.topic, each.partition) for each in first])
        reached = {slot.partition: end - 1 for slot, end in ends.items()}
        for number, left_in_lake in self._in_lake(version, by_stage[STAGES[2]]).items():
            reached[number] = min(reached[number], left_in_lake - 1)
        with closing(Trail(self._connection, Decoder(self._registry))) as trail:
            for (
                stage,
                of_stage,
            ) in by_stage.items():  # in the order of the stream: what one passed on, the next has before it
                committed = self._progress.committed(of_stage)
                for reading in self._progress.unread(of_stage):
                    left = self._left(trail, reading, committed[reading], raw=stage == STAGES[1])
                    if left is not None:
                        reached[reading.partition] = min(reached[reading.partition], left - 1)
        return reached

    def _in_lake(self, version: DatasetVersion, readings: Collection[Reading]) -> dict[int, int]:
        """The raw offset from which a partition is read that is still read from the lake: see decision 34."""
        starts = self._progress.starts([Slot(each.topic, each.partition) for each in readings])
        committed = self._progress.committed(readings)
        there = [each for each in readings if not committed[each] and starts[Slot(each.topic, each.partition)]]
        raw = topics.raw(version.name)
        found = self._progress.committed([each._replace(topic=raw) for each in there])
        return {each.partition: offset for each, offset in found.items()}

    def _left(self, trail: Trail, reading: Reading, committed: int, *, raw: bool) -> int | None:
        """The raw offset of the first record that is left to read."""
        return committed if raw else trail.identity_from(reading.topic, reading.partition, committed)

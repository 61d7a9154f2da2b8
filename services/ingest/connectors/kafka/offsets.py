"""How far a topic has been read: the next offset of each partition, and what is missing in front of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

Offsets = Mapping[int, int]
"""The offset of each partition that is read next, or that is the first behind its end."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first offset that a partition still has, and the one behind its last."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages that were there and were not read: `start` is the offset to be read next, `bounds` what there is instead."""

    partition: int
    start: int
    bounds: Bounds

    @property
    def resume(self) -> int:
        """Where what is left begins."""
        return self.bounds.low

    def __str__(self) -> str:
        if self.start > self.bounds.high:
            return (
                f"partition {self.partition} was read up to offset {self.start}, and now ends at offset {self.bounds.high}: "
                "its topic was made anew, or has lost its end"
            )
        last = self.bounds.low - 1
        return (
            f"partition {self.partition} has lost offsets {self.start} to {last}: up to {self.bounds.low - self.start} messages "
            "were deleted there before they were read"
        )


def to_json(offsets: Offsets) -> str:
    """The text of a position: `{"0": 17, "1": 4}`."""
    return json.dumps({str(partition): offset for partition, offset in sorted(offsets.items())})


def from_json(position: str | None) -> dict[int, int] | None:
    """The offsets in the text of a position; None before the first."""
    if position is None:
        return None
    return {int(partition): int(offset) for partition, offset in json.loads(position).items()}


def gaps(offsets: Offsets, bounds: Mapping[int, Bounds]) -> list[Gap]:
    """What is missing at the places where reading is to go on. A partition that is not there any more is an empty one."""
    found = [
        Gap(partition, offset, bounds.get(partition, Bounds(0, 0))) for partition, offset in sorted(offsets.items())
    ]
    return [gap for gap in found if not gap.bounds.low <= gap.start <= gap.bounds.high]


def left(offsets: Offsets, ends: Offsets) -> int:
    """How many offsets there are in front of the ends."""
    return sum(max(end - offsets[partition], 0) for partition, end in ends.items())

"""Where to begin to read so that about so many of the newest records of a topic come."""

from collections.abc import Mapping

Marks = Mapping[int, tuple[int, int]]


def after(marks: Marks, begins: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """The part of each partition that begins at these offsets, as far as the topic still has it."""
    return {number: (min(max(low, begins[number]), high), high) for number, (low, high) in marks.items()}


def records(marks: Marks) -> int:
    """How many records there are between these marks, about: what ends a transaction counts as well."""
    return sum(high - low for low, high in marks.values())


def newest(marks: Marks, rows: int) -> dict[int, int]:
    """The offset to begin at in each partition, of which `marks` has the first offset and the end.

    Partitions share alike; what a short one cannot give, the longer ones do.
    """
    starts: dict[int, int] = {}
    left = rows
    by_length = sorted(marks.items(), key=lambda mark: mark[1][1] - mark[1][0])
    for done, (number, (low, high)) in enumerate(by_length):
        share = min(high - low, -(-left // (len(by_length) - done)))
        starts[number] = high - share
        left -= share
    return starts

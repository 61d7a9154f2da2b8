"""Where to begin to read so that about so many of the newest records of a topic come."""

from collections.abc import Mapping


def newest(marks: Mapping[int, tuple[int, int]], rows: int) -> dict[int, int]:
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

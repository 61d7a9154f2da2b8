"""Where the physical lines of a block of bytes are, and how many come before an offset."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Records found in a block.

    Shapes: `start`, `stop` and `line` have one entry for each record: its bytes without the line end, and how
    many lines of the block come before it. `consumed` bytes and `lines` lines of the block are dealt with; the
    rest belongs to a record that is not complete.
    """

    start: Int64s
    stop: Int64s
    line: Int64s
    consumed: int
    lines: int

    def __len__(self) -> int:
        return len(self.start)


def positions(block: bytes, byte: bytes) -> Int64s:
    """The offsets at which `byte` occurs."""
    return np.flatnonzero(np.frombuffer(block, np.uint8) == byte[0])


def spans_between(block: bytes, ends: Int64s, newlines: Int64s, final: bool, most: int) -> Spans:
    """The non-blank records that end at the line ends `ends`, at most `most` of them.

    `newlines` are all line ends of the block, which count lines. With `final` the bytes after the last line end are a record too.
    """
    if final and block and (not len(ends) or ends[-1] < len(block) - 1):
        ends = np.append(ends, len(block))
    if not len(ends):
        return Spans(ends, ends, ends, 0, 0)
    start = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    content = np.frombuffer(block, np.uint8)
    crlf = (ends > start) & (content[np.maximum(ends - 1, 0)] == 13)
    stop = ends - crlf
    kept = np.flatnonzero(stop > start)
    if len(kept) > most:
        consumed = int(start[kept[most]])
        kept = kept[:most]
    else:
        consumed = min(int(ends[-1]) + 1, len(block))
    start, stop = start[kept], stop[kept]
    line = np.searchsorted(newlines, start)
    lines = int(np.searchsorted(newlines, consumed))
    return Spans(start, stop, line, consumed, lines)


def spans_of_lines(block: bytes, final: bool, most: int) -> Spans:
    """The records of a format in which every non-blank line is one. See `Spans`."""
    newlines = positions(block, b"\n")
    return spans_between(block, newlines, newlines, final, most)

"""Reads a file in blocks and deals with its records in order, in bounded memory, whatever the format makes of a block."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final

from headrace.connector import Fetched, SourceRow
from services.ingest.connectors.file.content import Trail
from services.ingest.core.progress import FileProgress

_BLOCK_BYTES: Final = 2 << 20
_KEPT_BYTES: Final = 64 << 10  # of a record over the cap: enough to recognise it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a format made of the start of a block: how many bytes and lines of it are dealt with, and what they gave."""

    consumed: int
    lines: int
    fetched: Fetched


#: (block, first line's number from 0, nothing follows) -> what became of the records at its start. It consumes nothing
#: when the block has to grow.
Parse = Callable[[bytes, int, bool], Outcome]


#: Some records, and how far they are.
Step = tuple[Fetched, FileProgress]


def steps(
    content: IO[bytes],
    start: FileProgress,
    parse: Parse,
    *,
    limit: int,
    settled: Callable[[], bool],
    origin: str,
    nothing: Callable[[], Fetched],
) -> Iterator[Step]:
    """The records of `content` after `start`, in order. A line over `limit` bytes is passed over without being held.

    `settled` says whether a last line without a line end is a whole one; `nothing` is a batch of no rows.
    """
    trail = Trail(content, start)
    content.seek(start.offset)
    block, ended, at = b"", False, start
    while True:
        while block:
            long = len(block) > limit and block.find(b"\n", 0, limit + 1) < 0
            if long:
                found = _overlong(content, block, at, limit, origin, nothing(), settled, trail)
                if found is None:
                    return
                (fetched, at), block = found
            else:
                outcome = parse(block, at.line, ended and settled())
                if not outcome.consumed:
                    break
                fetched, at = outcome.fetched, _after(outcome, at)
                trail.feed(block[: outcome.consumed])
                block = block[outcome.consumed :]
            yield fetched, trail.at(at)
        if ended:
            return
        more = content.read(_BLOCK_BYTES)
        ended = not more
        block += more


def _after(outcome: Outcome, at: FileProgress) -> FileProgress:
    return FileProgress(at.offset + outcome.consumed, at.line + outcome.lines, at.rows + outcome.fetched.rows_read)


def _overlong(
    content: IO[bytes],
    block: bytes,
    at: FileProgress,
    limit: int,
    origin: str,
    nothing: Fetched,
    settled: Callable[[], bool],
    trail: Trail,
) -> tuple[Step, bytes] | None:
    """The step over the line at the start of `block`, and what follows it; None while its end is not there."""
    kept, size, last = block[:_KEPT_BYTES], 0, block
    while (end := last.find(b"\n")) < 0:
        more = content.read(_BLOCK_BYTES)
        if not more:
            break
        trail.feed(last)
        size, last = size + len(last), more
    if end < 0 and not settled():
        return None
    rest = len(last) if end < 0 else end + 1
    length = size + (rest if end < 0 else end)
    row = SourceRow(
        kept,
        "too_large",
        f"the line has {length} bytes, the cap is {limit}; only its first {len(kept)} are kept here",
        f"{origin}:{at.line + 1}",
    )
    progress = FileProgress(at.offset + size + rest, at.line + 1, at.rows + 1)
    trail.feed(last[:rest])
    return (Fetched(nothing.rows, (row,)), progress), last[rest:]

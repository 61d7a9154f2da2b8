"""Producers that keep sending: their frames are written in groups as they come, one group at a time.

While a group is committed the next one gathers, up to a bound; then the producer is not read from. One at a time keeps
order: no later frame is written when an earlier one could not be.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from services.ingest.connectors.http_push.desk import Answer
from services.ingest.connectors.http_push.encoding import Measure, Unpacker, damaged, slices
from services.ingest.connectors.http_push.problem import Problem, too_large
from services.ingest.core.json_array import elements, one_line

_MOST_BYTES: Final = 2 << 20  # of a group, and of what gathers behind it
_MOST_FRAMES: Final = 20_000
_NUMBERED: Final = re.compile(r"([0-9]{1,18}) +(?=[\[{])")


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames in a row, each any number of rows as lines of JSON; `through` counts those of the connection up to the last.

    Shapes: `numbers` has one for each frame of a named producer; others need not number theirs.
    """

    through: int
    frames: Sequence[bytes]
    numbers: Sequence[int] = ()

    @property
    def size_bytes(self) -> int:
        """Of all frames."""
        return sum(map(len, self.frames))

    @property
    def rows(self) -> int:
        """Of all frames."""
        return sum(frame.count(b"\n") + 1 for frame in self.frames if frame)


def acknowledgement(group: Frames, answer: Answer, unit: str) -> dict[str, Any]:
    """What the producer is told once a group is durable."""
    told = {
        "accepted": answer.accepted,
        "quarantined": answer.quarantined,
        "repeated": answer.repeated_frames,
        f"through_{unit}": group.through,
    }
    return {**told, "through_number": group.numbers[-1]} if group.numbers else told


class _Gathered:
    """Frames that wait for the group before them."""

    def __init__(self) -> None:
        self._waiting: deque[Frames] = deque()
        self._size = 0
        self._changed = asyncio.Condition()
        self._closed = False

    async def put(self, frames: Frames) -> None:
        """Add frames once there is room."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._size < _MOST_BYTES)
            self._waiting.append(frames)
            self._size += frames.size_bytes
            self._changed.notify_all()

    async def close(self) -> None:
        """No more will come."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def take(self) -> Frames | None:
        """What has gathered, as one group; None when there will be nothing more."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
            if not self._waiting:
                return None
            taken: list[Frames] = []
            count = 0
            while self._waiting and count < _MOST_FRAMES:
                taken.append(self._waiting.popleft())
                count += len(taken[-1].frames)
                self._size -= taken[-1].size_bytes
            self._changed.notify_all()
        return Frames(
            taken[-1].through,
            [frame for each in taken for frame in each.frames],
            [number for each in taken for number in each.numbers],
        )


async def settled(
    incoming: AsyncIterator[Frames], write: Callable[[Frames], Awaitable[Answer]]
) -> AsyncGenerator[tuple[Frames, Answer], None]:
    """Each group with its answer, once it is written. What came whole is written also when reading fails; then that is raised.

    Errors: whatever `incoming` and `write` raise.
    """
    gathered = _Gathered()

    async def gather() -> None:
        try:
            async for frames in incoming:
                await gathered.put(frames)
        finally:
            await gathered.close()

    reading = asyncio.create_task(gather())
    try:
        while (group := await gathered.take()) is not None:
            yield group, await write(group)
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def lines(
    parts: AsyncIterator[bytes], packing: Unpacker, measure: Measure, most_bytes: int, first: int | None
) -> AsyncIterator[Frames]:
    """The lines of a body as it comes; a last line without a line end counts once the body has ended.

    `first` is the number of the first line. Errors: Problem (400, 413).
    """
    through, rest = 0, b""

    def framed(whole: list[bytes]) -> Frames:
        nonlocal through
        before, through = through, through + len(whole)
        numbers = () if first is None else range(first + before, first + through)
        return Frames(through, [line.strip() for line in whole], numbers)

    async with aclosing(_unpacked(parts, packing, measure)) as pieces:
        async for piece in pieces:
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > most_bytes:
                raise too_large(f"a line is over limits.max_body_bytes, {most_bytes} bytes")
            if whole:
                yield framed(whole)
    if rest.strip():
        yield framed([rest])


async def _unpacked(parts: AsyncIterator[bytes], packing: Unpacker, measure: Measure) -> AsyncGenerator[bytes, None]:
    try:
        async for part in parts:
            for piece in packing.feed(measure.packed(part)):
                for chunk in slices(measure.unpacked(piece)):
                    yield chunk
        for piece in packing.end():
            yield measure.unpacked(piece)
    except ValueError as error:
        raise damaged(error) from error


def frame_of(text: str, rows_most: int) -> tuple[int | None, bytes]:
    """A text frame: a row or an array of rows, perhaps behind a number and a blank. Returns the number and the rows as lines.

    Errors: Problem (400, 413).
    """
    head = _NUMBERED.match(text)
    body = (text[head.end() :] if head else text).encode()
    if body.lstrip().startswith(b"["):
        try:
            rows = elements(body)
        except ValueError as error:
            raise Problem(
                400, "Unreadable frame", f"the frame is not a JSON array: {error}", "Correct it; it was not taken."
            ) from error
    else:
        rows = [one_line(body)]
    if len(rows) > rows_most:
        raise too_large(f"the frame has {len(rows)} rows, limits.rows_per_request is {rows_most}")
    return (int(head[1]) if head else None), b"\n".join(rows)

"""How this process and one that it started tell each other things: whole messages, the rows in them as Arrow."""

import os
import pickle
import tempfile
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa


def packed(message: tuple[Any, ...]) -> bytes:
    """Rows as Arrow's stream: pickled, a slice would bring all that it is a slice of."""
    return pickle.dumps([_carried(each) for each in message])


def unpacked(message: bytes) -> list[Any]:
    found: list[Any] = pickle.loads(message)  # noqa: S301 - of the process that this one started
    return [_carried(each) for each in found]


def _carried(part: Any) -> Any:
    """Rows as they travel, and what travelled as rows, also in a tuple."""
    if isinstance(part, tuple):
        return tuple(_carried(each) for each in part)
    if isinstance(part, pa.RecordBatch):
        return _Rows(part)
    return part.rows() if isinstance(part, _Rows) else part


class _Rows:
    """Rows on their way to another process."""

    def __init__(self, rows: pa.RecordBatch) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_batch(rows)
        self._stream = sink.getvalue().to_pybytes()

    def rows(self) -> pa.RecordBatch:
        return pa.ipc.open_stream(self._stream).read_next_batch()


class Box:
    """Memory that two processes share, as a file without a name."""

    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def new(cls) -> "Box":
        """An empty one."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("headrace-rows"))
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def __reduce__(self) -> Any:
        return _box_of, (reduction.DupFd(self.number),)

    def close(self) -> None:
        """Give the memory back."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1

    def __del__(self) -> None:
        self.close()


def _box_of(handle: Any) -> Box:
    return Box(handle.detach())


class Wire:
    """Messages between two processes, one at a time: a pipe says that there is one, as a pipe is slow for the rows themselves."""

    def __init__(self, pipe: Connection, inbox: Box, outbox: Box) -> None:
        self._pipe = pipe
        self._inbox = inbox
        self._outbox = outbox

    def send(self, message: bytes) -> None:
        """Errors: OSError when nobody is there."""
        sent, left = 0, memoryview(message)
        while left:
            written = os.pwrite(self._outbox.number, left, sent)
            sent, left = sent + written, left[written:]
        self._pipe.send_bytes(sent.to_bytes(8, "big"))

    def poll(self, patience_s: float) -> bool:
        """Whether a message comes in time."""
        return self._pipe.poll(patience_s)

    def received(self) -> bytes:
        """The message, when it has come. Errors: EOFError when nobody is there."""
        size_bytes = int.from_bytes(self._pipe.recv_bytes(), "big")
        parts: list[bytes] = []
        while (have := sum(map(len, parts))) < size_bytes:
            parts.append(os.pread(self._inbox.number, size_bytes - have, have))
        os.ftruncate(self._inbox.number, 0)  # what was read does not stay in memory
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Hang up. What is shared is given back at once: whoever holds this may wait long for Python's collector."""
        self._pipe.close()
        self._inbox.close()
        self._outbox.close()

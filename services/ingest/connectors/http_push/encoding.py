"""Unpacks compressed bodies piece by piece, and gives one up as soon as it is too large."""

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import pyarrow as pa
import zstandard

from services.ingest.connectors.http_push.problem import Problem, too_large

_PIECE: Final = 256 << 10
_SLICE: Final = 64 << 10
_ZSTD_SLICE: Final = 256  # at most 64 blocks, so 8 MiB, can be in that many bytes
_ZSTD_WINDOW: Final = 8 << 20  # what RFC 8878 asks every reader to take
_FREE_BYTES: Final = 1 << 20  # below that any ratio will do: a page of blanks is no bomb


class Unpacker(Protocol):
    """Takes a compressed body in parts. Errors: ValueError when it is damaged."""

    def feed(self, part: bytes) -> Iterator[bytes]:
        """What the part brings, in pieces of bounded size."""
        ...

    def end(self) -> Iterator[bytes]:
        """What is left at the end of the body. Errors: ValueError also when the body is cut."""
        ...


class Identity:
    """A body that is not compressed."""

    def feed(self, part: bytes) -> Iterator[bytes]:
        """See `Unpacker`."""
        yield part

    def end(self) -> Iterator[bytes]:
        """See `Unpacker`."""
        yield from ()


class Zlib:
    """gzip and deflate, which here is zlib's format. A body may be several in a row."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._inner = zlib.decompressobj(window_bits)

    def feed(self, part: bytes) -> Iterator[bytes]:
        """See `Unpacker`."""
        while part:
            if self._inner.eof:
                self._inner = zlib.decompressobj(self._window_bits)
            try:
                piece = self._inner.decompress(part, _PIECE)
                if piece:
                    yield piece
                while len(piece) == _PIECE and not self._inner.eof:  # there may be more of what was taken in
                    piece = self._inner.decompress(self._inner.unconsumed_tail, _PIECE)
                    yield piece
            except zlib.error as error:
                raise ValueError(str(error)) from error
            part = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail

    def end(self) -> Iterator[bytes]:
        """See `Unpacker`."""
        if not self._inner.eof:
            raise ValueError("it is cut")
        yield from ()


class Zstd:
    """zstd, one frame or several in a row."""

    def __init__(self) -> None:
        self._inner = self._new()
        self._whole = False

    def feed(self, part: bytes) -> Iterator[bytes]:
        """See `Unpacker`."""
        for first in range(0, len(part), _ZSTD_SLICE):
            slice_ = part[first : first + _ZSTD_SLICE]
            while slice_:
                if self._whole:
                    self._inner = self._new()
                try:
                    piece = self._inner.decompress(slice_)
                except zstandard.ZstdError as error:
                    raise ValueError(str(error)) from error
                self._whole = self._inner.eof
                slice_ = self._inner.unused_data if self._whole else b""
                if piece:
                    yield piece

    def end(self) -> Iterator[bytes]:
        """See `Unpacker`."""
        if not self._whole:
            raise ValueError("it is cut")
        yield from ()

    @staticmethod
    def _new() -> "zstandard.ZstdDecompressionObj":
        return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()


class Brotli:
    """Brotli by Arrow's reader, which wants the whole body: for streams it is not."""

    def __init__(self) -> None:
        self._body = io.BytesIO()

    def feed(self, part: bytes) -> Iterator[bytes]:
        """See `Unpacker`."""
        self._body.write(part)
        yield from ()

    def end(self) -> Iterator[bytes]:
        """See `Unpacker`."""
        try:
            with pa.CompressedInputStream(pa.BufferReader(self._body.getvalue()), "brotli") as stream:
                while piece := stream.read(_PIECE):
                    yield piece
        except OSError as error:
            raise ValueError(str(error)) from error


_STREAMED: Final[dict[str, Callable[[], Unpacker]]] = {
    "identity": Identity,
    "gzip": lambda: Zlib(zlib.MAX_WBITS | 16),
    "deflate": lambda: Zlib(zlib.MAX_WBITS),
    "zstd": Zstd,
}
_WHOLE: Final[dict[str, Callable[[], Unpacker]]] = {
    **_STREAMED,
    **({"br": Brotli} if pa.Codec.is_available("brotli") else {}),
}


def unpacker(content_encoding: str | None, *, streamed: bool = False) -> Unpacker:
    """What unpacks a body of that Content-Encoding. Errors: Problem (415)."""
    known = _STREAMED if streamed else _WHOLE
    name = (content_encoding or "identity").strip().lower()
    if name not in known:
        raise Problem(415, "Unsupported encoding", f"Content-Encoding is {name}", f"Send one of {', '.join(known)}.")
    return known[name]()


class Measure:
    """Counts a body as it is unpacked; None for a stream, which may be of any length."""

    def __init__(self, most_bytes: int | None, max_ratio: int) -> None:
        self._most_bytes = most_bytes
        self._max_ratio = max_ratio
        self._packed = self._unpacked = 0

    def packed(self, part: bytes) -> bytes:
        """Count a part as it was sent."""
        self._packed += len(part)
        return part

    def unpacked(self, piece: bytes) -> bytes:
        """Count a piece. Errors: Problem (413) that names the limit."""
        self._unpacked += len(piece)
        if self._most_bytes is not None and self._unpacked > self._most_bytes:
            raise too_large(f"the body is over limits.max_body_bytes, {self._most_bytes} bytes, once it is unpacked")
        if self._unpacked > max(_FREE_BYTES, self._packed * self._max_ratio):
            raise too_large(
                f"the body is over limits.max_ratio: unpacked it is more than {self._max_ratio} times larger"
            )
        return piece


def unpacked(packed: bytes, packing: Unpacker, measure: Measure) -> bytes:
    """A whole body. Errors: Problem (400 when it is damaged, 413 when it is too large)."""
    body = bytearray()
    try:
        for part in slices(packed):
            for piece in packing.feed(measure.packed(part)):
                body += measure.unpacked(piece)
        for piece in packing.end():
            body += measure.unpacked(piece)
    except ValueError as error:
        raise damaged(error) from error
    return bytes(body)


def slices(whole: bytes) -> Iterator[bytes]:
    """`whole` in parts that are quickly dealt with."""
    for first in range(0, len(whole), _SLICE):
        yield whole[first : first + _SLICE]


def damaged(error: ValueError) -> Problem:
    """A compressed body that cannot be unpacked."""
    return Problem(
        400, "Unreadable body", f"the compressed body is damaged: {error}", "Correct it; nothing of it was taken."
    )

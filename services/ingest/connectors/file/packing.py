"""Packed content as it is unpacked: by the file's ending, in bounded memory, and no further than the limits of ingest allow."""

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import IO, Final, Protocol

import zstandard

from headrace.connector.limits import Limits
from headrace.errors import Fatal
from services.ingest.connectors.file.placed import Placed

PACKED: Final = (".gz", ".bz2", ".xz", ".zip", ".zst")
DAMAGED: Final = (EOFError, lzma.LZMAError, zipfile.BadZipFile, zlib.error, zstandard.ZstdError)

_READ_BYTES: Final = 64 << 10
_OUT_BYTES: Final = 1 << 20
_FREE_BYTES: Final = 64 << 20  # so much may come out of any file
_XZ_MEMORY_BYTES: Final = 256 << 20
_ZSTD_WINDOW_BYTES: Final = 128 << 20
_ZSTD_PIECE_BYTES: Final = 1 << 10  # of which at most 32 MB can come at once
_DIRECTORY_BYTES_A_MEMBER: Final = 1024
_END_OF_ZIP: Final = b"PK\x05\x06"
_END_OF_ZIP64: Final = b"PK\x06\x06"
_END_BYTES: Final = 22
_LONGEST_COMMENT: Final = 65_535
_ZIP64_BYTES: Final = 76


class Inflation:
    """Watches how much comes out of one packed file."""

    def __init__(self, shown: str, limits: Limits) -> None:
        self._shown = shown
        self._limits = limits

    def check(self, out: int, taken: int) -> None:
        """Errors: Fatal when `out` bytes came out of `taken`, and that is too much."""
        if out > self._limits.unpacked_bytes:
            raise Fatal(
                f"{self._shown} unpacks to more than {self._limits.unpacked_bytes} bytes; if that is right, "
                "raise HEADRACE_SOURCE_MAX_UNPACKED_BYTES of ingest"
            )
        if out > _FREE_BYTES and out > self._limits.ratio * max(taken, 1):
            raise Fatal(
                f"{self._shown} unpacks to more than {self._limits.ratio:g} times its size ({out} bytes of {taken}), as a "
                "decompression bomb does; if it is none, raise HEADRACE_SOURCE_MAX_RATIO of ingest"
            )


class Decoder(Protocol):
    """Unpacks one stream, of which a file may hold several after one another."""

    @property
    def ended(self) -> bool: ...
    @property
    def rest(self) -> bytes:
        """What follows the stream's end."""
        ...

    def unpack(self, packed: bytes) -> bytes:
        """What comes out, about a megabyte at most; nothing may come of `b""`."""
        ...


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def ended(self) -> bool:
        return self._inner.eof

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data.lstrip(b"\0")  # padding

    def unpack(self, packed: bytes) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + packed, _OUT_BYTES)


class _Bounded:
    """bz2 and xz, which hold back what they were not asked for."""

    def __init__(self, inner: "bz2.BZ2Decompressor | lzma.LZMADecompressor") -> None:
        self._inner = inner

    @property
    def ended(self) -> bool:
        return self._inner.eof

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data

    def unpack(self, packed: bytes) -> bytes:
        return self._inner.decompress(packed, _OUT_BYTES)


class _Zstd:
    """Cannot hold back what comes out, so that little is put in at once."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
        self._packed = b""

    @property
    def ended(self) -> bool:
        return bool(self._inner.eof)

    @property
    def rest(self) -> bytes:
        return bytes(self._inner.unused_data) + self._packed

    def unpack(self, packed: bytes) -> bytes:
        self._packed += packed
        out: list[bytes] = []
        size = 0
        while self._packed and size < _OUT_BYTES and not self._inner.eof:
            piece, self._packed = self._packed[:_ZSTD_PIECE_BYTES], self._packed[_ZSTD_PIECE_BYTES:]
            out.append(self._inner.decompress(piece))
            size += len(out[-1])
        return b"".join(out)


_DECODERS: Final[Mapping[str, Callable[[], Decoder]]] = {
    ".gz": _Gzip,
    ".bz2": lambda: _Bounded(bz2.BZ2Decompressor()),
    ".xz": lambda: _Bounded(lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)),
    ".zst": _Zstd,
}


class _Unpacked(Placed):
    """The content of a packed file. Going back means unpacking anew from the start."""

    def __init__(self, packed: IO[bytes], decoder: Callable[[], Decoder], inflation: Inflation) -> None:
        self._packed = packed
        self._new = decoder
        self._inflation = inflation
        self._start()

    def _start(self) -> None:
        self._packed.seek(0)
        self._decoder = self._new()
        self._input, self._pending = b"", b""
        self._at = self._out = self._taken = 0

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._pending:
            if not self._fill():
                return 0
        taken = min(len(buffer), len(self._pending))
        buffer[:taken] = self._pending[:taken]
        self._pending = self._pending[taken:]
        self._at += taken
        return taken

    def _fill(self) -> bool:
        """Unpack some more. Returns whether there was any. Errors: EOFError when the file ends too early."""
        if self._decoder.ended:
            self._input = self._decoder.rest or self._more()
            if not self._input:
                return False
            self._decoder = self._new()
        given, self._input = self._input, b""
        self._pending = self._decoder.unpack(given)
        if not self._pending and not given and not self._decoder.ended:
            self._input = self._more()
            if not self._input:
                if not self._taken:
                    return False
                raise EOFError("it ends in the middle of packed data")
        self._out += len(self._pending)
        self._inflation.check(self._out, self._taken)
        return True

    def _more(self) -> bytes:
        packed = self._packed.read(_READ_BYTES)
        self._taken += len(packed)
        return packed

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            while self.readinto(bytearray(_OUT_BYTES)):
                pass
            offset += self._at
        elif whence == 1:
            offset += self._at
        if offset < self._at:
            self._start()
        while self._at < offset and self.readinto(bytearray(min(_OUT_BYTES, offset - self._at))):
            pass
        return self._at


class _Member(io.RawIOBase):
    """A member of a zip, watched. Its archive's directory says how large it is; no more comes out."""

    def __init__(self, content: IO[bytes], size: int, inflation: Inflation) -> None:
        self._content = content
        self._size = size
        self._inflation = inflation

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._content.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._content.seek(offset, whence)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        found = self._content.read(min(len(buffer), _OUT_BYTES))
        buffer[: len(found)] = found
        self._inflation.check(self._content.tell(), self._size)
        return len(found)


@contextmanager
def unpacked(content: IO[bytes], ending: str, member: str | None, shown: str, limits: Limits) -> Iterator[IO[bytes]]:
    """The content of a packed file; of a zip, that of one member. Errors: those of DAMAGED, Fatal."""
    inflation = Inflation(shown, limits)
    if ending in _DECODERS:
        yield io.BufferedReader(_Unpacked(content, _DECODERS[ending], inflation), _OUT_BYTES)
    elif ending == ".zip" and member is not None:
        with zipfile.ZipFile(content) as archive:
            entry = archive.getinfo(member)
            with archive.open(entry) as inner:
                yield io.BufferedReader(_Member(inner, entry.compress_size, inflation), _OUT_BYTES)
    else:
        yield content


def members(content: IO[bytes], shown: str, limits: Limits) -> Sequence[str]:
    """The files in a zip, in its order. Errors: those of DAMAGED; Fatal when it is not one that may be unpacked."""
    size = content.seek(0, 2)
    _check_directory(content, size, shown, limits)
    with zipfile.ZipFile(content) as archive:
        entries = [each for each in archive.infolist() if _is_data(each)]
    if len(entries) > limits.members:
        raise _too_many(shown, len(entries), limits)
    for each in entries:
        if each.flag_bits & 1:
            raise Fatal(f"{shown}: {each.filename} is encrypted, which is not read; pack it without a password")
        if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Fatal(f"{shown}: {each.filename} is packed in a way that is not read; pack it with deflate")
    names = [each.filename for each in entries]
    if len(set(names)) != len(names):
        raise Fatal(f"{shown} has two members of one name; pack it anew")
    Inflation(shown, limits).check(sum(each.file_size for each in entries), size)
    return names


def _is_data(entry: zipfile.ZipInfo) -> bool:
    path = PurePath(entry.filename)
    return not (entry.is_dir() or path.name.startswith(".") or "__MACOSX" in path.parts)


def _check_directory(content: IO[bytes], size: int, shown: str, limits: Limits) -> None:
    """Errors: Fatal when the directory of a zip, which is held in memory, is longer than allowed."""
    content.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT - _ZIP64_BYTES))
    end = content.read()
    at = end.rfind(_END_OF_ZIP)
    if at < 0 or len(end) - at < _END_BYTES:
        raise zipfile.BadZipFile("it has no directory at its end")
    count = int.from_bytes(end[at + 10 : at + 12], "little")
    length = int.from_bytes(end[at + 12 : at + 16], "little")
    if length == 0xFFFFFFFF or count == 0xFFFF:  # zip64: its own record comes right before, the length at byte 40 of it
        record = end.rfind(_END_OF_ZIP64, 0, at)
        if record < 0:
            raise zipfile.BadZipFile("its end is not whole")
        count = int.from_bytes(end[record + 32 : record + 40], "little")
        length = int.from_bytes(end[record + 40 : record + 48], "little")
    if count > limits.members or length > limits.members * _DIRECTORY_BYTES_A_MEMBER:
        raise _too_many(shown, count, limits)


def _too_many(shown: str, count: int, limits: Limits) -> Fatal:
    return Fatal(
        f"{shown} has more than {limits.members} members ({count} or more); if that is right, "
        "raise HEADRACE_SOURCE_MAX_MEMBERS of ingest"
    )

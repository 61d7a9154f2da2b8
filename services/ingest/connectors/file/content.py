"""The bytes of a source file: decompressed by its ending, read from an offset, recognised by what was read of it."""

import gzip
import lzma
import math
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import fsspec  # type: ignore[import-untyped]
import zstandard

from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.core.progress import HEAD_BYTES, TAIL_BYTES, FileProgress, digest

_PACKED: Final = (".gz", ".bz2", ".xz", ".zip", ".zst")
_DAMAGED: Final = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, zlib.error, zstandard.ZstdError)
_COPIED_S: Final = 60.0  # a copy that stands still for longer has ended


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source. `name` is its path without the ending of a compression."""

    path: Path

    @property
    def packed(self) -> bool:
        return self.path.suffix in _PACKED

    @property
    def name(self) -> str:
        return self.path.stem if self.packed else self.path.name

    def signature(self) -> tuple[int, int, int]:
        """Changes whenever the file does, within the life of one process."""
        found = self.path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def settled(self, after_s: float) -> bool:
        """Whether nobody has written to it for a while, so that a last line without a line end is a whole one.

        Errors: Transient.
        """
        return self.packed or self._untouched_s() >= after_s

    def damaged(self, error: Exception) -> HeadraceError:
        """What it means that the content cannot be unpacked, or has no structure: that it is still being copied, or damaged."""
        if self._untouched_s() < _COPIED_S:
            return Transient(f"{self.path} is not whole yet, or damaged: {error}; it was written to a moment ago")
        return Fatal(f"{self.path} is damaged: {error}; replace it")

    def _untouched_s(self) -> float:
        """How long ago it was written to; for ever when it is gone."""
        try:
            return time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return math.inf
        except OSError as error:
            raise Transient(f"{self.path} cannot be looked at now: {error}") from error

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """The decompressed content. Errors: Transient (it is gone, or cannot be read now), Fatal (it is damaged or forbidden)."""
        try:
            with fsspec.open(str(self.path), "rb", compression="infer").open() as content:
                yield content
        except (PermissionError, IsADirectoryError) as error:
            raise Fatal(f"{self.path} cannot be read: {error.strerror}; allow ingest to read it") from error
        except _DAMAGED as error:
            raise self.damaged(error) from error
        except OSError as error:
            raise Transient(f"{self.path} cannot be read now: {error}") from error


def unchanged(content: IO[bytes], progress: FileProgress) -> bool:
    """Whether what was read of a file is still in it."""
    content.seek(0)
    if digest(content.read(progress.head_bytes)) != progress.head:
        return False
    start = max(0, progress.offset - TAIL_BYTES)
    content.seek(start)
    return digest(content.read(progress.offset - start)) == progress.tail


class Trail:
    """Remembers enough of what is read from a file to recognise the file later."""

    def __init__(self, content: IO[bytes], offset: int) -> None:
        content.seek(0)
        self._head = content.read(HEAD_BYTES)
        start = max(0, offset - TAIL_BYTES)
        content.seek(start)
        self._tail = content.read(offset - start)

    def after(self, consumed: bytes, progress: FileProgress) -> FileProgress:
        """`progress`, whose offset is just after `consumed`, with the file's fingerprints."""
        self._tail = (self._tail + consumed[-TAIL_BYTES:])[-TAIL_BYTES:]
        head = self._head[: min(HEAD_BYTES, progress.offset)]
        return FileProgress(progress.offset, progress.line, progress.rows, digest(head), len(head), digest(self._tail))

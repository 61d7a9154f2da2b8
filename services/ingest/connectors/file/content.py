"""The bytes of a source file: unpacked by its ending, read from an offset, recognised by what was read of it."""

import math
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import IO, Final

from headrace.connector.limits import Limits
from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.file.packing import DAMAGED, PACKED, members, unpacked
from services.ingest.connectors.file.storage.found import Found, Storage
from services.ingest.core.progress import CHUNK_BYTES, HEAD_BYTES, TAIL_BYTES, Content, FileProgress, digest

_COPIED_S: Final = 60.0  # a copy that stands still for longer has ended
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source, or one member of a zip. `name` is its path without the ending of a compression.

    The first member of a zip goes by the zip's own name, so that one that holds a single file is that file, packed.
    """

    storage: Storage
    found: Found
    limits: Limits = field(default_factory=Limits)
    member: str | None = None
    first: bool = True

    @property
    def _ending(self) -> str:
        return PurePath(self.found.shown).suffix.lower()

    @property
    def packed(self) -> bool:
        return self._ending in PACKED

    @property
    def archive(self) -> bool:
        return self._ending == ".zip"

    @property
    def name(self) -> str:
        if self.member is not None and (not self.first or PurePath(self.member).suffix):
            return PurePath(self.member).name
        path = PurePath(self.found.shown)
        return path.stem if self.packed else path.name

    @property
    def key(self) -> str:
        """What it is called in positions."""
        return self.found.key if self.first else f"{self.found.key}!{self.member}"

    @property
    def path(self) -> str:
        """What it is called where people read."""
        return self.found.shown if self.first else f"{self.found.shown}!{self.member}"

    def now(self) -> "SourceFile":
        """The file as it is now. Errors: FileNotFoundError, Transient, Fatal."""
        return replace(self, found=self.storage.look(self.found))

    def settled(self, after_s: float) -> bool:
        """Whether nobody has written to it for a while, so that a last line without a line end is a whole one.

        Errors: Transient.
        """
        return self.packed or self.storage.atomic or self._untouched_s() >= after_s

    def damaged(self, error: Exception | str) -> HeadraceError:
        """What it means that the content cannot be unpacked, or has no structure: that it is still being copied, or damaged."""
        if not self.storage.atomic and self._untouched_s() < _COPIED_S:
            return Transient(f"{self.path} is not whole yet, or damaged: {error}; it was written to a moment ago")
        return Fatal(f"{self.path} is damaged: {error}; replace it")

    def _untouched_s(self) -> float:
        """How long ago it was written to; for ever when it is gone, or its storage does not say."""
        try:
            modified = self.storage.look(self.found).modified
        except FileNotFoundError:
            return math.inf
        return math.inf if modified is None else time.time() - modified

    @contextmanager
    def opened(self, anywhere: bool = False) -> Iterator[IO[bytes]]:
        """The unpacked content. With `anywhere` it is cheap to read at any place: a packed or remote file is copied for that.

        Errors: Transient (it is gone, or cannot be read now), Fatal (it is damaged or forbidden, or unpacks to too much).
        """
        try:
            with (
                self.storage.failures(self.path),
                self.storage.open(self.found) as raw,
                unpacked(raw, self._ending, self.member, self.path, self.limits) as content,
            ):
                if anywhere and (self.packed or not self.storage.local):
                    with tempfile.TemporaryFile(prefix="headrace-source-") as copy:
                        shutil.copyfileobj(content, copy, _READ_BYTES)
                        copy.seek(0)
                        yield copy
                else:
                    yield content
        except DAMAGED as error:
            raise self.damaged(error) from error

    def members(self) -> list["SourceFile"]:
        """The files in an archive; of another file, itself. Errors: Transient, Fatal."""
        if not self.archive:
            return [self]
        try:
            with self.storage.failures(self.path), self.storage.open(self.found) as raw:
                names = members(raw, self.path, self.limits)
        except DAMAGED as error:
            raise self.damaged(error) from error
        return [replace(self, member=name, first=number == 0) for number, name in enumerate(names)]


def unchanged(content: IO[bytes], progress: FileProgress) -> bool:
    """Whether the start of a file, and what was read of it last, are still in it."""
    content.seek(0)
    if digest(content.read(progress.head_bytes)) != progress.head:
        return False
    start = max(0, progress.offset - TAIL_BYTES)
    content.seek(start)
    return digest(content.read(progress.offset - start)) == progress.tail


def contents(content: IO[bytes], offsets: Iterable[int]) -> Mapping[int, FileProgress]:
    """What the files that end at `offsets` would be known by, as far as this one goes. Read once, from its start."""
    content.seek(0)
    passed, known, found = 0, Content(), {}
    for offset in sorted(set(offsets)):
        while passed < offset and (more := content.read(min(_READ_BYTES, offset - passed))):
            known.feed(more)
            passed += len(more)
        if passed < offset:
            break
        found[offset] = FileProgress(offset, chain=known.chain, content=known.digest())
    return found


def whole(content: IO[bytes]) -> str:
    """The digest of all of a file."""
    known = Content()
    content.seek(0)
    while more := content.read(_READ_BYTES):
        known.feed(more)
    return known.digest()


def ends_at(content: IO[bytes], offset: int) -> bool:
    """Whether nothing follows."""
    content.seek(offset)
    return not content.read(1)


class Trail:
    """Remembers enough of what is read from a file to recognise the file later."""

    def __init__(self, content: IO[bytes], start: FileProgress) -> None:
        content.seek(0)
        self._head = content.read(HEAD_BYTES)
        tail = max(0, start.offset - TAIL_BYTES)
        content.seek(tail)
        self._tail = content.read(start.offset - tail)
        known_to = start.offset - start.offset % CHUNK_BYTES if start.chain else 0
        self._content = Content(start.chain)
        content.seek(known_to)
        while known_to < start.offset and (more := content.read(min(_READ_BYTES, start.offset - known_to))):
            self._content.feed(more)
            known_to += len(more)

    def feed(self, passed: bytes) -> None:
        """Take in bytes that are dealt with, in their order."""
        self._tail = (self._tail + passed[-TAIL_BYTES:])[-TAIL_BYTES:]
        self._content.feed(passed)

    def at(self, progress: FileProgress) -> FileProgress:
        """`progress`, whose offset is just after what was fed, with the file's fingerprints."""
        head = self._head[: min(HEAD_BYTES, progress.offset)]
        return replace(
            progress,
            head=digest(head),
            head_bytes=len(head),
            tail=digest(self._tail),
            chain=self._content.chain,
            content=self._content.digest(),
        )

"""How far a set of files has been read: the position of the `file` connector, and its arithmetic.

A file is known by what was read of it, whatever it is called. Of the files that were read last all is kept that is
needed to read on cheaply; of earlier ones a few digests, 35 bytes each.
"""

import base64
import json
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from hashlib import blake2b
from typing import Final

HEAD_BYTES: Final = 4096
TAIL_BYTES: Final = 1024
CHUNK_BYTES: Final = 1 << 20
KEPT_FILES: Final = 64  # at least so many are kept in full, at most twice as many
MOST_FILES: Final = 150_000  # about 7 MB of position

_MARK: Final = struct.Struct(">8s8s4s4s6s5s")


def digest(content: bytes) -> str:
    """A short fingerprint of bytes of a file."""
    return blake2b(content, digest_size=12).hexdigest()


def hint_of(*parts: object) -> str:
    """A short text that differs when what a storage says of a file differs."""
    return blake2b(repr(parts).encode(), digest_size=4).hexdigest()


class Content:
    """The digest of bytes as they pass. It can be taken up again at the last multiple of `CHUNK_BYTES`."""

    def __init__(self, chain: str = "") -> None:
        self.chain = chain
        self._hash = blake2b(bytes.fromhex(chain), digest_size=12)
        self._room = CHUNK_BYTES

    def feed(self, passed: bytes) -> None:
        """Take in the next bytes."""
        view = memoryview(passed)
        while view:
            part, view = view[: self._room], view[self._room :]
            self._hash.update(part)
            self._room -= len(part)
            if not self._room:
                self.chain = self._hash.hexdigest()
                self._hash = blake2b(bytes.fromhex(self.chain), digest_size=12)
                self._room = CHUNK_BYTES

    def digest(self) -> str:
        """The digest of everything so far."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How far one file has been read.

    The identity of a file is what was read of it. `head` and `tail` are the fingerprints of its first `head_bytes` and of the
    `TAIL_BYTES` before `offset`, which say cheaply that it is not the file it was; `content` is the digest of everything before
    `offset`, which says that it is, and `chain` where that digest is taken up again. It holds however the file was copied,
    renamed or packed. Of a file that does not grow, such as Parquet, `content` is the digest of the whole file.
    `hint` is what the storage said of the file when it had been read to its end; empty before that.
    Units: `offset` is in bytes of the (decompressed) content, or in rows of a file that does not grow; `line` is the
    number of lines before it, of Avro the rows of the block at `offset` that were read; `size` the file's as it
    lies there, in bytes.
    """

    offset: int = 0
    line: int = 0
    rows: int = 0
    head: str = ""
    head_bytes: int = 0
    tail: str = ""
    chain: str = ""
    content: str = ""
    size: int = 0
    hint: str = ""


_DEFAULTS: Final = {each.name: each.default for each in fields(FileProgress)}


@dataclass(frozen=True, slots=True)
class Mark:
    """What is remembered of a file that was read some time ago. Digests are cut to their first bytes."""

    content: bytes
    head: bytes
    hint: bytes
    offset: int
    line: int

    @classmethod
    def of(cls, progress: FileProgress) -> "Mark":
        """The mark of a file."""
        content, head, hint = (bytes.fromhex(each) for each in (progress.content, progress.head, progress.hint))
        return cls(content[:8], head[:4].ljust(4, b"\0"), hint.ljust(4, b"\0"), progress.offset, progress.line)

    @property
    def head_bytes(self) -> int:
        """How many bytes `head` is the digest of."""
        return min(HEAD_BYTES, self.offset)


def named(path: str) -> bytes:
    """What stands for a path beside its mark."""
    return blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()


class Marks:
    """The marks of files by the name of their path, the oldest first. Does not change."""

    def __init__(self, entries: Mapping[bytes, Mark] | None = None) -> None:
        self.entries: Final = dict(entries or {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks) and self.entries == other.entries

    def __hash__(self) -> int:
        return hash(len(self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def text(self) -> str:
        """The text `read` reads."""
        packed = b"".join(
            _MARK.pack(name, each.content, each.head, each.hint, each.offset.to_bytes(6), each.line.to_bytes(5))
            for name, each in self.entries.items()
        )
        return base64.b64encode(packed).decode()

    @classmethod
    def read(cls, text: str) -> "Marks":
        """The marks in `text`."""
        packed = base64.b64decode(text)
        return cls(
            {
                name: Mark(content, head, hint, int.from_bytes(offset), int.from_bytes(line))
                for name, content, head, hint, offset, line in _MARK.iter_unpack(packed)
            }
        )

    @cached_property
    def by_head(self) -> Mapping[tuple[int, bytes], list[tuple[bytes, Mark]]]:
        """The marks by how their files begin."""
        found: dict[tuple[int, bytes], list[tuple[bytes, Mark]]] = {}
        for name, each in self.entries.items():
            found.setdefault((each.head_bytes, each.head), []).append((name, each))
        return found

    @cached_property
    def by_content(self) -> Mapping[bytes, Mark]:
        """The marks by the content that was read."""
        return {each.content: each for each in self.entries.values()}


@dataclass(frozen=True)
class FilesPosition:
    """How far each file of a source has been read: in full by path, those read last at the end; and as marks."""

    files: Mapping[str, FileProgress] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)

    def of(self, path: str) -> FileProgress:
        """The progress of a file as it is kept in full; nothing for another."""
        return self.files.get(path, FileProgress())

    def mark(self, path: str) -> Mark | None:
        """The mark of a path, if it has only that."""
        return None if path in self.files else self.marks.entries.get(named(path))

    def hint(self, path: str) -> str:
        """What the storage said of a file when it was at its end; empty when that is not known."""
        mark = self.mark(path)
        hint = mark.hint.hex() if mark else self.of(path).hint
        return "" if hint == "0" * 8 else hint

    def moved(self, path: str, progress: FileProgress) -> "FilesPosition":
        """This position with one file further on. When many are kept in full, the oldest become marks."""
        files = {**{each: found for each, found in self.files.items() if each != path}, path: progress}
        if len(files) <= 2 * KEPT_FILES:
            return replace(self, files=files)
        old = [each for each in list(files)[:-KEPT_FILES] if files[each].content]
        marks = {**self.marks.entries, **{named(each): Mark.of(files[each]) for each in old}}
        return FilesPosition({each: found for each, found in files.items() if each not in set(old)}, Marks(marks))

    def displaced(self, path: str) -> "FilesPosition":
        """This position when another file has taken the path of one. What that was is remembered: it may be elsewhere now."""
        progress, mark = self.files.get(path), self.mark(path)
        if progress is not None and progress.content:
            mark = Mark.of(replace(progress, hint=""))
        files = {each: found for each, found in self.files.items() if each != path}
        entries = {name: each for name, each in self.marks.entries.items() if name != named(path)}
        if mark is not None:
            entries[named(f"{path}\0{mark.content.hex()}")] = mark
        return FilesPosition(files, Marks(entries))

    def trimmed(self, paths: Collection[str]) -> "FilesPosition":
        """This position without the oldest marks of files that are not there any more, when there are too many."""
        excess = len(self.marks) - MOST_FILES
        if excess <= 0:
            return self
        there = {named(path) for path in paths}
        gone = [name for name in self.marks.entries if name not in there]
        forgotten = set(gone[: max(excess, len(gone) // 2)])
        return replace(
            self, marks=Marks({name: each for name, each in self.marks.entries.items() if name not in forgotten})
        )

    def beginning(self, head: bytes) -> Iterator[tuple[bytes, Mark]]:
        """The files that begin as `head` does, as far as they were read, by the name of their path."""
        digests: dict[int, bytes] = {}

        def starts(size: int) -> bytes:
            if size not in digests:
                digests[size] = bytes.fromhex(digest(head[:size]))[:4]
            return digests[size]

        for path, progress in self.files.items():
            if progress.content and progress.head and progress.head_bytes <= len(head):
                mark = Mark.of(progress)
                if mark.head == starts(progress.head_bytes):
                    yield named(path), mark
        for size in {size for size, _ in self.marks.by_head if size <= len(head)}:
            yield from self.marks.by_head.get((size, starts(size)), ())

    def containing(self, content: str) -> Mark | None:
        """The file that has this content."""
        short = bytes.fromhex(content)[:8]
        for progress in self.files.values():
            if progress.content == content:
                return Mark.of(progress)
        return self.marks.by_content.get(short)

    def to_json(self) -> str:
        """The text `from_json` reads."""
        files = {
            path: {name: value for name, value in asdict(progress).items() if value != _DEFAULTS[name]}
            for path, progress in self.files.items()
        }
        return json.dumps(
            {"files": files, **({"marks": self.marks.text} if len(self.marks) else {})}, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, text: str | None) -> "FilesPosition":
        """The position in `text`; the very beginning when there is none. The first version had no contents and marks."""
        if not text:
            return cls()
        found = json.loads(text)
        return cls(
            {path: FileProgress(**entry) for path, entry in found["files"].items()}, Marks.read(found.get("marks", ""))
        )

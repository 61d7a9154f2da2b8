"""Where reading a file starts: at its beginning, or behind what was read of it, under this path or another."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import IO, Final, Literal

from services.ingest.connectors.file.content import contents, unchanged, whole
from services.ingest.core.progress import HEAD_BYTES, FileProgress, FilesPosition, Mark, named

#: A file that goes on behind what a file that is gone had is taken for that one, renamed, from this size on.
_TELLING_BYTES: Final = HEAD_BYTES


#: (content, offset) -> whether no row follows.
Ended = Callable[[IO[bytes], int], bool]


@dataclass(frozen=True, slots=True)
class Start:
    """Where to start, and what the file is: known as it was left, new, another than its path had, or read under another path."""

    progress: FileProgress
    what: Literal["known", "new", "replaced", "moved"] = "known"


def of_growing(
    content: IO[bytes],
    at: FilesPosition,
    key: str,
    hint: str,
    size: int,
    there: Callable[[], Collection[bytes]],
    ended: Ended,
) -> Start:
    """Of a file whose rows are a sequence of bytes, to which more may be appended.

    `there` gives the names (see `named`) of the paths that are there now. `ended` says whether no row
    follows. Units: `size` is that of the file as it lies there, in bytes.
    """
    progress, mark = at.files.get(key), at.mark(key)
    if progress is not None and progress.offset:
        if unchanged(content, progress) and (progress.hint in ("", hint) or _same(content, progress, ended)):
            return Start(progress)
    elif mark is not None and (found := _agrees(content, mark)) is not None:
        return Start(found)
    moved = _elsewhere(content, at, key, size, there, ended)
    if moved is not None:
        return Start(moved, "moved")
    return Start(FileProgress(), "replaced" if progress is not None or mark is not None else "new")


def _same(content: IO[bytes], progress: FileProgress, ended: Ended) -> bool:
    """Whether a file that was touched has grown, or is the same to the last byte."""
    if not progress.content or not ended(content, progress.offset):
        return True
    found = contents(content, [progress.offset]).get(progress.offset)
    return found is not None and found.content == progress.content


def _agrees(content: IO[bytes], mark: Mark) -> FileProgress | None:
    found = contents(content, [mark.offset]).get(mark.offset)
    if found is None or bytes.fromhex(found.content)[:8] != mark.content:
        return None
    return replace(found, line=mark.line)


def _elsewhere(
    content: IO[bytes],
    at: FilesPosition,
    key: str,
    size: int,
    there: Callable[[], Collection[bytes]],
    ended: Ended,
) -> FileProgress | None:
    """How far this was read under another path: that had just this; or is gone, and had a long beginning of it or its size."""
    content.seek(0)
    head = content.read(HEAD_BYTES)
    candidates = [(name, mark) for name, mark in at.beginning(head) if name != named(key)]
    if not candidates:
        return None
    found = contents(content, [mark.offset for _, mark in candidates])
    sizes = {named(path): progress.size for path, progress in at.files.items()}
    for name, mark in sorted(candidates, key=lambda each: -each[1].offset):
        same = found.get(mark.offset)
        if same is None or bytes.fromhex(same.content)[:8] != mark.content:
            continue
        telling = mark.offset >= _TELLING_BYTES or sizes.get(name) == size
        if (telling and name not in there()) or ended(content, mark.offset):
            return replace(same, line=mark.line)
    return None


def of_whole(
    content: IO[bytes], at: FilesPosition, key: str, recognises: Callable[[IO[bytes], FileProgress], bool]
) -> Start:
    """Of a file that is read as a whole, such as Parquet: when it has changed it is another.

    `recognises` knows it by what positions had before they had the digest of its content.
    """
    content_digest = whole(content)
    progress, mark = at.files.get(key), at.mark(key)
    if progress is not None and (
        progress.content == content_digest or (not progress.content and recognises(content, progress))
    ):
        return Start(replace(progress, content=content_digest))
    if mark is not None and mark.content == bytes.fromhex(content_digest)[:8]:
        return Start(FileProgress(mark.offset, mark.line, mark.offset, content=content_digest))
    moved = at.containing(content_digest)
    if moved is not None:
        return Start(FileProgress(moved.offset, moved.line, moved.offset, content=content_digest), "moved")
    return Start(
        FileProgress(content=content_digest), "replaced" if progress is not None or mark is not None else "new"
    )

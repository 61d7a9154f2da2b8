"""How far a set of files has been read: the position of the `file` connector, and its arithmetic."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import Final

HEAD_BYTES: Final = 4096
TAIL_BYTES: Final = 1024


def digest(content: bytes) -> str:
    """A short fingerprint of bytes of a file."""
    return blake2b(content, digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How far one file has been read.

    The identity of a file is what was read of it: the fingerprints of its first `head_bytes` and of the
    `TAIL_BYTES` before `offset`. It holds however the file was copied, and fails when the file was replaced.
    Units: `offset` is in bytes of the (decompressed) content, or in rows of a Parquet file, whose fingerprint is that of
    its footer; `line` is the number of lines before it.
    """

    offset: int = 0
    line: int = 0
    rows: int = 0
    head: str = ""
    head_bytes: int = 0
    tail: str = ""


@dataclass(frozen=True, slots=True)
class FilesPosition:
    """How far each file of a source has been read, by its path."""

    files: Mapping[str, FileProgress] = field(default_factory=dict)

    def of(self, path: str) -> FileProgress:
        """The progress of a file; nothing for one that was never read."""
        return self.files.get(path, FileProgress())

    def moved(self, path: str, progress: FileProgress) -> "FilesPosition":
        """This position with one file further on."""
        return replace(self, files={**self.files, path: progress})

    def to_json(self) -> str:
        """The text `from_json` reads."""
        return json.dumps(
            {"files": {path: asdict(progress) for path, progress in self.files.items()}}, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, text: str | None) -> "FilesPosition":
        """The position in `text`; the very beginning when there is none."""
        if not text:
            return cls()
        files = json.loads(text)["files"]
        return cls({path: FileProgress(**entry) for path, entry in files.items()})

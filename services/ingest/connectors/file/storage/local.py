"""Files of this machine, in the folders that ingest may read."""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from headrace.connector import Step
from headrace.errors import Fatal, Transient
from services.ingest.connectors.file.storage.found import Found
from services.ingest.connectors.folders import Folders
from services.ingest.core.progress import hint_of


class LocalFiles:
    """See `services.ingest.connectors.file.storage.found.Storage`."""

    atomic = False
    local = True
    lists = True

    def __init__(self, path: str, folders: Folders) -> None:
        self._inside = not Path(path).is_absolute()
        self._root = folders.root
        self._folders = folders
        self._plain = folders.root / path
        self.shown = str(Path(glob.escape(str(folders.root))) / path) if self._inside else path

    def connecting(self) -> Iterator[Step]:
        """See `Storage.connecting`: there is nothing to reach."""
        return iter(())

    def files(self) -> list[Found]:
        """See `Storage.files`. Errors: Fatal when one lies where none may be read."""
        self._folders.check(self._plain)
        matches = [str(self._plain)]  # a name may look like a pattern
        if not self._plain.is_file():
            matches = glob.glob(self.shown, recursive=True)  # noqa: PTH207  # absolute patterns
        files: list[Found] = []
        for path in sorted(map(Path, matches)):
            if path.is_file():
                self._folders.check(path)
                try:
                    files.append(self._found(path))
                except FileNotFoundError:
                    continue
        return files

    def look(self, found: Found) -> Found:
        """See `Storage.look`."""
        return self._found(Path(found.path))

    def open(self, found: Found) -> IO[bytes]:
        """See `Storage.open`."""
        return Path(found.path).open("rb")

    @contextmanager
    def failures(self, shown: str) -> Iterator[None]:
        """See `Storage.failures`."""
        try:
            yield
        except (PermissionError, IsADirectoryError) as error:
            raise Fatal(f"{shown} cannot be read: {error.strerror}; allow ingest to read it") from error
        except OSError as error:
            raise Transient(f"{shown} cannot be read now: {error}") from error

    def _found(self, path: Path) -> Found:
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Transient(f"{path} cannot be looked at now: {error}") from error
        key = str(path.relative_to(self._root)) if self._inside else str(path)
        hint = hint_of(stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return Found(str(path), key, str(path), stat.st_size, stat.st_mtime, hint)

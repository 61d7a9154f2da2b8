"""Where the files of exports are: a folder of this machine, or whatever fsspec reaches, such as S3."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import fsspec  # type: ignore[import-untyped]

from headrace.errors import Transient

_PIECE_BYTES: Final = 1 << 20


class ExportStorage:
    """The files of exports at one location, a folder for each. Errors: Transient when it does not answer."""

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/")

    def write(self, id: str, name: str) -> "Writing":
        """A file to write to; it is there when it is closed."""
        with self._reached() as files:
            files.makedirs(self._at(id), exist_ok=True)
            return Writing(self.location, files.open(self._at(id, name), "wb"))

    def describe(self, id: str, manifest: Mapping[str, Any]) -> None:
        """Write what is told of a file beside it."""
        with self._reached() as files, files.open(self._at(id, "manifest.json"), "w") as file:
            file.write(json.dumps(manifest, indent=2, ensure_ascii=False))

    def read(self, id: str, name: str, start: int, stop: int) -> Generator[bytes]:
        """The bytes of a file from `start` to before `stop`. Errors: FileNotFoundError; Transient when it breaks off."""
        with self._reached() as files, files.open(self._at(id, name), "rb") as file:
            file.seek(start)
            left = stop - start
            while left:
                piece = file.read(min(_PIECE_BYTES, left))
                if not piece:
                    raise Transient(f"the file of export {id} is shorter than it was when it was made")
                left -= len(piece)
                yield piece

    def remove(self, id: str) -> None:
        """Delete the folder of an export, if it is there."""
        with self._reached() as files:
            if files.exists(self._at(id)):
                files.rm(self._at(id), recursive=True)

    def url(self, id: str) -> str:
        """Where the files of an export are, for somebody who fetches them there."""
        return f"{self.location}/{id}"

    def _at(self, *parts: str) -> str:
        return "/".join((self.location, *parts))

    @contextmanager
    def _reached(self) -> Generator[Any]:
        with _answering(self.location):
            yield fsspec.core.url_to_fs(self.location)[0]


class Writing:
    """A file that is written. Errors: Transient."""

    def __init__(self, location: str, file: IO[bytes]) -> None:
        self._location = location
        self._file = file

    def write(self, piece: bytes) -> None:
        """Write on."""
        with _answering(self._location):
            self._file.write(piece)

    def close(self) -> None:
        """No more comes."""
        with _answering(self._location):
            self._file.close()


@contextmanager
def _answering(location: str) -> Generator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ImportError, ValueError) as error:
        raise Transient(f"the files of exports at {location} cannot be reached: {error}") from error


def local(folder: Path) -> str:
    """The location of a folder of this machine."""
    return folder.absolute().as_uri()

"""Files behind a network, as fsspec has them: what all kinds of remote storage have in common."""

import io
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, Final
from urllib.parse import urlsplit

from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]

from headrace.connector import Step, Targets
from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.file.storage.found import AtFault, Found
from services.ingest.core.progress import hint_of

BLOCK_BYTES: Final = 4 << 20
BUFFER_BYTES: Final = 1 << 20
CONNECT_S: Final = 10.0
_MAGIC: Final = frozenset("*?[")


class RemoteFiles(ABC):
    """See `services.ingest.connectors.file.storage.found.Storage`. A file system is opened when it is first needed."""

    atomic: bool = True
    local: bool = False
    lists: bool = True
    field: str
    """The setting that says where the server is."""

    def __init__(self, url: str, targets: Targets) -> None:
        self._url = url
        self._targets = targets
        self._filesystem: AbstractFileSystem | None = None
        self.shown = without_query(url)

    @property
    @abstractmethod
    def server(self) -> tuple[str, int]:
        """Host and port."""

    @property
    @abstractmethod
    def who(self) -> str:
        """Whom it is asked as, for people."""

    @abstractmethod
    def _open_filesystem(self) -> AbstractFileSystem:
        """The file system, whose client connects only to what `targets` allows."""

    @abstractmethod
    def _failure(self, error: Exception, shown: str) -> HeadraceError | None:
        """What an error of the client means; None when it is none of its."""

    @property
    def path(self) -> str:
        """The path or pattern as the file system has it."""
        return str(self.filesystem._strip_protocol(self._url))

    @property
    def filesystem(self) -> AbstractFileSystem:
        """The opened file system."""
        if self._filesystem is None:
            self._filesystem = self._open_filesystem()
        return self._filesystem

    def connecting(self) -> Iterator[Step]:
        """See `Storage.connecting`."""
        host, port = self.server
        address = self._resolved()
        yield Step("resolve", True, f"{host} is {address}")
        try:
            socket.create_connection((str(address), port), CONNECT_S).close()
        except OSError as error:
            message = f"{host}:{port} does not answer: {error}"
            yield Step("connect", False, message, self.field, "correct the host or port, or start the server")
            return
        yield Step("connect", True, f"{host}:{port} answers")
        yield from self._authenticating()

    def _authenticating(self) -> Iterator[Step]:
        """Where a storage has no login of its own, listing shows whether one is let in."""
        return iter(())

    def _resolved(self) -> str:
        host, port = self.server
        try:
            return str(self._targets.resolve(host, port))
        except Fatal as error:
            raise AtFault(str(error), self.field, step="resolve") from error

    def files(self) -> list[Found]:
        """See `Storage.files`."""
        self._resolved()
        with self.failures(self.shown):
            if _MAGIC & set(self.path) and self.lists:
                found: Mapping[str, Any] = self.filesystem.glob(self.path, detail=True)
                followed = [self._followed(info) for _, info in sorted(found.items())]
                return [self._found(info) for info in followed if info["type"] == "file"]
            try:
                info = self.filesystem.info(self.path)
            except FileNotFoundError:
                self._missing()
                return []
            return [self._found(info)] if info["type"] == "file" else []

    def _followed(self, info: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a link leads to; another entry as it is."""
        if info["type"] != "link":
            return info
        try:
            target: Mapping[str, Any] = self.filesystem.info(info["name"])
        except FileNotFoundError:
            return info
        return target

    def _missing(self) -> None:  # noqa: B027  # most have nothing to say
        """Errors: those that say more about a file that is not there, such as that its bucket is not."""

    def look(self, found: Found) -> Found:
        """See `Storage.look`."""
        with self.failures(found.shown):
            try:
                return self._found(self.filesystem.info(found.path))
            except FileNotFoundError as error:
                raise _Gone from error

    def open(self, found: Found) -> IO[bytes]:
        """See `Storage.open`."""
        self._resolved()
        return io.BufferedReader(
            self.filesystem.open(found.path, "rb", block_size=BLOCK_BYTES, cache_type="readahead"), BUFFER_BYTES
        )

    @contextmanager
    def failures(self, shown: str) -> Iterator[None]:
        """See `Storage.failures`."""
        try:
            yield
        except HeadraceError:
            raise
        except _Gone as error:
            raise FileNotFoundError(shown) from error
        except Exception as error:
            meant = self._failure(error, shown)
            if meant is None:
                raise
            raise meant from error

    def _found(self, info: Mapping[str, Any]) -> Found:
        path, size = str(info["name"]), int(info.get("size") or 0)
        tag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("content_md5")
        when = info.get("LastModified") or info.get("last_modified") or info.get("updated") or info.get("mtime")
        hint = hint_of(size, str(tag)) if tag else hint_of(size, str(when)) if when else ""
        modified = when.timestamp() if isinstance(when, datetime) else None
        return Found(path, self._key(path), self._shown(path), size, modified, hint)

    def _key(self, path: str) -> str:
        return path

    def _shown(self, path: str) -> str:
        return f"{urlsplit(self._url).scheme}://{path}"


class _Gone(Exception):
    """A file that was listed is not there any more."""


def network_trouble(shown: str, error: Exception) -> Transient:
    """The usual end: waiting helps."""
    return Transient(f"{shown} cannot be reached now: {error or type(error).__name__}")


def without_query(url: str) -> str:
    """A URL as it may be shown: what follows `?` may be a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}" if parts.scheme.startswith("http") else url

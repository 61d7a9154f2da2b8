"""One file of a web server, read in ranges where the server has them, else from its start."""

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import PurePath
from typing import IO, Any, Final
from urllib.parse import urlsplit

import aiohttp
import yarl
from fsspec.asyn import sync  # type: ignore[import-untyped]
from fsspec.implementations.http import HTTPFileSystem  # type: ignore[import-untyped]
from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]
from pydantic import SecretStr

from headrace.connector import Step, Targets
from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.file.packing import PACKED
from services.ingest.connectors.file.placed import Placed
from services.ingest.connectors.file.storage.found import AtFault, Found
from services.ingest.connectors.file.storage.guard import Guard
from services.ingest.connectors.file.storage.remote import BLOCK_BYTES, CONNECT_S, RemoteFiles, network_trouble
from services.ingest.core.progress import hint_of

_READ_S: Final = 60.0
_MOST_REDIRECTS: Final = 5
_SKIP_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class HttpAccess:
    """Whom the server is asked as."""

    user: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None

    def headers(self) -> Mapping[str, str]:
        """What is sent along with each request. A redirect to another server does not take it there."""
        if self.token is not None:
            return {"Authorization": f"Bearer {self.token.get_secret_value()}"}
        if self.user is not None:
            password = self.password.get_secret_value() if self.password is not None else ""
            return {"Authorization": "Basic " + base64.b64encode(f"{self.user}:{password}".encode()).decode()}
        return {}


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server said of its file."""

    size: int | None
    ranges: bool
    tag: str
    modified: str


class HttpFiles(RemoteFiles):
    """See `services.ingest.connectors.file.storage.found.Storage`. There is one file: a web server cannot list."""

    atomic = False
    lists = False
    field = "source.path"

    def __init__(self, url: str, targets: Targets, access: HttpAccess) -> None:
        super().__init__(url, targets)
        self._access = access
        self._guard = Guard(targets)
        self._answer: _Answer | None = None

    @property
    def server(self) -> tuple[str, int]:
        """See `RemoteFiles.server`."""
        where = urlsplit(self._url)
        return where.hostname or "", where.port or (80 if where.scheme == "http" else 443)

    @property
    def who(self) -> str:
        """See `RemoteFiles.who`."""
        return self._access.user or ("the bearer of the token" if self._access.token is not None else "anybody")

    def _open_filesystem(self) -> AbstractFileSystem:
        guard = self._guard

        async def client(**_: Any) -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=guard.socket, use_dns_cache=False),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=_READ_S),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )

        return HTTPFileSystem(get_client=client, skip_instance_cache=True, use_listings_cache=False)

    async def _ask(self, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        session: aiohttp.ClientSession = await self.filesystem.set_session()
        sent = {"Accept-Encoding": "identity", **self._access.headers(), **headers}
        response = await session.get(yarl.URL(self._url), headers=sent, max_redirects=_MOST_REDIRECTS)
        if self._url.startswith("https:") and response.url.scheme != "https":
            response.close()
            raise AtFault(
                f"{self.shown} leads to {response.url.host} without TLS", "source.path", "name the file where it is"
            )
        if response.status >= 400 and response.status != 416:
            response.close()
            response.raise_for_status()
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding not in ("", "identity") and PurePath(urlsplit(self._url).path).suffix not in PACKED:
            response.close()
            raise Fatal(
                f"{self.shown} is sent packed as {encoding}, though that was not asked for; offer it as a packed file"
            )
        return response

    async def _asked_what(self) -> _Answer:
        response = await self._ask({"Range": "bytes=0-0"})
        try:
            ranged = response.status in (206, 416)
            total = response.headers.get("Content-Range", "").rpartition("/")[2] if ranged else ""
            length = total if ranged else response.headers.get("Content-Length", "")
            tag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
            return _Answer(int(length) if length.isdigit() else None, ranged and total.isdigit(), tag, modified)
        finally:
            response.close()

    def files(self) -> list[Found]:
        """See `Storage.files`."""
        self._resolved()
        with self.failures(self.shown):
            try:
                self._answer = sync(self.filesystem.loop, self._asked_what)
            except FileNotFoundError:
                return []
            except aiohttp.ClientResponseError as error:
                if error.status in (404, 410):
                    return []
                raise
        return [self._described(self._answer)]

    def look(self, found: Found) -> Found:
        """See `Storage.look`."""
        now = self.files()
        if not now:
            raise FileNotFoundError(found.shown)
        return now[0]

    def _described(self, answer: _Answer) -> Found:
        strong = answer.tag and not answer.tag.startswith("W/")
        said = (answer.tag if strong else answer.modified, answer.size)
        try:
            modified = parsedate_to_datetime(answer.modified).timestamp() if answer.modified else None
        except ValueError:
            modified = None
        key = self._url if not urlsplit(self._url).query else f"{self.shown}?{hint_of(self._url)}"
        return Found(self._url, key, self.shown, answer.size or 0, modified, hint_of(*said) if said[0] else "")

    def _authenticating(self) -> Iterator[Step]:
        """See `RemoteFiles._authenticating`: an answer to the request for the file is the proof."""
        if self._access.headers():
            self.files()
            yield Step("authenticate", True, f"the server takes {self.who}")

    def open(self, found: Found) -> IO[bytes]:
        """See `Storage.open`."""
        del found
        answer = self._answer or sync(self.filesystem.loop, self._asked_what)
        raw = _Ranges(self, answer) if answer.ranges else _FromStart(self)
        return io.BufferedReader(raw, BLOCK_BYTES if answer.ranges else _SKIP_BYTES)

    def fetch(self, start: int, stop: int, tag: str) -> bytes:
        """Some bytes of the file. Errors: those of the client; Transient when it is another file by now."""

        async def fetched() -> bytes:
            strong = {"If-Match": tag} if tag and not tag.startswith("W/") else {}
            response = await self._ask({"Range": f"bytes={start}-{stop - 1}", **strong})
            async with response:
                if response.status != 206:
                    raise Transient(f"{self.shown} is being written anew")
                return await response.content.readexactly(stop - start)

        content: bytes = sync(self.filesystem.loop, fetched)
        return content

    def begin(self) -> aiohttp.ClientResponse:
        """The file from its start."""
        response: aiohttp.ClientResponse = sync(self.filesystem.loop, self._ask, {})
        return response

    def more(self, response: aiohttp.ClientResponse, most: int) -> bytes:
        """What comes next of a file that was begun; nothing at its end."""
        content: bytes = sync(self.filesystem.loop, response.content.read, most)
        return content

    def _failure(self, error: Exception, shown: str) -> HeadraceError | None:
        self._guard.check()
        if isinstance(error, aiohttp.ClientResponseError) and error.status:
            return self._refusal(error, shown)
        if isinstance(error, aiohttp.TooManyRedirects):
            return AtFault(
                f"{shown} leads on more than {_MOST_REDIRECTS} times", "source.path", "name the file where it is"
            )
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            return AtFault(
                f"{shown}: TLS fails: {error}", "source.path", "correct the host, or its certificate", "connect"
            )
        if isinstance(error, aiohttp.InvalidURL):
            return AtFault(f"{shown} is no URL", "source.path", "correct it")
        if isinstance(error, aiohttp.ClientError | OSError | TimeoutError | EOFError):
            return network_trouble(shown, error)
        return None

    def _refusal(self, error: aiohttp.ClientResponseError, shown: str) -> HeadraceError:
        if error.status in (401, 403, 407):
            named = "source.storage.bearer_token" if self._access.token is not None else "source.storage.password"
            message = f"the server does not let {self.who} read {shown}: {error.status} {error.message}"
            return AtFault(message, named, "set it anew", "authenticate" if self._access.headers() else "find")
        if error.status in (408, 412, 425, 429) or error.status >= 500:
            return Transient(f"{shown}: the server answers {error.status} {error.message}")
        return AtFault(f"{shown}: the server answers {error.status} {error.message}", "source.path", "correct it")


class _Ranges(Placed):
    """Reads a file in blocks from anywhere."""

    def __init__(self, files: HttpFiles, answer: _Answer) -> None:
        self._files = files
        self._answer = answer
        self._size = answer.size or 0
        self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        stop = min(self._at + min(len(buffer), BLOCK_BYTES), self._size)
        if stop <= self._at:
            return 0
        block = self._files.fetch(self._at, stop, self._answer.tag)
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)


class _FromStart(Placed):
    """Reads a file of a server that sends it only as a whole. Going back asks for it anew."""

    def __init__(self, files: HttpFiles) -> None:
        self._files = files
        self._response: aiohttp.ClientResponse | None = None
        self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            while self._read(_SKIP_BYTES):
                pass
        wanted = offset if whence == 0 else self._at + offset
        if wanted < self._at:
            self._close()
        while self._at < wanted and self._read(min(_SKIP_BYTES, wanted - self._at)):
            pass
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        found = self._read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _read(self, most: int) -> bytes:
        if self._response is None:
            self._response = self._files.begin()
        found = self._files.more(self._response, most)
        self._at += len(found)
        return found

    def _close(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response, self._at = None, 0

    def close(self) -> None:
        if not self.closed:
            self._close()
        super().close()

"""Files of an SFTP server, which has to show a host key that is expected."""

import base64
import io
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import IO, Any, Final
from urllib.parse import urlsplit

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem  # type: ignore[import-untyped]
from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]
from pydantic import SecretStr

from headrace.connector import Step, Targets
from headrace.errors import HeadraceError, Transient
from services.ingest.connectors.file.placed import Placed
from services.ingest.connectors.file.storage.found import AtFault, Found
from services.ingest.connectors.file.storage.remote import BLOCK_BYTES, CONNECT_S, RemoteFiles, network_trouble

_PORT: Final = 22
_ANSWER_S: Final = 30.0
_KEEPALIVE_S: Final = 30
_KINDS: Final[Sequence[type[paramiko.PKey]]] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


@dataclass(frozen=True, slots=True)
class SftpAccess:
    """Who logs in, and by which keys the server is recognised."""

    user: str
    host_keys: Sequence[str]
    password: SecretStr | None = None
    private_key: SecretStr | None = None
    private_key_password: SecretStr | None = None


class SftpFiles(RemoteFiles):
    """See `services.ingest.connectors.file.storage.found.Storage`."""

    atomic = False
    field = "source.path"

    def __init__(self, url: str, targets: Targets, access: SftpAccess) -> None:
        super().__init__(url, targets)
        self._access = access
        self._expected = _Expected(access.host_keys)

    @property
    def server(self) -> tuple[str, int]:
        """See `RemoteFiles.server`."""
        where = urlsplit(self._url)
        return where.hostname or "", where.port or _PORT

    @property
    def who(self) -> str:
        """See `RemoteFiles.who`."""
        return self._access.user

    @property
    def path(self) -> str:
        """See `RemoteFiles.path`: what is special in a URL is not in a path."""
        return "/" + self._url.split("/", 3)[3] if self._url.count("/") > 2 else "/"

    @property
    def filesystem(self) -> "_Session":
        """See `RemoteFiles.filesystem`. A connection that has ended is opened anew."""
        if self._filesystem is not None and not self._filesystem.alive:
            self._filesystem = None
        session: _Session = super().filesystem
        return session

    def _open_filesystem(self) -> AbstractFileSystem:
        host, port = self.server
        key = self._private_key()
        connection = socket.create_connection((self._resolved(), port), CONNECT_S)
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(self._expected)
        password = self._access.password
        try:
            client.connect(
                host,
                port,
                self._access.user,
                password.get_secret_value() if password is not None else None,
                key,
                timeout=CONNECT_S,
                banner_timeout=_ANSWER_S,
                auth_timeout=_ANSWER_S,
                channel_timeout=_ANSWER_S,
                allow_agent=False,
                look_for_keys=False,
                sock=connection,
            )
            return _Session(client)
        except BaseException:
            client.close()
            connection.close()
            raise

    def _private_key(self) -> paramiko.PKey | None:
        access = self._access
        if access.private_key is None:
            return None
        password = access.private_key_password.get_secret_value() if access.private_key_password is not None else None
        for kind in _KINDS:
            try:
                return kind.from_private_key(io.StringIO(access.private_key.get_secret_value()), password)
            except paramiko.PasswordRequiredException:
                remedy = "name its password in source.storage.private_key_password"
                raise AtFault(
                    "the private key is encrypted", "source.storage.private_key", remedy, "authenticate"
                ) from None
            except (paramiko.SSHException, ValueError, IndexError, UnicodeError):
                continue
        message = "the private key cannot be read: it is none in PEM form, or its password is another"
        raise AtFault(message, "source.storage.private_key", "set it anew", "authenticate")

    def _authenticating(self) -> Iterator[Step]:
        try:
            with self.failures(self.shown):
                _ = self.filesystem
        except AtFault as error:
            if error.step == "authenticate" and self._expected.shown:
                yield Step("host key", True, f"the server shows {self._expected.shown}, which is expected")
            raise
        yield Step("host key", True, f"the server shows {self._expected.shown}, which is expected")
        yield Step("authenticate", True, f"logged in as {self.who}")

    def files(self) -> list[Found]:
        """See `Storage.files`."""
        found = super().files()
        if not found:
            self._missing()
        return found

    def _missing(self) -> None:
        """Errors: AtFault when the folder may not be looked into: to fsspec that is the same as nothing in it."""
        folder = self.path
        while set(folder) & set("*?["):
            folder = folder.rpartition("/")[0]
        with self.failures(self.shown):
            try:
                self.filesystem.ftp.listdir_attr(folder if folder != self.path else folder.rpartition("/")[0] or "/")
            except FileNotFoundError:
                return

    def open(self, found: Found) -> IO[bytes]:
        """See `Storage.open`. Blocks are asked for in many requests at once: one by one, each would wait for its answer."""
        session = self.filesystem
        return io.BufferedReader(_Blocks(session.ftp.open(found.path, "rb")), BLOCK_BYTES)

    def _failure(self, error: Exception, shown: str) -> HeadraceError | None:
        host, port = self.server
        match error:
            case _Unexpected():
                remedy = "if this is the server, name that key; if it had another, find out why it changed"
                return AtFault(str(error), "source.storage.host_keys", remedy, "host key")
            case paramiko.AuthenticationException():
                field = (
                    "source.storage.private_key" if self._access.private_key is not None else "source.storage.password"
                )
                return AtFault(
                    f"{host} does not let {self.who} in: {error}",
                    field,
                    "set it anew, or name another user",
                    "authenticate",
                )
            case PermissionError():
                return AtFault(f"{self.who} may not read {shown}", "source.path", f"let {self.who} read it", "list")
            case FileNotFoundError():
                return Transient(f"{shown} is not there any more")
            case paramiko.SSHException() | OSError() | EOFError():
                return network_trouble(f"{host}:{port}", error)
        return None

    def _shown(self, path: str) -> str:
        host, port = self.server
        return f"sftp://{host}{'' if port == _PORT else f':{port}'}{path}"


class _Unexpected(paramiko.SSHException):
    """The server has shown a host key that is not among the expected ones."""


class _Expected(paramiko.MissingHostKeyPolicy):
    """Accepts the host keys that were named, and no others; there are no known ones beside them."""

    def __init__(self, named: Sequence[str]) -> None:
        self._named = frozenset(fingerprint for each in named if (fingerprint := _fingerprint_of(each)))
        self.shown = ""

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        """See `paramiko.MissingHostKeyPolicy`. Errors: SSHException for a key that is not expected."""
        del client
        shown = _fingerprint(key.asbytes())
        if shown not in self._named:
            raise _Unexpected(f"{hostname} shows the host key {shown} ({key.get_name()}), which is not expected")
        self.shown = shown


def _fingerprint(key: bytes) -> str:
    return "SHA256:" + base64.b64encode(sha256(key).digest()).decode().rstrip("=")


def _fingerprint_of(named: str) -> str | None:
    """The fingerprint that a setting means: itself, or that of the key in a line of a known_hosts file."""
    parts = named.split()
    if parts and parts[0].startswith("SHA256:"):
        return parts[0].rstrip("=")
    for kind, key in pairwise(parts):
        if kind.startswith(("ssh-", "ecdsa-", "sk-")):
            try:
                return _fingerprint(base64.b64decode(key, validate=True))
            except ValueError:
                return None
    return None


class _Session(SFTPFileSystem):  # type: ignore[misc]
    """fsspec's files over a connection that is open already."""

    cachable = False

    def __init__(self, client: paramiko.SSHClient) -> None:
        super(SFTPFileSystem, self).__init__()
        self.client = client
        transport = client.get_transport()
        if transport is not None:
            transport.set_keepalive(_KEEPALIVE_S)
        self.ftp = client.open_sftp()
        channel = self.ftp.get_channel()
        if channel is not None:
            channel.settimeout(_ANSWER_S)

    @property
    def alive(self) -> bool:
        """Whether the server is still there, as far as is known."""
        transport = self.client.get_transport()
        return transport is not None and transport.is_active()


class _Blocks(Placed):
    """Reads a file at the server in large blocks."""

    def __init__(self, file: paramiko.SFTPFile) -> None:
        self._file = file
        self._size = file.stat().st_size or 0
        self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), BLOCK_BYTES, self._size - self._at)
        if wanted <= 0:
            return 0
        (block,) = self._file.readv([(self._at, wanted)])
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

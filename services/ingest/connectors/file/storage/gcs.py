"""Objects of Google Cloud Storage. No test has a server for it: see docs/sources/files.md."""

import json
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from fsspec.asyn import get_loop  # type: ignore[import-untyped]
from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]
from pydantic import SecretStr

from headrace.connector import Targets
from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.file.storage.found import AtFault
from services.ingest.connectors.file.storage.guard import Guard
from services.ingest.connectors.file.storage.remote import RemoteFiles, network_trouble

_HOST: Final = "storage.googleapis.com"
_KEY: Final = "source.storage.service_account"


class GcsFiles(RemoteFiles):
    """See `services.ingest.connectors.file.storage.found.Storage`. Without a key it asks as anybody."""

    field = "source.path"

    def __init__(self, url: str, targets: Targets, key: SecretStr | None) -> None:
        super().__init__(url, targets)
        self._key_file = key
        self._guard = Guard(targets)

    @property
    def server(self) -> tuple[str, int]:
        """See `RemoteFiles.server`."""
        return _HOST, 443

    @property
    def who(self) -> str:
        """See `RemoteFiles.who`."""
        return "the service account" if self._key_file is not None else "anybody"

    def _open_filesystem(self) -> AbstractFileSystem:
        try:
            from gcsfs import GCSFileSystem  # type: ignore[import-untyped]
        except ImportError as error:
            raise Fatal("files of Google Cloud Storage need the package gcsfs: install headrace[gcs]") from error
        connector = aiohttp.TCPConnector(loop=get_loop(), socket_factory=self._guard.socket, use_dns_cache=False)
        return GCSFileSystem(
            token=self._token(),
            access="read_only",
            session_kwargs={"connector": connector},
            skip_instance_cache=True,
            use_listings_cache=False,
        )

    def _token(self) -> Any:
        """What gcsfs logs in with. Errors: AtFault when it is no key file; Fatal when its tokens come from a forbidden host."""
        if self._key_file is None:
            return "anon"
        try:
            key = json.loads(self._key_file.get_secret_value())
            issuer = urlsplit(key["token_uri"])
        except (ValueError, KeyError, TypeError):
            raise AtFault("it is not the key file of a service account", _KEY, "set it anew", "authenticate") from None
        self._targets.resolve(issuer.hostname or "", issuer.port or 443)
        return key

    def _failure(self, error: Exception, shown: str) -> HeadraceError | None:
        self._guard.check()
        code = getattr(error, "code", None) or getattr(error, "status", None)
        package = type(error).__module__.partition(".")[0]
        if package == "google" and "RefreshError" in type(error).__name__:
            return AtFault("Google does not accept the key file", _KEY, "set it anew", "authenticate")
        if isinstance(error, FileNotFoundError):
            return Transient(f"{shown} is not there any more")
        if isinstance(error, PermissionError) or str(code) in ("401", "403"):
            return AtFault(f"{self.who} may not read {shown}", _KEY, "let it read the bucket, or name another", "list")
        trouble = isinstance(error, OSError) or package in ("aiohttp", "gcsfs", "google", "fsspec", "requests")
        return network_trouble(shown, error) if trouble else None

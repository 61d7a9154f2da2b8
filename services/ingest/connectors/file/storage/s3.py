"""Objects of S3, and of whatever speaks its protocol."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]
from pydantic import SecretStr

from headrace.connector import Targets
from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.file.storage.found import AtFault, Found
from services.ingest.connectors.file.storage.guard import Guard
from services.ingest.connectors.file.storage.remote import CONNECT_S, RemoteFiles, network_trouble

_READ_S: Final = 30.0
_NOT_WHO: Final = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
)
_WRONG_REGION: Final = (
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "IllegalLocationConstraintException",
    "301",
)


@dataclass(frozen=True, slots=True)
class S3Access:
    """Where the service is and whom it is asked as. Without keys it is asked as anybody."""

    endpoint: str | None = None
    region: str | None = None
    key: SecretStr | None = None
    secret: SecretStr | None = None
    token: SecretStr | None = None


class S3Files(RemoteFiles):
    """See `services.ingest.connectors.file.storage.found.Storage`."""

    def __init__(self, url: str, targets: Targets, access: S3Access) -> None:
        super().__init__(url, targets)
        self._access = access
        self._guard = Guard(targets)
        self._bucket = urlsplit(url).netloc
        self.field = "source.storage.endpoint" if access.endpoint else "source.storage.region"

    @property
    def server(self) -> tuple[str, int]:
        """See `RemoteFiles.server`."""
        where = urlsplit(self._access.endpoint or f"https://s3.{self._access.region or 'us-east-1'}.amazonaws.com")
        return where.hostname or "", where.port or (80 if where.scheme == "http" else 443)

    @property
    def who(self) -> str:
        """See `RemoteFiles.who`."""
        return "the owner of the access key" if self._access.key else "anybody"

    def _open_filesystem(self) -> AbstractFileSystem:
        try:
            from s3fs import S3FileSystem  # type: ignore[import-untyped]
        except ImportError as error:
            raise Fatal("files of S3 need the package s3fs: install headrace[s3]") from error
        access = self._access
        return S3FileSystem(
            anon=access.key is None,
            key=_plain(access.key),
            secret=_plain(access.secret),
            token=_plain(access.token),
            endpoint_url=access.endpoint,
            client_kwargs={"region_name": access.region or "us-east-1"},
            config_kwargs={
                "connector_args": {"socket_factory": self._guard.socket, "use_dns_cache": False},
                "connect_timeout": CONNECT_S,
                "read_timeout": _READ_S,
                "proxies": {},
            },
            skip_instance_cache=True,
            use_listings_cache=False,
        )

    def files(self) -> list[Found]:
        """See `Storage.files`."""
        found = super().files()
        if not found:
            self._missing()
        return found

    def _missing(self) -> None:
        """Errors: AtFault when there is no such bucket; a list of nothing looks the same."""
        with self.failures(self.shown):
            self.filesystem.call_s3("list_objects_v2", Bucket=self._bucket, MaxKeys=1)

    def _failure(self, error: Exception, shown: str) -> HeadraceError | None:
        self._guard.check()
        code = _code(error)
        if code == "NoSuchBucket":
            return AtFault(
                f"there is no bucket {self._bucket}", "source.path", "correct it, or create the bucket", "list"
            )
        if code in _NOT_WHO:
            step = "authenticate"
            return AtFault(
                f"S3 does not accept the credentials ({code})", "source.storage.access_key_id", "set them anew", step
            )
        if code in _WRONG_REGION:
            return AtFault(f"{shown} is in another region: {error}", "source.storage.region", "correct it", "list")
        if isinstance(error, PermissionError):
            remedy = f"let {self.who} list and read it, or name other credentials"
            return AtFault(
                f"{self.who} may not read {shown} ({code or error})", "source.storage.access_key_id", remedy, "list"
            )
        if code in ("InvalidBucketName", "NoSuchUpload"):
            return AtFault(f"{shown}: {error}", "source.path", "correct it", "list")
        if isinstance(error, FileNotFoundError):
            return Transient(f"{shown} is not there any more")
        return network_trouble(shown, error) if _from_client(error) else None


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _code(error: BaseException) -> str:
    """S3's own code of an error, from the depth of what it was wrapped in."""
    seen: BaseException | None = error
    while seen is not None:
        response: Any = getattr(seen, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        seen = seen.__cause__
    return ""


def _from_client(error: BaseException) -> bool:
    return isinstance(error, OSError) or any(
        each.__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp", "fsspec", "s3fs", "asyncio")
        for each in type(error).__mro__
    )

"""Blobs of Azure. No test has a server for it: see docs/sources/files.md."""

from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]
from pydantic import SecretStr

from headrace.connector import Targets
from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.file.storage.found import AtFault
from services.ingest.connectors.file.storage.remote import RemoteFiles, network_trouble


class AzureFiles(RemoteFiles):
    """See `services.ingest.connectors.file.storage.found.Storage`. Without a key it asks as anybody.

    Its client cannot be told which sockets to open. It only ever asks one host, whose name ends in that of the provider.
    """

    field = "source.storage.account"

    def __init__(self, url: str, targets: Targets, account: str, key: SecretStr | None) -> None:
        super().__init__(url, targets)
        self._account = account
        self._secret = key

    @property
    def server(self) -> tuple[str, int]:
        """See `RemoteFiles.server`."""
        return f"{self._account}.blob.core.windows.net", 443

    @property
    def who(self) -> str:
        """See `RemoteFiles.who`."""
        return "the holder of the account key" if self._secret is not None else "anybody"

    def _open_filesystem(self) -> AbstractFileSystem:
        try:
            from adlfs import AzureBlobFileSystem  # type: ignore[import-untyped]
        except ImportError as error:
            raise Fatal("files of Azure need the package adlfs: install headrace[azure]") from error
        return AzureBlobFileSystem(
            account_name=self._account,
            account_key=self._secret.get_secret_value() if self._secret is not None else None,
            anon=self._secret is None,
            skip_instance_cache=True,
            use_listings_cache=False,
        )

    def _failure(self, error: Exception, shown: str) -> HeadraceError | None:
        package, code = type(error).__module__.partition(".")[0], getattr(error, "status_code", None)
        if isinstance(error, FileNotFoundError):
            return Transient(f"{shown} is not there any more")
        if isinstance(error, PermissionError) or code in (401, 403):
            remedy = "set it anew, or let it read the container"
            return AtFault(f"{self.who} may not read {shown}", "source.storage.account_key", remedy, "list")
        if isinstance(error, OSError) or package in ("azure", "aiohttp", "adlfs", "fsspec"):
            return network_trouble(shown, error)
        return None

"""Which storage a source's path means, and with which credentials it is asked."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from headrace.connector import Surroundings
from headrace.errors import Fatal
from headrace.secrets.reference import resolved
from services.ingest.connectors.file.settings import FileSource
from services.ingest.connectors.file.storage.found import Storage
from services.ingest.connectors.file.storage.local import LocalFiles
from services.ingest.connectors.folders import Folders


def storage_of(source: FileSource, surroundings: Surroundings) -> Storage:
    """The storage of a source. Nothing is reached yet. Errors: Fatal when a credential is not known."""

    def secret(reference: str | None) -> SecretStr | None:
        return resolved(reference, surroundings.secret) if reference is not None else None

    options, targets = source.storage, surroundings.targets
    match source.kind:
        case "s3":
            from services.ingest.connectors.file.storage.s3 import S3Access, S3Files

            keys = secret(options.access_key_id), secret(options.secret_access_key), secret(options.session_token)
            return S3Files(source.path, targets, S3Access(options.endpoint, options.region, *keys))
        case "local":
            return LocalFiles(_local_path(source.path), Folders(surroundings.folder, surroundings.further_folders))
        case "sftp":
            from services.ingest.connectors.file.storage.sftp import SftpAccess, SftpFiles

            login = secret(options.password), secret(options.private_key), secret(options.private_key_password)
            return SftpFiles(source.path, targets, SftpAccess(options.user or "", options.host_keys, *login))
        case "http":
            from services.ingest.connectors.file.storage.http import HttpAccess, HttpFiles

            access = HttpAccess(options.user, secret(options.password), secret(options.bearer_token))
            return HttpFiles(source.path, targets, access)
        case "gcs":
            from services.ingest.connectors.file.storage.gcs import GcsFiles

            return GcsFiles(source.path, targets, secret(options.service_account))
        case "azure":
            from services.ingest.connectors.file.storage.azure import AzureFiles

            return AzureFiles(source.path, targets, options.account or "", secret(options.account_key))
        case kind:
            raise Fatal(f"storages of kind {kind} are not read")


def _local_path(path: str) -> str:
    """The path that `file://` means; another as it is. Errors: Fatal when it names another machine."""
    if not path.startswith("file://"):
        return path
    parts = urlsplit(path)
    if parts.netloc not in ("", "localhost"):
        raise Fatal(f"{path} names another machine; file:///PATH is a file of this one")
    return str(Path(unquote(parts.path)))

"""What a dataset file says of files."""

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field as Setting
from pydantic import StringConstraints, model_validator

from headrace.contract.section import Section
from headrace.contract.source import SourceSettings
from headrace.secrets.reference import Credential

OneCharacter = Annotated[str, StringConstraints(min_length=1, max_length=1)]

_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://")


class CsvOptions(Section):
    """How a CSV file is written."""

    delimiter: OneCharacter = Setting(",", description="What stands between two values.")
    quote: OneCharacter = Setting('"', description="What encloses a value that holds a delimiter or a line break.")
    header: bool = Setting(
        True, description="Whether the first line names the columns. Without one they are column0, column1, ..."
    )
    null_values: list[str] = Setting([""], description="The texts that stand for a missing value.")
    encoding: Literal["utf-8", "utf-16", "latin-1", "cp1252"] = Setting(
        "utf-8", description="How the file's characters are encoded."
    )


class JsonOptions(Section):
    """Where the rows of a JSON document are."""

    rows: str | None = Setting(
        None,
        pattern=r"^[^.\s]+(\.[^.\s]+)*$",
        description="The array of rows in a document that is an object: the names of the fields on the way, as in `data.items`.",
    )


class SheetOptions(Section):
    """Which table of a workbook is read."""

    name: str | None = Setting(None, min_length=1, description="The sheet; the first one when not given.")
    header_row: int | None = Setting(
        None,
        ge=1,
        le=1_048_576,
        description="The row that names the columns; the first one that is not empty when not given.",
    )


class StorageOptions(Section):
    """How a remote storage is reached, and as whom."""

    endpoint: str | None = Setting(
        None,
        pattern=r"^https?://[^/?#@\s]+/?$",
        description="The URL of a service that is not the provider's own, as in `https://minio.example.org:9000`.",
    )
    region: str | None = Setting(None, min_length=1, description="The region of the bucket (S3).")
    account: str | None = Setting(None, pattern=r"^[a-z0-9]{3,24}$", description="The storage account (Azure).")
    anonymous: bool = Setting(False, description="Ask as anybody: for data that is public.")
    user: str | None = Setting(None, min_length=1, description="Who logs in (SFTP, HTTP).")
    password: Credential | None = Setting(None, description="The password of that user, as `secret://name`.")
    private_key: Credential | None = Setting(None, description="The private key of that user in PEM form (SFTP).")
    private_key_password: Credential | None = Setting(
        None, description="What the private key is encrypted with (SFTP)."
    )
    host_keys: list[str] = Setting(
        [],
        description="By which keys the server is recognised (SFTP): fingerprints as `ssh-keygen -l` shows them, `SHA256:...`, "
        "or lines of a known_hosts file. One of them has to fit.",
    )
    bearer_token: Credential | None = Setting(None, description="The token that is sent along (HTTP).")
    access_key_id: Credential | None = Setting(None, description="The id of the access key (S3).")
    secret_access_key: Credential | None = Setting(None, description="The access key itself (S3).")
    session_token: Credential | None = Setting(None, description="The token of temporary access keys (S3).")
    account_key: Credential | None = Setting(None, description="The key of the storage account (Azure).")
    service_account: Credential | None = Setting(
        None, description="The key file of a service account, its JSON text (GCS)."
    )


_KINDS: Final = {
    "s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure", "sftp": "sftp",
    "http": "http", "https": "http", "file": "local",
}  # fmt: skip
_MAY_SET: Final = {
    "local": set(),
    "s3": {"endpoint", "region", "anonymous", "access_key_id", "secret_access_key", "session_token"},
    "gcs": {"anonymous", "service_account"},
    "azure": {"account", "anonymous", "account_key"},
    "sftp": {"user", "password", "private_key", "private_key_password", "host_keys"},
    "http": {"user", "password", "bearer_token"},
}


class FileSource(SourceSettings):
    """Files that are read from the start, then watched for more."""

    type: Literal["file"] = Setting(description="The connector.")
    path: str = Setting(
        min_length=1,
        description="A file or a glob such as `data/flights-*.csv`. A relative path starts at the data folder of ingest; "
        "an absolute one must lie in it, or in a folder of HEADRACE_SOURCE_ROOTS. Or a URL: `s3://bucket/data/*.csv`, "
        "`gs://`, `abfs://container/`, `sftp://host/`, `https://`.",
    )
    format: Literal["auto", "csv", "json", "jsonl", "parquet", "avro", "excel"] = Setting(
        "auto", description="The file format; `auto` goes by the file name's ending."
    )
    csv: CsvOptions = Setting(CsvOptions(), description="How CSV files are written; other formats ignore it.")
    json_: JsonOptions = Setting(JsonOptions(), alias="json", description="Where the rows of JSON documents are.")
    sheet: SheetOptions = Setting(SheetOptions(), description="Which table of a workbook is read.")
    storage: StorageOptions = Setting(StorageOptions(), description="How a remote storage is reached, and as whom.")

    @property
    def kind(self) -> str:
        """The kind of storage: local, s3, gcs, azure, sftp or http."""
        url = _URL.match(self.path)
        return _KINDS[url[1]] if url else "local"

    @model_validator(mode="after")
    def _fits_its_storage(self) -> Self:
        url = _URL.match(self.path)
        if url and url[1] not in _KINDS:
            raise ValueError(f"a path, or a URL of {', '.join(sorted(_KINDS))}; {url[1]}:// is none of them")
        parts = urlsplit(self.path) if url else None
        if parts is not None and "@" in parts.netloc:
            raise ValueError("a URL without user and password: name them in source.storage")
        if parts is not None and self.kind == "http" and "*" in parts.path:
            raise ValueError("the URL of one file: a web server cannot list those that match a pattern")
        if parts is not None and self.kind != "local" and not parts.netloc:
            raise ValueError("a URL with a host, bucket or container")
        given = self.storage.model_fields_set - {
            name for name in self.storage.model_fields_set if getattr(self.storage, name) in (None, [], False)
        }
        if odd := sorted(given - _MAY_SET[self.kind]):
            raise ValueError(f"source.storage without {', '.join(odd)}: a {self.kind} storage has no use for it")
        self._complete(self.storage)
        return self

    def _complete(self, storage: StorageOptions) -> None:
        """Errors: ValueError when what belongs together is not all there."""
        if (storage.access_key_id is None) != (storage.secret_access_key is None):
            raise ValueError("source.storage.access_key_id and secret_access_key, both or none")
        if storage.session_token is not None and storage.access_key_id is None:
            raise ValueError("source.storage.access_key_id beside the session_token")
        named = storage.access_key_id or storage.account_key or storage.service_account
        if self.kind in ("s3", "gcs", "azure") and storage.anonymous == bool(named):
            raise ValueError("either credentials in source.storage, or source.storage.anonymous: true")
        if self.kind == "azure" and storage.account is None:
            raise ValueError("source.storage.account")
        if self.kind == "sftp" and (storage.user is None or not (storage.password or storage.private_key)):
            raise ValueError("source.storage.user, and a password or a private_key")
        if self.kind == "sftp" and not storage.host_keys:
            raise ValueError("source.storage.host_keys: a server that nobody recognises could be any")
        if self.kind == "http" and storage.bearer_token is not None and storage.user is not None:
            raise ValueError("source.storage.user or bearer_token, one of both")

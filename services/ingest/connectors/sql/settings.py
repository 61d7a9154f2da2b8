"""What a dataset file says of a table or a query."""

from typing import Literal, Self

from pydantic import Field as Setting
from pydantic import ValidationInfo, model_validator

from headrace.contract.fields import ColumnName
from headrace.contract.source import LOOKING, SourceSettings
from headrace.secrets.reference import Credential

DatabaseKind = Literal["postgresql", "mysql", "sqlite", "sqlserver", "oracle"]
SslMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]


class SqlDatabase(SourceSettings):
    """Where a database is and who reads it: enough to list its tables."""

    type: Literal["sql"] = Setting(description="The connector.")
    database: DatabaseKind = Setting(description="The kind of database; `mysql` is MariaDB, too.")
    host: str = Setting(
        "localhost",
        min_length=1,
        pattern=r"^[^/@,\\\s][^/,\\\s]*$",
        description="Where the server is. It is reached over TCP; sockets of Unix are no sources.",
    )
    port: int | None = Setting(None, ge=1, le=65535, description="Its port; the database's usual one when not given.")
    name: str = Setting(
        min_length=1,
        description="The database on that server; for Oracle its service; for SQLite a file, as a `file` source has it.",
    )
    user: str | None = Setting(None, description="Who reads. A user who may do nothing but read is best.")
    password: Credential | None = Setting(None, description="The password, as `secret://name`.")
    sslmode: SslMode = Setting(
        "prefer",
        description="Whether the connection is encrypted, and whose certificate is believed: `prefer` encrypts where the "
        "server can, `require` always, `verify-ca` believes a known authority, `verify-full` wants the host's name in it, too.",
    )
    ca: str | None = Setting(
        None,
        min_length=1,
        description="A file with the certificates of the authorities to believe, where `file` sources may lie. "
        "`verify-full` without it believes those of the system.",
    )

    @model_validator(mode="after")
    def _verifiable(self) -> Self:
        if self.sslmode == "verify-ca" and self.ca is None:
            raise ValueError("a file of authorities (ca) for sslmode verify-ca")
        return self


class SqlSource(SqlDatabase):
    """Rows of a database's table or query, read in the order of a column that only grows, then looked at for more."""

    table: str | None = Setting(None, min_length=1, description="The table or view, `schema.table` where it is needed.")
    query: str | None = Setting(None, min_length=1, description="A SELECT instead of a table.")
    cursor: ColumnName | None = Setting(
        None,
        description="The column rows are read by: later rows have larger values, as in `updated_at`. Without it, the key.",
    )
    key: list[ColumnName] = Setting([], description="The columns that tell rows with the same cursor apart.")
    lag_s: float | None = Setting(
        None,
        ge=0,
        le=86_400,
        description="How long the last rows wait, in seconds, because an open transaction may still put others in front of them. "
        "Without it, the database is asked which transactions are open. SQL Server and Oracle are not asked, and need it.",
    )

    @property
    def chosen(self) -> bool:
        """Whether it says what is read."""
        return self.table is not None or self.query is not None

    @property
    def order(self) -> list[str]:
        """The columns by which rows are read."""
        return list(dict.fromkeys([*([self.cursor] if self.cursor else []), *self.key]))

    def why_no_backfill(self, mode: str) -> str:
        """See `SourceSettings.why_no_backfill`."""
        del mode
        return "" if self.cursor is not None else "it is read by its key, not by a `cursor` of dates or times"

    @model_validator(mode="after")
    def _complete(self, info: ValidationInfo) -> Self:
        if not self.chosen and (info.context or {}).get(LOOKING):
            return self
        if (self.table is None) == (self.query is None):
            raise ValueError("a table or a query, one of both")
        if not self.key:
            raise ValueError("a key: without one, reading could not go on where it was left")
        if self.database in ("sqlserver", "oracle") and self.lag_s is None:
            raise ValueError("lag_s: which transactions are open is not asked of this database")
        return self

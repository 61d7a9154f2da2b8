"""What a dataset file says of a table whose changes are captured."""

from typing import ClassVar, Literal, Self

from pydantic import Field as Setting
from pydantic import model_validator

from headrace.contract.fields import ColumnName
from headrace.contract.source import SourceSettings
from headrace.secrets.reference import Credential


class CdcSource(SourceSettings):
    """What the databases have in common."""

    ends: ClassVar[bool] = False
    changes: ClassVar[bool] = True
    holds: ClassVar[bool] = True

    host: str = Setting(min_length=1, description="Where the server is.")
    user: str = Setting(min_length=1, description="Who reads; what the user may do is in docs/sources/changes.md.")
    password: Credential | None = Setting(None, description="The password, as `secret://name`.")
    tls: Literal["off", "on", "verified"] = Setting(
        "off",
        description="Whether the connection is encrypted, and whether the server's certificate and name are verified.",
    )
    row_key: list[ColumnName] = Setting(
        [], description="The columns that identify a row of a table without a primary key; else the primary key."
    )
    snapshot: int = Setting(
        1,
        ge=1,
        description="The number of the snapshot: raise it to have every row of the table read again, as is needed after "
        "changes were lost.",
    )
    on_truncate: Literal["stop", "ignore"] = Setting(
        "stop", description="What to do when the table was emptied by TRUNCATE, which says nothing of single rows."
    )
    heartbeat_s: int = Setting(
        10, ge=1, le=3600, description="How often the place in the log is noted while the table does not change."
    )


class PostgresCdcSource(CdcSource):
    """Every row of a PostgreSQL table, then every change of it, through Debezium."""

    type: Literal["postgres_cdc"] = Setting(description="The connector.")
    port: int = Setting(5432, ge=1, le=65535, description="Its port.")
    name: str = Setting(min_length=1, description="The database on that server.")
    table: str = Setting(
        min_length=1, description="The table, as `schema.table`; the schema is `public` when not given."
    )

    @property
    def schema_and_table(self) -> tuple[str, str]:
        """The parts of the table's name."""
        schema, dot, table = self.table.partition(".")
        return (schema, table) if dot else ("public", schema)


class BinlogCdcSource(CdcSource):
    """What MySQL and MariaDB have in common: a log that is kept for a time, whoever has read it."""

    port: int = Setting(3306, ge=1, le=65535, description="Its port.")
    table: str = Setting(min_length=1, description="The table, as `database.table`.")
    server_id: int | None = Setting(
        None,
        ge=1,
        le=4294967295,
        description="The number as which the log is read, unlike that of any other replica; "
        "made from the dataset's name when not given.",
    )

    @property
    def schema_and_table(self) -> tuple[str, str]:
        """The parts of the table's name."""
        schema, _, table = self.table.partition(".")
        return schema, table

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not all(self.schema_and_table):
            raise ValueError("a table named with its database: `database.table`")
        return self


class MysqlCdcSource(BinlogCdcSource):
    """Every row of a MySQL table, then every change of it, through Debezium."""

    type: Literal["mysql_cdc"] = Setting(description="The connector.")


class MariadbCdcSource(BinlogCdcSource):
    """Every row of a MariaDB table, then every change of it, through Debezium."""

    type: Literal["mariadb_cdc"] = Setting(description="The connector.")
    zero_dates: bool = Setting(
        True,
        description="Whether dates such as 0000-00-00 may be in columns that take no null. Debezium makes the column's default "
        "of them, else 1970-01-01: such rows are quarantined, unless it is said here that there are no zero dates.",
    )

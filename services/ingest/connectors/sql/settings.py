"""What a dataset file says of a table or a query."""

from typing import Literal, Self

from pydantic import Field as Setting
from pydantic import model_validator

from headrace.contract.fields import ColumnName
from headrace.contract.source import SourceSettings
from headrace.secrets.reference import Credential


class SqlSource(SourceSettings):
    """Rows of a database's table or query, read in the order of a column that only grows, then looked at for more."""

    type: Literal["sql"] = Setting(description="The connector.")
    database: Literal["postgresql", "sqlite"] = Setting(description="The kind of database.")
    host: str = Setting("localhost", description="Where the server is.")
    port: int | None = Setting(None, ge=1, le=65535, description="Its port; the database's usual one when not given.")
    name: str = Setting(
        min_length=1, description="The database on that server; for SQLite a file, as a `file` source has it."
    )
    user: str | None = Setting(None, description="Who reads. A user who may do nothing but read is best.")
    password: Credential | None = Setting(None, description="The password, as `secret://name`.")
    table: str | None = Setting(None, min_length=1, description="The table or view, `schema.table` where it is needed.")
    query: str | None = Setting(None, min_length=1, description="A SELECT instead of a table.")
    cursor: ColumnName | None = Setting(
        None,
        description="The column rows are read by: later rows have larger values, as in `updated_at`. Without it, the key.",
    )
    key: list[ColumnName] = Setting([], description="The columns that tell rows with the same cursor apart.")

    @property
    def order(self) -> list[str]:
        """The columns by which rows are read."""
        return list(dict.fromkeys([*([self.cursor] if self.cursor else []), *self.key]))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("a table or a query, one of both")
        if not self.key:
            raise ValueError("a key: without one, reading could not go on where it was left")
        return self

"""SQL Server, by connectorx. Written from its documentation; not tested against a server."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa

from headrace.connector.targets import Address
from services.ingest.connectors.sql import literals
from services.ingest.connectors.sql.databases import Indexes, Session, Table
from services.ingest.connectors.sql.foreign import ForeignDatabase, ForeignSession
from services.ingest.connectors.sql.server import Server
from services.ingest.connectors.sql.statements import Column, Dialect

_STAYS: Final = frozenset([102, 156, 207, 208, 229, 230, 4060, 18456])
_TYPES: Final[dict[str, pa.DataType]] = {
    "tinyint": pa.int32(),
    "smallint": pa.int32(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "bit": pa.bool_(),
    "real": pa.float32(),
    "float": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "datetime": pa.timestamp("us"),
    "datetime2": pa.timestamp("us"),
    "smalldatetime": pa.timestamp("us"),
    "datetimeoffset": pa.timestamp("us", "UTC"),
    "binary": pa.binary(),
    "varbinary": pa.binary(),
    "image": pa.binary(),
    **dict.fromkeys(("char", "varchar", "text", "nchar", "nvarchar", "ntext", "uniqueidentifier"), pa.string()),
}


class SqlServerDialect:
    """See `statements.Dialect`."""

    compares_rows = False

    def quoted(self, name: str) -> str:
        """See `Dialect.quoted`."""
        return "[" + name.replace("]", "]]") + "]"

    def value(self, number: int, column: Column, value: Any) -> str:
        """See `Dialect.value`."""
        del number
        return literals.sqlserver(column.type, value, column.kind)

    def limited(self, select: str, rows: int) -> str:
        """See `Dialect.limited`."""
        return f"{select} OFFSET 0 ROWS FETCH NEXT {rows} ROWS ONLY"


@dataclass(frozen=True, slots=True)
class SqlServer(ForeignDatabase):
    """A database of SQL Server. See `databases.Database`."""

    @property
    def address(self) -> str:
        """See `Database.address`."""
        return f"sqlserver://{self.server.host}:{self.server.port}/{self.server.name}"

    @property
    def dialect(self) -> Dialect:
        """See `Database.dialect`."""
        return SqlServerDialect()

    @contextmanager
    def session(self, doing: str) -> Iterator[Session]:
        """See `Database.session`."""
        with self.meaning(doing, _STAYS):
            yield SqlServerSession(url(self.server, self.server.resolved()))


class SqlServerSession(ForeignSession):
    """See `databases.Session`."""

    def columns(self, relation: str) -> list[Column]:
        """See `Session.columns`."""
        return [
            column(name, kind, precision, scale) for name, kind, precision, scale in self.asked(described(relation))
        ]

    def tables(self) -> list[Table]:
        """See `Session.tables`."""
        sql = (
            "SELECT CASE WHEN s.name = SCHEMA_NAME() THEN o.name ELSE s.name + '.' + o.name END AS name, "
            "(SELECT COUNT(*) FROM sys.columns c WHERE c.object_id = o.object_id) AS columns, "
            "(SELECT SUM(p.rows) FROM sys.partitions p WHERE p.object_id = o.object_id AND p.index_id IN (0, 1)) AS estimate, "
            "CASE o.type WHEN 'V' THEN 'view' ELSE 'table' END AS kind, s.name AS namespace "
            "FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE o.type IN ('U', 'V') ORDER BY 1"
        )
        return [Table(*row) for row in self.asked(sql)]

    def indexes(self, table: str) -> Indexes:
        """See `Session.indexes`."""
        name = literals.sqlserver(pa.string(), table)
        sql = (
            "SELECT c.name, i.is_primary_key, ic.key_ordinal, c.is_identity FROM sys.index_columns ic "  # noqa: S608
            "JOIN sys.indexes i ON i.object_id = ic.object_id AND i.index_id = ic.index_id "
            "JOIN sys.columns c ON c.object_id = ic.object_id AND c.column_id = ic.column_id "
            f"WHERE ic.object_id = OBJECT_ID({name}) AND ic.key_ordinal > 0 ORDER BY i.index_id, ic.key_ordinal"
        )
        parts = self.asked(sql)
        return Indexes(
            [column for column, primary, _, _ in parts if primary],
            [column for column, _, _, numbered in parts if numbered],
            [column for column, _, number, _ in parts if number == 1],
        )


def described(relation: str) -> str:
    """The statement that names the columns of a table or query, and their types."""
    select = literals.sqlserver(pa.string(), f"SELECT * FROM {relation}")  # noqa: S608
    return (
        "SELECT name, system_type_name, CAST(precision AS INT) AS digits, CAST(scale AS INT) AS scale "  # noqa: S608
        f"FROM sys.dm_exec_describe_first_result_set({select}, NULL, 0) WHERE is_hidden = 0 ORDER BY column_ordinal"
    )


def column(name: str, kind: str, precision: int, scale: int) -> Column:
    """How a column is read: what connectorx would round is read as text."""
    kind = re.sub(r"\(.*", "", kind)
    if kind in _TYPES:
        return Column(name, _TYPES[kind], kind=kind)
    if kind in ("decimal", "numeric"):
        return Column(name, pa.decimal128(precision, scale), "CONVERT(VARCHAR(60), {})", kind=kind)
    if kind in ("money", "smallmoney"):
        return Column(name, pa.decimal128(19, 4), "CONVERT(VARCHAR(60), {}, 2)", kind=kind)
    if kind in ("timestamp", "rowversion"):
        return Column(name, pa.binary(), "CONVERT(VARBINARY(8), {})", kind=kind)
    return Column(name, pa.string(), "CONVERT(NVARCHAR(MAX), {})", kind=kind)


def url(server: Server, address: Address) -> str:
    """What connectorx connects by: the address that was looked at, but the name where that is to be found in the certificate."""
    host = server.host if server.sslmode == "verify-full" else f"[{address}]" if address.version == 6 else str(address)
    password = server.password.get_secret_value() if server.password is not None else ""
    believed = "" if server.sslmode.startswith("verify") else "&trust_server_certificate=true"
    ca = f"&trust_server_certificate_ca={quote(str(server.ca), safe='')}" if server.ca is not None else ""
    encrypted = "false" if server.sslmode == "disable" else f"true{believed}{ca}"
    login = f"{quote(server.user or '', safe='')}:{quote(password, safe='')}"
    return f"mssql://{login}@{host}:{server.port}/{quote(server.name, safe='')}?appname=headrace&encrypt={encrypted}"

"""Oracle, by connectorx, which needs Oracle's Instant Client on the machine.

Written from its documentation; not tested against a server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa

from headrace.connector.targets import Address
from headrace.errors import Fatal
from services.ingest.connectors.sql import literals
from services.ingest.connectors.sql.databases import Indexes, Session, Table, standard_quoted
from services.ingest.connectors.sql.foreign import ForeignDatabase, ForeignSession, asked
from services.ingest.connectors.sql.server import Server
from services.ingest.connectors.sql.statements import Column, Dialect

_STAYS: Final = frozenset([900, 904, 936, 942, 1017, 1031, 1045, 12505, 12514, 28000])
_AS_TEXT: Final = "TO_CHAR({}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')"


class OracleDialect:
    """See `statements.Dialect`."""

    compares_rows = False

    def quoted(self, name: str) -> str:
        """See `Dialect.quoted`."""
        return standard_quoted(name)

    def value(self, number: int, column: Column, value: Any) -> str:
        """See `Dialect.value`."""
        del number
        return literals.oracle(column.type, value, column.kind)

    def limited(self, select: str, rows: int) -> str:
        """See `Dialect.limited`."""
        return f"{select} FETCH FIRST {rows} ROWS ONLY"


@dataclass(frozen=True, slots=True)
class Oracle(ForeignDatabase):
    """A service of Oracle. See `databases.Database`."""

    @property
    def address(self) -> str:
        """See `Database.address`."""
        return f"oracle://{self.server.host}:{self.server.port}/{self.server.name}"

    @property
    def dialect(self) -> Dialect:
        """See `Database.dialect`."""
        return OracleDialect()

    @contextmanager
    def session(self, doing: str) -> Iterator[Session]:
        """See `Database.session`. Errors: Fatal where encryption is asked for, which connectorx does not offer."""
        if self.server.sslmode not in ("disable", "prefer"):
            raise Fatal(
                f"connections to Oracle are not encrypted: source.sslmode {self.server.sslmode} is not to be had"
            )
        with self.meaning(doing, _STAYS):
            yield OracleSession(url(self.server, self.server.resolved()))


class OracleSession(ForeignSession):
    """See `databases.Session`."""

    def columns(self, relation: str) -> list[Column]:
        """See `Session.columns`."""
        found = asked(self.url, f"SELECT * FROM {relation} WHERE 1 = 0")  # noqa: S608
        return [column(field.name, field.type) for field in found.schema]

    def tables(self) -> list[Table]:
        """See `Session.tables`."""
        sql = (
            "SELECT c.table_name, TO_CHAR(COUNT(*)), TO_CHAR(MAX(t.num_rows)), "
            "CASE WHEN MAX(t.table_name) IS NULL THEN 'view' ELSE 'table' END, USER FROM user_tab_columns c "
            "LEFT JOIN user_tables t ON t.table_name = c.table_name GROUP BY c.table_name ORDER BY 1"
        )
        return [
            Table(name, int(columns), None if rows is None else int(rows), kind, schema)
            for name, columns, rows, kind, schema in self.asked(sql)
        ]

    def indexes(self, table: str) -> Indexes:
        """See `Session.indexes`."""
        sql = (
            "SELECT c.column_name, NVL(k.constraint_type, '-'), TO_CHAR(c.column_position) FROM user_ind_columns c "  # noqa: S608
            "LEFT JOIN user_constraints k ON k.index_name = c.index_name AND k.constraint_type = 'P' "
            f"WHERE c.table_name = {literals.oracle(pa.string(), table)} ORDER BY c.index_name, c.column_position"
        )
        parts = self.asked(sql)
        key = [column for column, kind, _ in parts if kind == "P"]
        return Indexes(key, (), [column for column, _, position in parts if position == "1"])


def column(name: str, type: pa.DataType) -> Column:
    """How a column is read: numbers as text, as connectorx holds no NUMBER exactly."""
    if pa.types.is_integer(type):
        return Column(name, pa.decimal128(38, 0), _AS_TEXT, kind="number")
    if pa.types.is_floating(type) or pa.types.is_decimal(type):
        return Column(name, pa.string(), _AS_TEXT, kind="number")
    if pa.types.is_large_string(type):
        return Column(name, pa.string())
    if pa.types.is_large_binary(type):
        return Column(name, pa.binary())
    if pa.types.is_timestamp(type):
        return Column(name, pa.timestamp("us", "UTC" if type.tz else None))
    return Column(name, type)


def url(server: Server, address: Address) -> str:
    """What connectorx connects by: the address that was looked at."""
    host = f"[{address}]" if address.version == 6 else str(address)
    password = server.password.get_secret_value() if server.password is not None else ""
    login = f"{quote(server.user or '', safe='')}:{quote(password, safe='')}"
    return f"oracle://{login}@{host}:{server.port}/{quote(server.name, safe='')}"

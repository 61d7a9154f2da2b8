"""What is asked of MySQL beside Debezium. Its log is kept for a time, whoever has read it: there is nothing to drop."""

from typing import Any, Final
from urllib.parse import quote

import connectorx
import pyarrow as pa
from pydantic import SecretStr

from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.cdc.database import Log, Table
from services.ingest.connectors.cdc.settings import MysqlCdcSource
from services.ingest.connectors.cdc.shape import column

_DENIED: Final = ("ERROR 1044", "ERROR 1045", "ERROR 1049", "ERROR 1142", "ERROR 1143")


class Mysql:
    """One server. Errors of all: Transient, Fatal."""

    def __init__(self, source: MysqlCdcSource, address: str, password: SecretStr | None) -> None:
        self._source = source
        self._address = address
        self._password = password

    @property
    def log(self) -> Log | None:
        """See `Database.log`."""
        return None

    def table(self) -> Table | None:
        """See `Database.table`."""
        database, table = (part.replace("\\", "\\\\").replace("'", "''") for part in self._source.schema_and_table)
        rows = self._rows(
            "SELECT column_name AS name, column_type AS kind, CAST(numeric_precision AS SIGNED) AS digits, "  # noqa: S608
            "CAST(numeric_scale AS SIGNED) AS scale, column_key AS in_key FROM information_schema.columns "
            f"WHERE table_schema = '{database}' AND table_name = '{table}' ORDER BY ordinal_position"
        )
        if not rows:
            return None
        columns = pa.schema([_field(row) for row in rows])
        return Table(columns, [row["name"] for row in rows if row["in_key"] == "PRI"], whole_deletes=True)

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        source = self._source
        host = source.host if source.tls == "verified" else self._address
        password = f":{quote(self._password.get_secret_value(), safe='')}" if self._password is not None else ""
        uri = f"mysql://{quote(source.user, safe='')}{password}@{host}:{source.port}/information_schema"
        try:
            table: pa.Table = connectorx.read_sql(uri, sql, return_type="arrow")  # type: ignore[assignment]
        except BaseException as error:  # it panics
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise self._meant(error) from None  # what it says may have the address in it, and the password there
        return table.to_pylist()

    def _meant(self, error: BaseException) -> HeadraceError:
        said = " ".join(str(error).split())
        if self._password is not None:
            said = said.replace(self._password.get_secret_value(), "***")
        doing = f"asking mysql://{self._source.host}:{self._source.port}"
        if any(code in said for code in _DENIED) or "Access denied" in said:
            return Fatal(f"{doing}: {said}; correct the source of the dataset, or what the database allows its user")
        return Transient(f"{doing}: {said}")


_CONNECT: Final = {
    "tinyint": ("int16", ""),
    "smallint": ("int16", ""),
    "mediumint": ("int32", ""),
    "int": ("int32", ""),
    "bigint": ("int64", ""),
    "year": ("int32", ""),
    "float": ("float", ""),
    "double": ("double", ""),
    "date": ("int32", "io.debezium.time.Date"),
    "time": ("int64", "io.debezium.time.MicroTime"),
    "datetime": ("int64", "io.debezium.time.MicroTimestamp"),
    "timestamp": ("string", "io.debezium.time.ZonedTimestamp"),
    "json": ("string", "io.debezium.data.Json"),
    "binary": ("bytes", ""),
    "varbinary": ("bytes", ""),
    "tinyblob": ("bytes", ""),
    "blob": ("bytes", ""),
    "mediumblob": ("bytes", ""),
    "longblob": ("bytes", ""),
    "bit": ("string", ""),
}


def _field(row: dict[str, Any]) -> "pa.Field[pa.DataType]":
    """The column that Debezium's events will have."""
    name, kind = row["name"], str(row["kind"]).lower()
    word, unsigned = kind.partition("(")[0].partition(" ")[0], "unsigned" in kind
    if kind == "bit(1)":
        return pa.field(name, pa.bool_())
    if unsigned and word == "bigint":
        return pa.field(name, pa.decimal128(20, 0))
    if unsigned and word == "int":
        return pa.field(name, pa.int64())
    of, logical = _CONNECT.get(word, ("string", ""))
    travels: dict[str, object] = {"type": of, "name": logical, "field": name}
    if word == "decimal":
        sizes = {"type": "DECIMAL", "length": str(row["digits"]), "scale": str(row["scale"])}
        travels["parameters"] = {f"__debezium.source.column.{key}": value for key, value in sizes.items()}
    return pa.field(name, column(travels).type)

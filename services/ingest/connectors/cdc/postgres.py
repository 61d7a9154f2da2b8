"""What is asked of PostgreSQL beside Debezium: the table as it is, and the replication slot that holds the log for us."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import adbc_driver_postgresql.dbapi
import pyarrow as pa
from adbc_driver_manager import Error
from adbc_driver_manager.dbapi import Connection
from pydantic import SecretStr

from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.cdc.database import Log, Slot, Table
from services.ingest.connectors.cdc.settings import PostgresCdcSource
from services.ingest.connectors.cdc.shape import column

_LIBPQ_TLS: Final = {"off": "disable", "on": "require", "verified": "verify-full"}
_TABLE: Final = (
    "SELECT c.oid::bigint, c.relreplident::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'SELECT')"
)
_COLUMNS: Final = (
    "SELECT a.attname::text, t.typname::text, a.atttypmod, a.attndims::int "
    "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
    "WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)
_KEY: Final = (
    "SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(num, place) "
    "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num "
    "WHERE i.indrelid = $1::bigint::oid AND i.indisprimary ORDER BY k.place"
)
_NOW: Final = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END"


class Postgres:
    """One database, asked over a connection for each question: there are few. Errors of all: Transient, Fatal."""

    def __init__(self, source: PostgresCdcSource, address: str, password: SecretStr | None) -> None:
        self._source = source
        self._address = address
        self._password = password

    @property
    def log(self) -> Log:
        """See `Database.log`."""
        return self

    def table(self) -> Table | None:
        """See `Database.table`."""
        found = self._rows(_TABLE, *self._source.schema_and_table)
        if not found:
            return None
        ((oid, identity),) = found
        described = self._rows(_COLUMNS, oid)
        flat = [name for name, _, _, dimensions in described if dimensions > 1]
        cautions = [
            "" if identity == "f" else "Deleted rows come with their key alone, as REPLICA IDENTITY is not FULL.",
            f"Debezium does not carry arrays of several dimensions: {', '.join(flat)}." if flat else "",
        ]
        return Table(
            pa.schema([_field(name, kind, modifier) for name, kind, modifier, _ in described]),
            [name for (name,) in self._rows(_KEY, oid)],
            identity == "f",
            " ".join(filter(None, cautions)),
        )

    def logging(self) -> None:
        """See `Database.logging`."""

    def behind(self, offset: Mapping[str, Any]) -> None:
        """See `Database.behind`."""

    def slot(self, name: str) -> Slot | None:
        """See `Log.slot`."""
        found = self._rows(
            "SELECT active, coalesce(wal_status = 'lost', false), "  # noqa: S608  # the one piece is ours
            f"coalesce(pg_wal_lsn_diff({_NOW}, confirmed_flush_lsn), 0)::bigint "
            "FROM pg_replication_slots WHERE slot_name = $1",
            name,
        )
        return Slot(*found[0]) if found else None

    def published(self, name: str) -> bool:
        """See `Log.published`."""
        return bool(self._rows("SELECT 1 FROM pg_publication WHERE pubname = $1", name))

    def drop(self, slot: str) -> None:
        """See `Log.drop`. A slot of this name in another database is none of ours."""
        self._rows(
            "SELECT pg_drop_replication_slot(slot_name)::text FROM pg_replication_slots "
            "WHERE slot_name = $1 AND slot_type = 'logical' AND database = current_database()",
            slot,
        )

    def unpublish(self, name: str) -> None:
        """See `Log.unpublish`."""
        self._rows(f'DROP PUBLICATION IF EXISTS "{name}"')

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._connected() as connection, connection.cursor() as cursor:
            cursor.execute(sql, list(values) or None)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            connection = adbc_driver_postgresql.dbapi.connect(self._uri(), autocommit=True)
            try:
                yield connection
            finally:
                connection.close()
        except Error as error:
            raise self._meant(error) from error

    def _uri(self) -> str:
        source = self._source
        password = f":{quote(self._password.get_secret_value(), safe='')}" if self._password is not None else ""
        where = f"{quote(source.host, safe='')}:{source.port}/{quote(source.name, safe='')}"
        options = (
            f"hostaddr={self._address}&sslmode={_LIBPQ_TLS[source.tls]}&application_name=headrace&connect_timeout=10"
        )
        return f"postgresql://{quote(source.user, safe='')}{password}@{where}?{options}"

    def _meant(self, error: Error) -> HeadraceError:
        said = " ".join(str(error).split())
        doing = f"asking postgresql://{self._source.host}:{self._source.port}/{self._source.name}"
        if (error.sqlstate or "")[:2] in ("28", "3D", "42") or "password authentication failed" in said:
            return Fatal(f"{doing}: {said}; correct the source of the dataset, or what the database allows its user")
        if "does not exist" in said and "FATAL" in said:
            return Fatal(f"{doing}: {said}; correct the source of the dataset")
        return Transient(f"{doing}: {said}")


_CONNECT: Final = {
    "int2": ("int16", ""),
    "int4": ("int32", ""),
    "int8": ("int64", ""),
    "oid": ("int64", ""),
    "float4": ("float", ""),
    "float8": ("double", ""),
    "bool": ("boolean", ""),
    "bytea": ("bytes", ""),
    "date": ("int32", "io.debezium.time.Date"),
    "time": ("int64", "io.debezium.time.MicroTime"),
    "timestamp": ("int64", "io.debezium.time.MicroTimestamp"),
    "timestamptz": ("string", "io.debezium.time.ZonedTimestamp"),
    "json": ("string", "io.debezium.data.Json"),
    "jsonb": ("string", "io.debezium.data.Json"),
    "hstore": ("string", "io.debezium.data.Json"),
    "uuid": ("string", "io.debezium.data.Uuid"),
    "point": ("struct", ""),
    "geometry": ("struct", ""),
    "geography": ("struct", ""),
}


def _field(name: str, kind: str, modifier: int) -> "pa.Field[pa.DataType]":
    """The column that Debezium's events will have: the type is looked up as it travels."""
    if kind == "bit" and modifier == 1:
        return pa.field(name, pa.bool_())
    of, logical = _CONNECT.get(kind.removeprefix("_"), ("string", ""))
    travels: dict[str, object] = {"type": of, "name": logical}
    if kind.startswith("_"):
        travels = {"type": "array", "items": travels}
    if kind.removeprefix("_") == "numeric" and modifier >= 4:
        digits, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
        sizes = {"type": "NUMERIC", "length": str(digits), "scale": str(scale)}
        travels["parameters"] = {f"__debezium.source.column.{key}": value for key, value in sizes.items()}
    return pa.field(name, column({**travels, "field": name}).type)

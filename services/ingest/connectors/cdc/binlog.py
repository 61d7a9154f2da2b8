"""What is asked of MySQL and MariaDB beside Debezium. Their log is kept for a time, whoever has read it: nothing is dropped."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from pydantic import SecretStr

from headrace.connector import Step, Targets
from headrace.errors import Fatal
from services.ingest.connectors.cdc.database import Log, Table
from services.ingest.connectors.cdc.settings import BinlogCdcSource, MariadbCdcSource
from services.ingest.connectors.cdc.shape import column
from services.ingest.connectors.sql import literals
from services.ingest.connectors.sql.databases import Session
from services.ingest.connectors.sql.mysql import MySql
from services.ingest.connectors.sql.server import Server

_SSL: Final[Mapping[str, Any]] = {"off": "disable", "on": "require", "verified": "verify-full"}
_COLUMNS: Final = (
    "SELECT column_name, column_type, numeric_precision, numeric_scale, is_nullable, column_default, column_key "
    "FROM information_schema.columns WHERE table_schema = {database} AND table_name = {table} ORDER BY ordinal_position"
)
_VARIABLES: Final = (
    "SHOW GLOBAL VARIABLES WHERE variable_name IN ('version', 'log_bin', 'binlog_format', 'binlog_row_image', "
    "'expire_logs_days', 'binlog_expire_logs_seconds', 'log_bin_compress', 'log_slave_updates', "
    "'gtid_binlog_pos')"
)
_STATUS: Final = "SHOW GLOBAL STATUS WHERE variable_name = 'Slaves_running'"
#: Types that Debezium does not know: it cannot read the definition of a table that has one.
_UNKNOWN: Final = ("inet4", "inet6", "xmltype")
_LEAST_KEPT_S: Final = 86_400
_DAY_S: Final = 86_400
#: What a user needs to be allowed on all databases: one of the names for it will do.
_NEEDED: Final = (
    ("REPLICATION SLAVE",),
    ("REPLICATION CLIENT", "BINLOG MONITOR", "SUPER"),
    ("RELOAD", "LOCK TABLES"),
)


class Binlog:
    """One server. Errors of all: Transient, Fatal."""

    def __init__(self, source: BinlogCdcSource, password: SecretStr | None, targets: Targets) -> None:
        self._source = source
        self._server = MySql(
            Server(
                host=source.host,
                port=source.port,
                name="information_schema",
                user=source.user,
                password=password,
                sslmode=_SSL[source.tls],
                targets=targets,
            )
        )

    @property
    def log(self) -> Log | None:
        """See `Database.log`."""
        return None

    def table(self) -> Table | None:
        """See `Database.table`."""
        database, table = (literals.mysql(pa.string(), part) for part in self._source.schema_and_table)
        rows = self._asked(_COLUMNS.format(database=database, table=table))
        if not rows:
            return None
        of_mariadb = isinstance(self._source, MariadbCdcSource)
        columns = pa.schema([_field(name, kind, digits, scale, of_mariadb) for name, kind, digits, scale, *_ in rows])
        key = [name for name, *_, in_key in rows if in_key == "PRI"]
        if not isinstance(self._source, MariadbCdcSource):
            return Table(columns, key, whole_deletes=True)
        caution = ""
        if self._source.zero_dates and (names := dated(rows)):
            caution = (
                f"Rows with the default of {', '.join(names)} are quarantined, as Debezium makes that of 0000-00-00: "
                "set source.zero_dates to false where there is no such date."
            )
        return Table(columns, key, whole_deletes=True, caution=caution, unknown=unknown(rows))

    def logging(self) -> Step | None:
        """See `Database.logging`."""
        with self._server.session("asking") as session:
            found = _variables(session)
            granted = [line for (line,) in session.asked("SHOW GRANTS")]
        for said, field, remedy in faults(self._source.type, self._source.user, found, granted):
            return Step("log", False, said, field, remedy)
        kept = _kept_s(found)
        return Step(
            "log",
            True,
            f"{found['version']} logs whole rows and keeps them "
            + ("for ever" if not kept else f"for {kept / _DAY_S:g} days"),
        )

    def behind(self, offset: Mapping[str, Any]) -> int | None:
        """See `Database.behind`."""
        with self._server.session("asking") as session:
            variables = _variables(session)
            logs = session.asked("SHOW BINARY LOGS")
        if said := passed_over(variables):
            again = f"correct it, and set source.snapshot to {self._source.snapshot + 1} to have every row read again"
            raise Fatal(f"{said}; {again}")
        written = variables.get("gtid_binlog_pos", "")
        return behind([(name, int(size)) for name, size, *_ in logs], offset, written)

    def _asked(self, sql: str) -> list[tuple[Any, ...]]:
        with self._server.session("asking") as session:
            return session.asked(sql)


def _variables(session: Session) -> dict[str, str]:
    return {name.lower(): str(value) for sql in (_VARIABLES, _STATUS) for name, value in session.asked(sql)}


def unknown(columns: Iterable[Sequence[Any]]) -> list[str]:
    """The columns, given as (name, type, ...), of which Debezium does not know the type."""
    return [name for name, kind, *_ in columns if str(kind).lower().startswith(_UNKNOWN)]


def dated(columns: Iterable[Sequence[Any]]) -> list[str]:
    """The columns, given as (name, type, ..., is_nullable, default, key), whose default Debezium takes for a zero date."""
    return [
        name
        for name, kind, *_, nullable, default, _ in columns
        if str(kind).lower().startswith(("date", "timestamp"))
        and nullable == "NO"
        and re.match(r"'[1-9]", default or "")
    ]


def behind(logs: Iterable[tuple[str, int]], offset: Mapping[str, Any], written: str) -> int | None:
    """How many bytes of log are behind an offset; None when its file is not there.

    `logs`: names and sizes, in their order. `written`: the last transactions in them, if the server numbers them: Debezium
    notes the start of the file until something happens that it has not read.
    """
    if written and set(written.split(",")) == set(str(offset.get("gtids", "")).split(",")):
        return 0
    sizes = dict(logs)
    names = list(sizes)
    if (file := offset.get("file")) not in sizes:
        return None
    return sum(sizes[name] for name in names[names.index(file) :]) - int(offset.get("pos", 0))


def faults(kind: str, user: str, variables: Mapping[str, str], grants: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """What a server lacks: what it is, the setting at fault, and what to do, the most basic first."""
    is_mariadb = "mariadb" in variables["version"].lower()
    if is_mariadb != (kind == "mariadb_cdc"):
        other = "mariadb_cdc" if is_mariadb else "mysql_cdc"
        yield f"the server is {variables['version']}", "source.type", f"set source.type to {other}"
    if variables["log_bin"] != "ON":
        yield "the server writes no binary log", "source.host", "start it with log_bin and a server_id"
    for name, wanted in (("binlog_format", "ROW"), ("binlog_row_image", "FULL")):
        if (has := variables.get(name, wanted)) != wanted:
            yield (
                f"{name} is {has}",
                "source.host",
                f"set {name} = {wanted} in the server's configuration, and begin new sessions",
            )
    if said := passed_over(variables):
        yield (
            said,
            "source.host",
            "set log_bin_compress = OFF, or log_slave_updates = ON, in the server's configuration",
        )
    kept = _kept_s(variables)
    if kept and kept < _LEAST_KEPT_S:
        said = f"the server keeps its log for {kept:g} s: an outage that lasts longer would lose changes"
        yield said, "source.host", "set binlog_expire_logs_seconds (or expire_logs_days) to a day at the least"
    if missing := missing_grants(grants):
        said = f"the user {user} lacks {', '.join(missing)}"
        yield said, "source.user", f"GRANT {', '.join(missing)} ON *.* TO '{user}'@'%' (with the user's own host part)"


def passed_over(variables: Mapping[str, str]) -> str | None:
    """Why changes would be missed without a word from Debezium; None when none would be."""
    if variables.get("log_bin_compress") == "ON":
        return "log_bin_compress is ON: Debezium passes over what is compressed in the log"
    if variables.get("slaves_running", "0") != "0" and variables.get("log_slave_updates") == "OFF":
        return "the server is a replica that does not log what it is sent (log_slave_updates is OFF)"
    return None


def missing_grants(grants: Iterable[str]) -> list[str]:
    """What a user lacks, given what SHOW GRANTS says."""
    everywhere = [line.partition(" ON *.* ")[0].removeprefix("GRANT ") for line in grants if " ON *.* " in line]
    has = {privilege.strip() for line in everywhere for privilege in line.split(",")}
    return [names[0] for names in _NEEDED if not has & {"ALL PRIVILEGES", *names}]


def _kept_s(variables: Mapping[str, str]) -> float:
    """For how many seconds the log is kept; 0 for ever."""
    return float(variables.get("binlog_expire_logs_seconds") or 0) or _DAY_S * float(
        variables.get("expire_logs_days") or 0
    )


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
    **dict.fromkeys(
        [
            *("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"),
            *("geometrycollection", "geomcollection"),
        ],
        ("struct", ""),
    ),
    "binary": ("bytes", ""),
    "varbinary": ("bytes", ""),
    "tinyblob": ("bytes", ""),
    "blob": ("bytes", ""),
    "mediumblob": ("bytes", ""),
    "longblob": ("bytes", ""),
}


def _field(name: str, kind: str, digits: int | None, scale: int | None, of_mariadb: bool) -> "pa.Field[pa.DataType]":
    """The column that Debezium's events will have."""
    kind = kind.lower()
    word, unsigned = kind.partition("(")[0].partition(" ")[0], "unsigned" in kind
    if kind == "bit(1)":
        return pa.field(name, pa.bool_())
    if word == "bit":
        return pa.field(name, pa.uint64() if of_mariadb else pa.string())
    if unsigned and word == "bigint":
        return pa.field(name, pa.decimal128(20, 0))
    if unsigned and word == "int":
        return pa.field(name, pa.int64())
    of, logical = _CONNECT.get(word, ("string", ""))
    travels: dict[str, object] = {"type": of, "name": logical, "field": name}
    if of_mariadb and word == "time":
        return pa.field(name, pa.string())
    if word == "decimal":
        sizes = {"type": "DECIMAL", "length": str(digits), "scale": str(scale)}
        travels["parameters"] = {f"__debezium.source.column.{key}": value for key, value in sizes.items()}
    return pa.field(name, column(travels).type)

"""PostgreSQL, by ADBC."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import adbc_driver_postgresql.dbapi
import pyarrow as pa
from adbc_driver_manager import Error

from headrace.connector import Step
from headrace.errors import Fatal, Transient
from services.ingest.connectors.sql.adbc import AdbcSession, failures
from services.ingest.connectors.sql.databases import Indexes, Session, Table, bounded, standard_quoted
from services.ingest.connectors.sql.server import CONNECT_S, Blame, Server, refused
from services.ingest.connectors.sql.statements import Column, Dialect

_MOST_DIGITS: Final = 38  # of a decimal
_KINDS: Final = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
}


class PostgreSqlDialect:
    """See `statements.Dialect`."""

    compares_rows = True

    def quoted(self, name: str) -> str:
        """See `Dialect.quoted`."""
        return standard_quoted(name)

    def value(self, number: int, column: Column, value: Any) -> str:
        """See `Dialect.value`."""
        del value
        return f"CAST(${number} AS {column.kind})"

    def limited(self, select: str, rows: int) -> str:
        """See `Dialect.limited`."""
        return f"{select} LIMIT {rows}"


@dataclass(frozen=True, slots=True)
class PostgreSql:
    """A PostgreSQL database. See `databases.Database`."""

    server: Server

    @property
    def address(self) -> str:
        """See `Database.address`."""
        return f"postgresql://{self.server.host}:{self.server.port}/{self.server.name}"

    @property
    def dialect(self) -> Dialect:
        """See `Database.dialect`."""
        return PostgreSqlDialect()

    def reached(self) -> Iterator[Step]:
        """See `Database.reached`."""
        for step in self.server.found():
            yield step
            if not step.ok:
                return
        try:
            with self._connected() as session:
                yield Step("tls", True, session.encryption())
                [(user, version)] = session.asked("SELECT current_user::text, current_setting('server_version')")
                yield Step("authenticate", True, f"PostgreSQL {version} lets {user} in")
        except Error as error:
            said = bounded(self.server.hidden(str(error)))
            yield from refused(blamed(said), said)
        except (Fatal, Transient) as error:
            yield Step("connect", False, str(error), "source.host")

    @contextmanager
    def session(self, doing: str) -> Iterator[Session]:
        """See `Database.session`."""
        with failures(f"{doing} {self.address}", self.server.hidden), self._connected() as session:
            yield session

    def overseen(self) -> Step:
        """See `Database.overseen`. What a standby shows are not the transactions of its primary."""
        with self.session("looking at") as session:
            [(standby,)] = session.asked("SELECT pg_is_in_recovery()")
        if standby:
            said = "this is a standby: which transactions are open on its primary is not to be seen here"
            return Step("transactions", False, said, "source.host", "read from the primary, or set source.lag_s")
        return Step("transactions", True, "the open transactions of all users are to be seen")

    @contextmanager
    def _connected(self) -> Iterator["PostgreSqlSession"]:
        """A session. Errors: those of ADBC; Fatal and Transient when the host may not be reached or is not found."""
        with adbc_driver_postgresql.dbapi.connect(conninfo(self.server), autocommit=True) as connection:
            yield PostgreSqlSession(connection)


class PostgreSqlSession(AdbcSession):
    """See `databases.Session`."""

    def columns(self, relation: str) -> list[Column]:
        """See `Session.columns`: what Arrow has no type for is read as text."""
        return [
            Column(
                field.name, field.type, "{}::text" if _foreign(field) else "{}", kind=standard_quoted(_type_name(field))
            )
            for field in self.schema(relation)
        ]

    def encryption(self) -> str:
        """How this connection is protected."""
        [(on, version, cipher)] = self.asked(
            "SELECT ssl, version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() "
            "UNION ALL SELECT false, NULL, NULL LIMIT 1"
        )
        return f"{version}, {cipher}" if on else "the connection is not encrypted"

    def open_transactions(self) -> frozenset[str]:
        """See `Session.open_transactions`. Every transaction holds a lock on its own virtual id, for all to see.

        Those without a user are the server's own, such as a vacuum, and write no rows.
        """
        sql = (
            "SELECT l.virtualxid FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'virtualxid' "
            "AND l.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL AND a.datname = current_database() "
            "UNION ALL SELECT transaction::text FROM pg_prepared_xacts WHERE database = current_database()"
        )
        return frozenset(str(id) for (id,) in self.asked(sql))

    def tables(self) -> list[Table]:
        """See `Session.tables`."""
        sql = """
            SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text ELSE n.nspname || '.' || c.relname END,
                   (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
                   c.reltuples::bigint, c.relkind::text, n.nspname::text
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
              AND n.nspname NOT LIKE 'pg\\_temp\\_%' AND has_schema_privilege(n.oid, 'USAGE')
              AND has_table_privilege(c.oid, 'SELECT')
            ORDER BY 1"""
        return [
            Table(name, columns, rows if rows >= 0 else None, _KINDS[kind], schema)
            for name, columns, rows, kind, schema in self.asked(sql)
        ]

    def indexes(self, table: str) -> Indexes:
        """See `Session.indexes`."""
        of = ".".join(map(standard_quoted, table.split(".")))
        key = """
            SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, at)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
            WHERE i.indrelid = to_regclass($1) AND i.indisprimary ORDER BY k.at"""
        numbered = """
            SELECT a.attname::text FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = to_regclass($1) AND a.attnum > 0
              AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%')"""
        indexed = """
            SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = to_regclass($1) AND i.indpred IS NULL"""
        decimals = """
            SELECT attname::text, (atttypmod - 4) >> 16, (atttypmod - 4) & 65535 FROM pg_attribute
            WHERE attrelid = to_regclass($1) AND attnum > 0 AND atttypid = 'numeric'::regtype AND atttypmod >= 4"""
        digits = {name: (precision, scale) for name, precision, scale in self.asked(decimals, [of])}
        fitting = {name: (most, behind) for name, (most, behind) in digits.items() if behind <= most <= _MOST_DIGITS}
        first, second, third = ([name for (name,) in self.asked(sql, [of])] for sql in (key, numbered, indexed))
        return Indexes(first, second, third, fitting)


def conninfo(server: Server) -> str:
    """What libpq connects by: to the address that was looked at, with the host's name only to be found in a certificate.

    Errors: Transient when the host is not found; Fatal when it may not be reached.
    """
    settings = {
        "host": server.host,
        "hostaddr": str(server.resolved()),
        "port": str(server.port),
        "dbname": server.name,
        "user": server.user,
        "password": server.password.get_secret_value() if server.password is not None else None,
        "sslmode": server.sslmode,
        "sslrootcert": str(server.ca) if server.ca else "system" if server.sslmode == "verify-full" else None,
        "application_name": "headrace",
        "connect_timeout": str(CONNECT_S),
    }
    return " ".join(f"{name}={_quoted_setting(value)}" for name, value in settings.items() if value is not None)


def blamed(said: str) -> Blame:
    """Which setting a refused login is about, by the words of libpq and the server."""
    if ("SSL" in said and "no pg_hba.conf entry" not in said) or "certificate" in said:
        remedy = "choose a sslmode that the server can, or name the file of its authority in source.ca"
        return Blame("tls", "source.ca" if "certificate" in said else "source.sslmode", remedy)
    if "does not exist" in said and "database" in said and "role" not in said:
        return Blame("authenticate", "source.name", "name a database of this server")
    if "password" in said and "role" not in said:
        return Blame("authenticate", "source.password", "set the secret it names to the password of this user")
    if "role" in said or "no pg_hba.conf entry" in said or "not permitted" in said or "permission denied" in said:
        return Blame("authenticate", "source.user", "name a user who may log in from here, or allow it in pg_hba.conf")
    return Blame("authenticate", "source.host", "see what the server's log says")


def _quoted_setting(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _foreign(field: pa.Field) -> bool:
    name = _type_name(field)
    opaque = isinstance(field.type, pa.OpaqueType) and name not in ("numeric", "json", "jsonb")
    return opaque or name in ("money", "interval")


def _type_name(field: pa.Field) -> str:
    metadata = field.metadata or {}
    return (metadata.get(b"ADBC:postgresql:typname") or metadata.get(b"POSTGRESQL:type") or b"text").decode()

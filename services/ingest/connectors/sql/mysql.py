"""MySQL and MariaDB: described and watched on a connection of PyMySQL's, read by connectorx.

connectorx tries a login that was refused for half a minute, and does not tell a TIMESTAMP from a DATETIME: it is only asked
for rows.
"""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from headrace.connector import Step
from headrace.connector.targets import Address
from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.sql import foreign, literals
from services.ingest.connectors.sql.databases import Indexes, Session, Table, bounded
from services.ingest.connectors.sql.foreign import Refused
from services.ingest.connectors.sql.mysql_types import Described, column
from services.ingest.connectors.sql.places import Place
from services.ingest.connectors.sql.server import CONNECT_S, Blame, Server, refused
from services.ingest.connectors.sql.statements import Column, Dialect, Reading

_UTC: Final = "SET time_zone = '+00:00'"
_FRESH_S: Final = 10.0
_STAYS: Final = frozenset(
    [1044, 1045, 1049, 1054, 1064, 1142, 1143, 1146, 1227, 1251, 1356, 1370, 1698, 1820, 2026, 3118, 3159, 4151]
)
"""Errors that waiting does not mend: who may not log in or read, what is not there, what is no SQL."""
_NOT_ALLOWED: Final = frozenset([1044, 1142, 1143, 1227, 1370])


class MySqlDialect:
    """See `statements.Dialect`."""

    compares_rows = False

    def quoted(self, name: str) -> str:
        """See `Dialect.quoted`."""
        return "`" + name.replace("`", "``") + "`"

    def value(self, number: int, column: Column, value: Any) -> str:
        """See `Dialect.value`."""
        del number
        return literals.mysql(column.type, value)

    def limited(self, select: str, rows: int) -> str:
        """See `Dialect.limited`."""
        return f"{select} LIMIT {rows}"


@dataclass(frozen=True, slots=True)
class MySql:
    """A database of MySQL or MariaDB. See `databases.Database`."""

    server: Server

    @property
    def address(self) -> str:
        """See `Database.address`."""
        return f"mysql://{self.server.host}:{self.server.port}/{self.server.name}"

    @property
    def dialect(self) -> Dialect:
        """See `Database.dialect`."""
        return MySqlDialect()

    def reached(self) -> Iterator[Step]:
        """See `Database.reached`."""
        for step in self.server.found():
            yield step
            if not step.ok:
                return
        try:
            session = MySqlSession(self.server)
        except (pymysql.Error, OSError) as error:
            said = bounded(self.server.hidden(_said(error)))
            yield from refused(blamed(error, said), said)
            return
        with session:
            yield Step("tls", True, session.encryption())
            [(user, version)] = session.asked("SELECT CURRENT_USER(), VERSION()")
            yield Step("authenticate", True, f"{version} lets {user} in")

    @contextmanager
    def session(self, doing: str) -> Iterator[Session]:
        """See `Database.session`."""
        try:
            with MySqlSession(self.server) as session:
                yield session
        except (pymysql.Error, OSError, Refused) as error:
            said = bounded(self.server.hidden(_said(error)))
            raise meant(error, said, f"{doing} {self.address}") from None

    def overseen(self) -> Step:
        """See `Database.overseen`."""
        try:
            with MySqlSession(self.server) as session:
                session.open_transactions()
        except (pymysql.Error, OSError) as error:
            said = bounded(self.server.hidden(_said(error)))
            if _code(error) not in _NOT_ALLOWED:
                raise meant(error, said, f"looking at {self.address}") from None
            user = (self.server.user or "").replace("'", "''")
            remedy = f"run GRANT PROCESS ON *.* TO '{user}'@'%' (with the user's own host part), or set source.lag_s"
            return Step("transactions", False, said, "source.user", remedy)
        return Step("transactions", True, "the open transactions of all users are to be seen")


@dataclass(slots=True)
class MySqlSession:
    """See `databases.Session`. Errors: those of PyMySQL, OSError, Refused; while it connects: Fatal, Transient."""

    server: Server
    _connection: "Connection[Cursor]" = field(init=False)
    _url: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        address = self.server.resolved()
        self._connection = _connected(self.server, address)
        self._url = url(self.server, address, encrypted=bool(self._cipher()[0]))

    def __enter__(self) -> "MySqlSession":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def asked(self, sql: str, values: tuple[Any, ...] | None = None) -> list[tuple[Any, ...]]:
        """See `Session.asked`."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values)
            return [tuple(row) for row in cursor.fetchall()]

    def encryption(self) -> str:
        """How this connection is protected."""
        cipher, version = self._cipher()
        return f"{version}, {cipher}" if cipher else "the connection is not encrypted"

    def columns(self, relation: str) -> list[Column]:
        """See `Session.columns`."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {relation} LIMIT 0")  # noqa: S608
            result: Any = vars(cursor)["_result"]  # the only place where it keeps what the protocol said
            return [
                column(Described(of.name, of.type_code, of.flags, of.charsetnr, of.length, of.scale))
                for of in result.fields
            ]

    def last(self, reading: Reading) -> pa.RecordBatch | None:
        """See `Session.last`."""
        found = foreign.typed(self._rows(reading.last()), [reading.column(name) for name in reading.order])
        return found if found.num_rows else None

    def rows(self, reading: Reading, after: Place | None, until: Place | None) -> Iterator[pa.RecordBatch]:
        """See `Session.rows`."""
        return foreign.paged(reading, after, until, self._rows)

    def open_transactions(self) -> frozenset[str]:
        """See `Session.open_transactions`.

        A statement that has begun may have its `NOW()` before InnoDB knows of it: those that run are taken first, then the
        transactions. InnoDB shows a copy of its list that may be old: it is asked until a transaction begun here is in it.
        """
        running = self.asked(
            "SELECT ID, FLOOR(UNIX_TIMESTAMP(SYSDATE(6)) - TIME) FROM information_schema.PROCESSLIST "
            "WHERE COMMAND IN ('Query', 'Execute') AND ID <> CONNECTION_ID()"
        )
        self.asked("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self.asked("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        try:
            [(own,)] = self.asked("SELECT CONNECTION_ID()")
            open = self._listed(own)
        finally:
            self.asked("ROLLBACK")
        # When a statement began is known to a second or two: it is the same one when the labels of two looks meet.
        begun = {f"{id} at {int(start) + about}" for id, start in running for about in (-1, 0, 1)}
        return frozenset(begun | {f"{id} since {start}" for id, start in open if id != own})

    def tables(self) -> list[Table]:
        """See `Session.tables`."""
        sql = (
            "SELECT t.TABLE_NAME, count(*), t.TABLE_ROWS, t.TABLE_TYPE, t.TABLE_SCHEMA FROM information_schema.TABLES AS t "
            "JOIN information_schema.COLUMNS AS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME "
            "WHERE t.TABLE_SCHEMA = DATABASE() GROUP BY t.TABLE_NAME, t.TABLE_ROWS, t.TABLE_TYPE, t.TABLE_SCHEMA ORDER BY 1"
        )
        return [
            Table(
                name, int(columns), None if rows is None else int(rows), "view" if "VIEW" in kind else "table", schema
            )
            for name, columns, rows, kind, schema in self.asked(sql)
        ]

    def indexes(self, table: str) -> Indexes:
        """See `Session.indexes`."""
        name, _, schema = table[::-1].partition(".")
        where = "WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s"
        of = (schema[::-1] or None, name[::-1])
        parts = self.asked(
            f"SELECT INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME FROM information_schema.STATISTICS {where} ORDER BY 1, 2",  # noqa: S608
            of,
        )
        numbered = self.asked(
            f"SELECT COLUMN_NAME FROM information_schema.COLUMNS {where} AND EXTRA LIKE '%%auto_increment%%'",  # noqa: S608
            of,
        )
        return Indexes(
            [column for index, _, column in parts if index == "PRIMARY"],
            [column for (column,) in numbered],
            [column for _, number, column in parts if number == 1],
        )

    def _rows(self, sql: str) -> pa.Table:
        """The rows of a statement, by connectorx. A server that is gone is noticed here, where it is not waited for."""
        self._connection.ping(reconnect=False)
        return foreign.asked(self._url, sql, _UTC)

    def _listed(self, own: int) -> list[tuple[int, Any]]:
        deadline = time.monotonic() + _FRESH_S
        while True:
            open = self.asked("SELECT trx_mysql_thread_id, trx_started FROM information_schema.INNODB_TRX")
            if any(id == own for id, _ in open):
                return [(int(id), start) for id, start in open]
            if time.monotonic() > deadline:
                raise Transient(
                    "InnoDB does not bring its list of open transactions up to date: others ask for it all the time"
                )
            time.sleep(0.12)  # it makes a new copy when nobody has asked for a tenth of a second

    def _cipher(self) -> tuple[str, str]:
        found = dict(self.asked("SHOW SESSION STATUS WHERE Variable_name IN ('Ssl_cipher', 'Ssl_version')"))
        return found.get("Ssl_cipher", ""), found.get("Ssl_version", "")


def url(server: Server, address: Address, encrypted: bool) -> str:
    """What connectorx connects by: the address that was looked at, but the name where that is to be found in the certificate."""
    host = server.host if server.sslmode == "verify-full" else f"[{address}]" if address.version == 6 else str(address)
    modes = {"verify-ca": "VERIFY_CA", "verify-full": "VERIFY_IDENTITY"}
    mode = modes.get(server.sslmode, "REQUIRED") if encrypted else "DISABLED"
    ca = f"&ssl-ca={quote(str(server.ca), safe='')}" if server.ca is not None and encrypted else ""
    password = server.password.get_secret_value() if server.password is not None else ""
    login = f"{quote(server.user or '', safe='')}:{quote(password, safe='')}"
    where = f"{host}:{server.port}/{quote(server.name, safe='')}"
    return f"mysql://{login}@{where}?prefer_socket=false&ssl-mode={mode}{ca}"


def blamed(error: Exception, said: str) -> Blame:
    """Which setting a refused login is about, by the number of the error."""
    code = _code(error)
    if code == 1049:
        return Blame("authenticate", "source.name", "name a database of this server")
    if code == 1044:
        return Blame("authenticate", "source.name", "let the user use this database: GRANT SELECT ON it")
    if code in (1045, 1698):
        remedy = "set the secret it names to the password of this user, whom the server lets in from this host"
        return Blame("authenticate", "source.password", remedy)
    if isinstance(error, ssl.SSLError) or "SSL" in said or "certificate" in said:
        about = "source.ca" if "certificate" in said else "source.sslmode"
        return Blame(
            "tls", about, "choose a sslmode that the server can, or name the file of its authority in source.ca"
        )
    return Blame("authenticate", "source.user", "see what the server's log says")


def _connected(server: Server, address: Address) -> "Connection[Cursor]":
    """A connection to that very address. Errors: those of PyMySQL, OSError."""
    password = server.password.get_secret_value() if server.password is not None else ""
    connection = Connection(
        host=server.host,
        port=server.port,
        user=server.user or "",
        password=password,
        database=server.name,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=CONNECT_S,
        init_command=_UTC,
        program_name="headrace",
        defer_connect=True,
        **_tls(server),
    )
    connection.connect(socket.create_connection((str(address), server.port), CONNECT_S))
    return connection


def _tls(server: Server) -> dict[str, Any]:
    if server.sslmode == "disable":
        return {"ssl_disabled": True}
    if server.sslmode == "prefer":
        return {}  # it encrypts where the server can
    context = ssl.create_default_context(cafile=str(server.ca) if server.ca else None)
    context.check_hostname = server.sslmode == "verify-full"
    if server.sslmode == "require":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def _code(error: Exception) -> int | None:
    if isinstance(error, Refused):
        return error.code
    return error.args[0] if isinstance(error, pymysql.Error) and error.args and isinstance(error.args[0], int) else None


def _said(error: Exception) -> str:
    return str(error.args[1]) if isinstance(error, pymysql.Error) and len(error.args) > 1 else str(error)


def meant(error: Exception, said: str, doing: str) -> HeadraceError:
    """What an error means for whoever waits: Fatal when asking again cannot help, else Transient."""
    unreadable = isinstance(error, Refused) and said.startswith(foreign.UNREADABLE)
    if _code(error) in _STAYS or unreadable or "certificate" in said:
        return Fatal(f"{doing}: {said}; correct the source of the dataset, or what the database allows its user")
    return Transient(f"{doing}: {said}")

"""Asks the warehouse, as an account that can only read."""

import re
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from urllib3.exceptions import HTTPError

from headrace.errors import HeadraceError, Transient
from services.gateway.core.json_values import json_value

_CONNECT_S: Final = 3
_PIECE_BYTES: Final = 1 << 20
_TAG: Final = "X-ClickHouse-Exception-Tag"
_LATE: Final = "__exception__"
_PARAMETER: Final = re.compile(r"\{\w+:[^}]+\}")
_NO_TABLE: Final = frozenset({60, 81})  # UNKNOWN_TABLE, UNKNOWN_DATABASE


class QueryError(HeadraceError):
    """The engine refused a query or gave up on it. `code` is ClickHouse's."""

    def __init__(self, message: str, code: int | None) -> None:
        super().__init__(message)
        self.code = code

    @property
    def no_table(self) -> bool:
        """Whether the query names a table that does not exist."""
        return self.code in _NO_TABLE


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, as JSON has them (`services.gateway.core.json_values`)."""

    columns: list[tuple[str, str]]
    rows: list[list[Any]]
    truncated: bool
    elapsed_ms: float

    def records(self) -> list[dict[str, Any]]:
        """The rows with the names of their columns."""
        names = [name for name, _ in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


class Warehouse:
    """A client that connects when it is first asked, and again after the warehouse was away."""

    def __init__(self, url: str, user: str, password: str, timeout_s: int) -> None:
        self.url = url
        self._user = user
        self._password = password
        self._timeout_s = timeout_s
        self._turn = threading.Lock()
        self._client: Client | None = None

    def query(
        self,
        sql: str,
        limit: int,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, int] | None = None,
        needed: Mapping[str, str] | None = None,
    ) -> Answer:
        """The first `limit` rows of a query that is itself cut to one more, which tells whether there are more.

        `settings` are the engine's, each given if the reader may set it; without one of `needed` nothing is asked.

        Values: `services.gateway.core.json_values`; strings that are not UTF-8 come as hexadecimal digits.
        Errors: QueryError with the engine's words; Transient.
        """
        started = time.perf_counter()
        try:
            client = self._connected()
            given = self._settings(client, {"max_execution_time": self._timeout_s, **(settings or {})})
            given |= self._needed(client, needed or {})
            result = client.query(sql, parameters=_bound(sql, parameters), settings=given, tz_mode="schema")
        except DatabaseError as error:
            raise self._mapped(error) from error
        elapsed_ms = (time.perf_counter() - started) * 1000
        columns = [(name, kind.name) for name, kind in zip(result.column_names, result.column_types, strict=True)]
        rows = [[json_value(value) for value in row] for row in result.result_rows[:limit]]
        return Answer(columns, rows, len(result.result_rows) > limit, round(elapsed_ms, 1))

    def stream(
        self,
        sql: str,
        output: str,
        settings: Mapping[str, str],
        parameters: Mapping[str, Any] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Generator[bytes]:
        """The result of a query in one of ClickHouse's formats, as the engine makes it; closing it stops the query. Of the
        `limits` each is given if the reader may set it.

        Errors: QueryError, also in the midst, and when the reader may not set one of the `settings`; Transient.
        """
        try:
            client = self._connected()
            given = self._settings(client, {"max_execution_time": self._timeout_s, **(limits or {})})
            given |= self._needed(client, settings)
            answer: Any = client.raw_stream(sql, _bound(sql, parameters), given, output)
        except DatabaseError as error:
            raise self._mapped(error) from error
        try:
            tag = answer.headers.get(_TAG)
            if not tag:
                raise QueryError(
                    "the warehouse does not mark what goes wrong late: ClickHouse 26.9 or newer does", None
                )
            yield from unbroken(answer.stream(_PIECE_BYTES), f"\r\n{_LATE}\r\n{tag}\r\n".encode())
        except (HTTPError, OSError) as error:
            raise Transient(f"the warehouse at {self.url} broke off in the midst of an answer: {error}") from error
        finally:
            answer.close()  # with a part of it unread, that ends the connection, and so the query

    def check(self) -> None:
        """Errors: Transient when the warehouse does not answer."""
        self.query("SELECT 1", 1)

    def _settings(self, client: Client, wanted: Mapping[str, int]) -> dict[str, Any]:
        """Those that the reader may set (`readonly = 2`), such as the time limit; else its profile must have them."""
        known = client.server_settings
        return {name: value for name, value in wanted.items() if name in known and not known[name].readonly}

    def _needed(self, client: Client, wanted: Mapping[str, str]) -> dict[str, Any]:
        """Those of the settings that are otherwise. Errors: QueryError when the reader may not set one."""
        known = client.server_settings
        differing = {name: value for name, value in wanted.items() if name not in known or known[name].value != value}
        for name, value in differing.items():
            if name not in known or known[name].readonly:
                raise QueryError(
                    f"the warehouse's reader may not set {name}: give its profile readonly = 2, or {name} = {value!r}",
                    None,
                )
        return differing

    def _mapped(self, error: DatabaseError) -> Exception:
        if error.code is None and isinstance(error, OperationalError):
            self._client = None
            return Transient(f"the warehouse at {self.url} cannot be reached: {error}")
        return QueryError(_engines_words(str(error)), error.code)

    def _connected(self) -> Client:
        with self._turn:
            if self._client is None:
                at = urlsplit(self.url)
                try:
                    self._client = clickhouse_connect.get_client(
                        host=at.hostname or "127.0.0.1",
                        port=at.port or 0,
                        interface=at.scheme,
                        username=self._user,
                        password=self._password,
                        connect_timeout=_CONNECT_S,
                        send_receive_timeout=self._timeout_s + 5,
                        query_retries=0,
                        autogenerate_session_id=False,  # a session would allow one query at a time
                        compress=False,
                    )
                except ClickHouseError as error:
                    raise Transient(f"the warehouse at {self.url} cannot be reached: {error}") from error
            return self._client


def _bound(sql: str, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """The values for the engine to bind; none where nothing in the text can take one: the driver would then write them into the
    text by itself, in the place of `%(name)s`, also amid a literal that was guarded as one.
    """
    return dict(parameters or {}) if _PARAMETER.search(sql) else {}


def unbroken(pieces: Iterable[bytes], mark: bytes) -> Iterator[bytes]:
    """The pieces of a result. Errors: QueryError when an exception of the engine follows them, behind the mark."""
    held = b""
    for piece in pieces:
        held += piece
        if (at := held.find(mark)) >= 0:
            yield held[:at]
            said = held[at + len(mark) :] + b"".join(pieces)
            raise QueryError(_engines_words(said.decode(errors="replace").splitlines()[0]), None)
        # A mark may begin at the end of one piece and go on in the next.
        ready = max(len(held) - len(mark), 0)
        yield held[:ready]
        held = held[ready:]
    yield held


def _engines_words(message: str) -> str:
    """What the engine said, without what the driver puts around it."""
    said = message.partition("DB::Exception: ")[2] or message
    return said.partition(" (for url ")[0]

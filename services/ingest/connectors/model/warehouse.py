"""Asks the warehouse for the rows of a model, and keeps them in a file until they are published.

All of a result is there before the first row goes on: a query that fails half way leaves nothing behind, it is not held up by
whoever takes the rows, and memory does not grow with them.
"""

import re
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from io import IOBase
from typing import IO, Any, Final
from urllib.parse import urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from headrace.connector import ReadingFailed, WarehouseAccess
from headrace.errors import Transient
from services.ingest.connectors.model.columns import Given

_NUMBER: Final = re.compile(r"\b\d+\b")
_CONNECT_S: Final = 5
_PIECE: Final = 1 << 20
_END: Final = b"\xff\xff\xff\xff\0\0\0\0"  # of an Arrow stream
_NO_TABLE: Final = (60, 81)
#: Codes of errors that waiting does not heal: the query, the types of its columns, what it may do, or its size.
_HOPELESS: Final = frozenset(
    {
        *(
            6,
            27,
            36,
            38,
            41,
            42,
            43,
            44,
            46,
            47,
            48,
            50,
            53,
            62,
            69,
            70,
            72,
            115,
            153,
            179,
            184,
            207,
            215,
            321,
            349,
            352,
            407,
        ),
        *(164, 192, 193, 194, 291, 452, 497, 516),
        *(158, 159, 307, 396),
    }
)


class NoTable(Transient):
    """There is no table of a dataset that is read: the loader makes it with the first rows."""


class ModelWarehouse:
    """The warehouse as models read it. Errors of all methods: Transient; ReadingFailed when trying again does not help."""

    def __init__(self, access: WarehouseAccess) -> None:
        self.access = access

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """A turn to run a query, if there is one: no more run at once than may."""
        turns = self.access.turns
        mine = turns is None or turns.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine and turns is not None:
                turns.release()

    def columns(self, sql: str, parameters: Mapping[str, str]) -> list[Given]:
        """The columns of a query's result."""
        with self._answers("looking at the columns of the model") as client:
            described = client.query(f"DESCRIBE TABLE ({sql})", parameters=dict(parameters), settings=self._settings())
            return [Given(str(row[0]), str(row[1])) for row in described.result_rows]

    def view(self, dataset: str) -> list[int] | None:
        """The numbers in the condition of a dataset's view, in their order; None when there is no view."""
        asked = "SELECT as_select FROM system.tables WHERE database = {domain:String} AND name = {name:String}"
        domain, _, name = dataset.partition(".")
        with self._answers(f"looking at what the view of {dataset} shows") as client:
            found = client.query(asked, parameters={"domain": domain, "name": name}).result_rows
        return [int(number) for number in _NUMBER.findall(found[0][0].rpartition(" WHERE ")[2])] if found else None

    @contextmanager
    def result(self, sql: str, parameters: Mapping[str, str]) -> Generator[pa.RecordBatchReader]:
        """The rows of a query, all of which have been given by now."""
        self.access.spool.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.access.spool) as spool:
            self._spool(sql, parameters, spool)
            with pa.ipc.open_stream(spool) as reader:
                yield reader

    def _spool(self, sql: str, parameters: Mapping[str, str], spool: IO[bytes]) -> None:
        with self._answers("running the model") as client:
            answer = client.raw_stream(
                sql, parameters=dict(parameters), settings=self._settings(), fmt="ArrowStream", use_database=False
            )
            assert isinstance(answer, IOBase)
            with answer:
                while piece := answer.read(_PIECE):
                    spool.write(piece)
        size = spool.tell()
        spool.seek(max(0, size - len(_END)))
        if spool.read() != _END:  # a server that fails half way says so in the midst of the rows
            spool.seek(max(0, size - 4096))
            said = spool.read().decode(errors="replace")
            raise Transient(f"running the model broke off: {_words(said[said.rfind('Code:') :])}")
        spool.seek(0)

    def _settings(self) -> dict[str, Any]:
        half = self.access.memory_bytes // 2
        return {
            "max_execution_time": self.access.timeout_s,
            "max_memory_usage": self.access.memory_bytes,
            "max_bytes_before_external_group_by": half,
            "max_bytes_before_external_sort": half,
            "max_result_rows": self.access.most_rows,
            "result_overflow_mode": "throw",
            "output_format_arrow_string_as_string": 1,
            "enable_shared_storage_snapshot_in_query": 1,
        }

    @contextmanager
    def _answers(self, doing: str) -> Iterator[Client]:
        """A connection of its own; what it raises becomes one of our errors."""
        at = urlsplit(self.access.url)
        try:
            client = clickhouse_connect.get_client(
                host=at.hostname or "127.0.0.1",
                port=at.port or 0,
                interface=at.scheme,
                username=self.access.user,
                password=self.access.password.get_secret_value(),
                connect_timeout=_CONNECT_S,
                send_receive_timeout=self.access.timeout_s + 5,
                query_retries=0,
                autogenerate_session_id=False,
                compress=False,
            )
            try:
                yield client
            finally:
                client.close()
        except (ClickHouseError, HTTPError, OSError) as error:
            code = getattr(error, "code", None)
            said = f"{doing} at {self.access.url}: {_words(str(error))}"
            if code in _NO_TABLE:
                raise NoTable(said) from error
            raise (ReadingFailed(said) if code in _HOPELESS else Transient(said)) from error


def _words(message: str) -> str:
    """What the engine said, on one line, without what the driver puts around it."""
    said = message.partition("DB::Exception: ")[2] or message
    return " ".join(said.partition(" (for url ")[0].split())[:1000]

"""How statements reach the engine: a fresh handle for each (settings never leak), one process a data directory."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import chdb

from deploy.local.warehouse.access import HARMLESS_SOURCES, check_settings, functions, not_a_read, refusal
from deploy.local.warehouse.arrow import welded
from deploy.local.warehouse.errors import EngineError
from deploy.local.warehouse.settings import WarehouseSettings
from deploy.local.warehouse.statement import Statement

_APPEND_BYTES = 4 << 20
_CONFIG = """<clickhouse>
    <max_server_memory_usage>{memory}</max_server_memory_usage>
    <mark_cache_size>67108864</mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <background_pool_size>2</background_pool_size>
    <merge_tree>
        <fsync_after_insert>{fsync}</fsync_after_insert>
        <fsync_part_directory>{fsync}</fsync_part_directory>
    </merge_tree>
</clickhouse>
"""


class OccupiedError(Exception):
    """Another process has the data directory open."""


@dataclass(frozen=True)
class Result:
    """What a statement gave back, and how much it read and wrote."""

    content: bytes = b""
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0


class Engine:
    """The one engine of this process, and the lock on its data directory."""

    def __init__(self, settings: WarehouseSettings) -> None:
        home = settings.path.absolute()
        home.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(home)
        config = home / "config.xml"
        config.write_text(_CONFIG.format(memory=settings.memory_mb << 20, fsync=int(settings.fsync)))
        self.spool = home / "spool"
        self.spool.mkdir(exist_ok=True)
        self._address = f"{home / 'data'}?config-file={config}"
        self._keep_open = chdb.connect(self._address)
        _close_file_system(self._keep_open, home / "data" / "metadata")
        with self.handle() as handle:
            self.timezone = handle.text("SELECT timezone()").strip()
            self.table_functions = frozenset(handle.text("SELECT lower(name) FROM system.table_functions").split())

    def handle(self) -> "Handle":
        return Handle(chdb.connect(self._address), self.spool)

    def close(self) -> None:
        """Ends the engine; everything acknowledged is already on the disk."""
        self._keep_open.close()
        self._lock.close()


class Handle:
    """One statement's own connection. Blocking: call it from a worker thread. Every failure is an `EngineError`."""

    def __init__(self, connection: Any, spool: Path) -> None:
        self._connection = connection
        self._spool = spool

    def __enter__(self) -> "Handle":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def prepare(self, database: str | None, settings: dict[str, str]) -> None:
        """Applies what came with the request: the database, settings, and `param_*` query parameters."""
        if database:
            self._query(f"USE {_identifier(database)}")
        if settings:
            self._query("SET " + ", ".join(f"{_identifier(name)} = {_literal(v)}" for name, v in settings.items()))

    def restrict_to_reading(
        self, statement: Statement, settings: dict[str, str], table_functions: frozenset[str]
    ) -> None:
        """Refuses what a reader may not do, then makes the engine hold the line as well.

        The engine's strict level would also refuse settings inside the query, so it is kept for queries that use
        table functions, where it is a second barrier.
        """
        check_settings(settings)
        if statement.kind == "insert":
            raise not_a_read()
        plain = self._query(f"SELECT formatQuery({_literal(statement.sql.decode())})", "RawBLOB").bytes().decode()
        tree = self._query(f"EXPLAIN AST {plain}", "TabSeparatedRaw").bytes().decode()
        if (refused := refusal(tree, table_functions)) is not None:
            raise refused
        self._query(f"SET readonly = {1 if functions(tree) & (table_functions | HARMLESS_SOURCES) else 2}")

    def refuse_writes(self) -> None:
        self._query("SET readonly = 2")

    def text(self, sql: str) -> str:
        return str(self._query(sql).bytes().decode())

    def run(self, sql: str, output: str) -> Result:
        """Runs a statement to its end."""
        result = self._query(sql, output)
        return Result(
            result.bytes() or b"",
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
        )

    def stream(self, sql: str, output: str) -> Generator[bytes]:
        """The result in pieces, as the engine makes them; closing the iterator cancels the query."""
        if output != "ArrowStream":
            yield from self._pieces(sql, output)
            return
        pieces = self._pieces(sql, output)
        with contextlib.closing(welded(pieces)) as stream, contextlib.closing(pieces):
            first = next(stream, None)
            # Without a row there is no piece; what has no row has columns all the same.
            yield self.run(sql, output).content if first is None else first
            yield from stream

    def _pieces(self, sql: str, output: str) -> Generator[bytes]:
        try:
            with self._connection.send_query(sql, output) as result:
                for piece in result:
                    yield piece.bytes()
        except RuntimeError as error:
            raise EngineError(str(error)) from error

    def insert(self, statement: Statement, rows: IO[bytes]) -> Result:
        """Writes the rows from the file's current position to its end.

        The rows are complete when this is called, so up to a million of them become one part or nothing.
        """
        if statement.input is not None:
            return self._insert_through_input(statement, rows)
        try:
            with self._connection.send_insert(statement.sql.decode(), statement.format) as inserter:
                while piece := rows.read(_APPEND_BYTES):
                    inserter.append(piece)
                written = inserter.finish()
        except RuntimeError as error:
            raise EngineError(str(error)) from error
        return Result(written_rows=written.rows_written, written_bytes=written.bytes_written)

    def _insert_through_input(self, statement: Statement, rows: IO[bytes]) -> Result:
        with tempfile.TemporaryFile(dir=self._spool) if rows.tell() else contextlib.nullcontext(rows) as alone:
            if alone is not rows:
                shutil.copyfileobj(rows, alone)
                alone.flush()
            return self.run(statement.reading_from(f"/proc/self/fd/{alone.fileno()}"), "Null")

    def _query(self, sql: str, output: str = "TabSeparated") -> Any:
        try:
            return self._connection.query(sql, output)
        except RuntimeError as error:
            raise EngineError(str(error)) from error


def _close_file_system(connection: Any, metadata: Path) -> None:
    """Puts a plain database in the place of the engine's own `default`, in which every file of the machine is a table.

    Once there are tables in it, the engine's own takes over the identity of the plain one, which leads back to them.
    """
    definition = metadata / "default.sql"
    (metadata / "default.sql.tmp").unlink(missing_ok=True)
    uuid = connection.query("SELECT uuid FROM system.databases WHERE name = 'default'", "TSV").bytes().decode().strip()
    connection.query("DETACH DATABASE default")
    if definition.exists() and uuid in definition.read_text():
        connection.query(f"ATTACH DATABASE default UUID '{uuid}' ENGINE = Atomic")
    else:
        definition.unlink(missing_ok=True)
        connection.query("CREATE DATABASE default ENGINE = Atomic")


def _lock(home: Path) -> IO[str]:
    """Takes the data directory for this process: the kernel gives it back however the process ends."""
    file = (home / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise OccupiedError(f"The warehouse at {home} is in use by {holder}: stop that one first.") from error
    file.truncate(0)
    file.write(f"process {os.getpid()}")
    file.flush()
    return file


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"

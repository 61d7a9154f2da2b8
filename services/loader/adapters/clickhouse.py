"""The warehouse over ClickHouse's HTTP protocol: carries statements out, and says what a failure means."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from headrace.errors import Fatal, HeadraceError, Transient
from headrace.stream.generation_table import shown_generation
from headrace.stream.runs import Range
from services.loader.adapters import view_swap
from services.loader.core import fencing, runs, showing
from services.loader.core import table as statements
from services.loader.core.evolution import evolve
from services.loader.core.fencing import FENCE_MOVED, Fence, FenceMovedError
from services.loader.core.runs import Found
from services.loader.core.showing import OutrankedError
from services.loader.core.table import Table, shape
from services.loader.core.types import Type, literal, quoted

#: Below this, ClickHouse has no Nullable(Tuple) or Time64 by default, and no days before 1900.
_OLDEST: Final = (26, 9)
_THROW_IF: Final = 395
_IS_THERE: Final = 57
_GONE: Final = 60

#: Codes of errors that waiting does not heal: the statement, the schema or the access is wrong.
_HOPELESS: Final = frozenset(
    {
        *(6, 27, 38, 41, 53, 69, 70, 72, 321, 349, 407),  # a value does not fit
        *(10, 16, 36, 42, 43, 44, 46, 47, 48, 50, 62, 115),  # the engine does not understand
        *(60, 81),  # the table or database is gone
        *(192, 193, 194, 497, 516),  # it does not let us
    }
)


class ClickHouse:
    """A `Warehouse` on a ClickHouse server, or on one that speaks its protocol. Used by one thread; connects when first asked."""

    def __init__(self, url: str, user: str, password: str, *, timeout_s: float = 120.0) -> None:
        self._url = url
        self._user = user
        self._password = password
        self._timeout_s = timeout_s
        self._connected: Client | None = None

    def prepare(self, table: Table, rows: pa.Schema) -> None:
        """See `Warehouse.prepare`. Every statement can be repeated, also by another loader at the same time."""
        wanted = shape(rows)
        self._run(f"CREATE DATABASE IF NOT EXISTS {quoted(table.database)}", f"creating database {table.database}")
        self._run(statements.create_table(table, wanted), f"creating table {table.id}")
        evolution = evolve(table.id, self._columns(table), wanted, table.fixed)
        comments = self._pairs("columns", "table", table, "name", "comment")
        if statement := statements.alter_columns(table, evolution, comments):
            self._run(statement, f"changing the columns of {table.id}")
        engine = self._pairs("tables", "name", table, "name", "engine_full")[table.name]
        if statement := statements.alter_retention(table, engine):
            self._run(statement, f"changing the retention of {table.id}")
        if table.view is not None and not table.in_runs and self._may_show(table):
            with suppress(OutrankedError):  # its rows are loaded all the same
                self.show(table, self._columns(table))

    def newest(self, table: Table, partitions: Iterable[int]) -> dict[int, Fence]:
        """See `Warehouse.newest`."""
        with self._answers(f"reading the fences of {table.id}") as client:
            rows = client.query(fencing.newest_fences(table, partitions)).result_rows
        return {partition: Fence(*newest) for partition, newest in rows}

    def fence(self, table: Table, fences: Mapping[int, Fence]) -> None:
        """See `Warehouse.fence`."""
        self._run(fencing.insert_fences(table, fences), f"fencing {table.id}")

    def stop(self, table: Table, partitions: Iterable[int]) -> None:
        """See `Warehouse.stop`."""
        self._run(fencing.stop_inserts(table, partitions), f"stopping earlier inserts into {table.id}")

    def loaded(self, table: Table, bases: Mapping[int, int]) -> dict[int, pa.Int64Array]:
        """See `Warehouse.loaded`."""
        with self._answers(f"reading what {table.id} holds") as client:
            partition, offset = client.query_arrow(fencing.loaded_offsets(table, bases)).columns
        held_by, held = partition.to_numpy(), offset.to_numpy()
        return {number: pa.array(held[held_by == number], pa.int64()) for number in bases}

    def insert(self, table: Table, rows: pa.Table, fences: Mapping[int, Fence]) -> None:
        """See `Warehouse.insert`. One request, which the client never repeats by itself."""
        statement = fencing.insert_rows(table, rows.schema, fences)
        self._run(
            statement,
            f"inserting {rows.num_rows} rows into {table.id}",
            data=_stream(rows),
            settings={"log_comment": fencing.mark(table, fences), "async_insert": 0},
        )

    def held(self, table: Table) -> dict[str, Type] | None:
        """See `FullLoads.held`."""
        return self._columns(table) if self._pairs("tables", "name", table, "name", "engine") else None

    def found(self, table: Table, quarantine: Table, generation: int, only: Iterable[Range]) -> Found:
        """See `FullLoads.found`."""
        total = Found()
        aside = quarantine if self.held(quarantine) is not None else None
        rows = table if self.held(table) is not None else None
        for part in runs.portions(only):
            with self._answers(f"counting what {table.id} holds") as client:
                for row in client.query(runs.count(rows, aside, generation, part)).result_rows:
                    total += Found(*row)
        return total

    def columns(self, table: Table) -> pa.Schema:
        """See `FullLoads.columns`."""
        with self._answers(f"reading the columns of {table.id}") as client:
            return client.query_arrow(f"SELECT * FROM {table.path} LIMIT 0").schema  # noqa: S608

    def placed(self, table: Table, only: Iterable[Range]) -> dict[int, tuple[int, int]]:
        """See `FullLoads.placed`."""
        with self._answers(f"asking where {table.id} was loaded from") as client:
            rows = client.query(runs.placed(table, only)).result_rows
        return {partition: (first, last) for partition, first, last in rows}

    def rows(self, table: Table, names: Iterable[str], only: Range) -> pa.Table:
        """See `FullLoads.rows`."""
        asked = f"SELECT {statements.names(names)} FROM {table.path} WHERE {runs.within([only])}"  # noqa: S608
        with self._answers(f"reading what {table.id} holds") as client:
            return client.query_arrow(asked)

    def claim(self, table: Table) -> None:
        """See `FullLoads.claim`."""
        view_swap.claim(self, table)

    def show(self, table: Table, held: Mapping[str, Type], only: str | None = None) -> None:
        """See `FullLoads.show`."""
        view_swap.show(self, table, held, only)
        for name in self._names(showing.made_aside(table, forgotten=True), table):
            self.drop_view(table, name)

    def newest_claim(self, table: Table) -> int:
        """See `Views.newest_claim`."""
        with self._answers(f"reading who shows the view of {table.id}") as client:
            [(newest,)] = client.query(showing.newest_claim(table)).result_rows
        return int(newest)

    def write_claim(self, table: Table) -> None:
        """See `Views.write_claim`."""
        self._run(showing.insert_claim(table), f"claiming the view of {table.id}")

    def made_aside(self, table: Table) -> list[str]:
        """See `Views.made_aside`."""
        return self._names(showing.made_aside(table), table)

    def make(self, statement: str, table: Table) -> None:
        """See `Views.make`."""
        self._run(statement, f"making a view of {table.id}")

    def swap(self, table: Table, aside: str) -> None:
        """See `Views.swap`."""
        first = self.shows(table) is None
        try:
            self._run(showing.swap(table, aside, first=first), f"replacing the view of {table.id}")
        except HeadraceError as error:
            code = getattr(error.__cause__, "code", None)
            if code == _GONE:
                raise OutrankedError(f"{error}: another loader has changed that view meanwhile") from error
            if not first or code != _IS_THERE:
                raise
            self.swap(table, aside)

    def drop_view(self, table: Table, name: str) -> None:
        """See `Views.drop_view`."""
        self._run(showing.drop_view(table, name), f"dropping an old view of {table.id}")

    def shows(self, table: Table) -> str | None:
        """See `FullLoads.shows`."""
        view = replace(table, name=table.view or table.name)
        return self._pairs("tables", "name", view, "name", "as_select").get(view.name)

    def discard(self, table: Table, only: str) -> None:
        """See `FullLoads.discard`."""
        with self._answers(f"looking for old runs in {table.id}") as client:
            [(count,)] = client.query(f"SELECT count() FROM {table.path} WHERE {only}").result_rows  # noqa: S608
        if count:
            self._run(f"ALTER TABLE {table.path} DELETE WHERE {only}", f"deleting old runs from {table.id}")

    def drop(self, table: Table) -> None:
        """See `FullLoads.drop`."""
        if shown_generation(self.shows(table)) == table.generation:
            raise Transient(f"{table.id} still shows: the view is to be repointed first")
        self._run(f"DROP TABLE IF EXISTS {table.path} SYNC", f"dropping {table.id}")
        self._run(fencing.delete_fences(table), f"deleting the fences of {table.id}")

    def close(self) -> None:
        """Give the connection up."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def _may_show(self, table: Table) -> bool:
        """Whether its view is this table's already, or nobody's: to take it over is for who follows what is live."""
        selects = self.shows(table)
        return selects is None or shown_generation(selects) == table.generation

    def _columns(self, table: Table) -> dict[str, Any]:
        """The types of the columns the table holds: the engine says them best as the Arrow schema of no rows."""
        return shape(self.columns(table))

    def _names(self, query: str, table: Table) -> list[str]:
        with self._answers(f"reading about {table.id}") as client:
            return [str(name) for (name,) in client.query(query).result_rows]

    def _pairs(self, of: str, by: str, table: Table, *wanted: str) -> dict[str, str]:
        """Two columns of the system table `of`, about `table`."""
        where = f"database = {literal(table.database)} AND {by} = {literal(table.name)}"
        with self._answers(f"reading about {table.id}") as client:
            rows = client.query(f"SELECT {', '.join(wanted)} FROM system.{of} WHERE {where}").result_rows  # noqa: S608
        return {str(name): str(value) for name, value in rows}

    def _run(self, statement: str, doing: str, **more: Any) -> None:
        with self._answers(doing) as client:
            client.command(statement, **more)

    @contextmanager
    def _answers(self, doing: str) -> Iterator[Client]:
        """The client; what it raises becomes one of our errors, and an unanswered connection is not used again."""
        try:
            yield self._client()
        except (ClickHouseError, OSError, pa.ArrowInvalid) as error:  # the last: an answer that broke off
            code = getattr(error, "code", None)
            said = f"{doing} at {self._url}: {_first_line(error)}"
            if code is None:
                self.close()
            if code == _THROW_IF and FENCE_MOVED in str(error):
                raise FenceMovedError(f"{doing}: a newer loader has claimed a partition") from error
            raise (Fatal(said) if code in _HOPELESS else Transient(said)) from error

    def _client(self) -> Client:
        if self._connected is None:
            client = clickhouse_connect.get_client(
                dsn=self._url,
                username=self._user,
                password=self._password,
                autogenerate_session_id=False,
                query_retries=0,
                compress=False,
                connect_timeout=5,
                send_receive_timeout=self._timeout_s,
            )
            version = tuple(int(part) for part in str(client.server_version).split(".")[:2])
            if version < _OLDEST:
                raise Fatal(
                    f"the warehouse at {self._url} is ClickHouse {client.server_version}; 26.9 is the oldest that will do"
                )
            client.command("CREATE DATABASE IF NOT EXISTS `headrace`")
            client.command(fencing.CREATE_FENCES)
            client.command(showing.CREATE_CLAIMS)
            self._connected = client
        return self._connected


def _stream(rows: pa.Table) -> bytes:
    """Rows as an Arrow stream, compressed within: the fastest way in, over a network or not."""
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(rows)
    return buffer.getvalue().to_pybytes()


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:1000] if text else type(error).__name__

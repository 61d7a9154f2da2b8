"""Answers queries: each dataset as its caller sees it, within limits, and with how complete its rows are."""

import threading
import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from headrace.access.book import Caller
from headrace.access.policy import Action
from headrace.sql_guard import RefusedQueryError
from services.gateway.adapters.assets import Assets
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.adapters.export_bytes import plain_arrow
from services.gateway.adapters.view_columns import ViewColumns
from services.gateway.adapters.warehouse import Answer, QueryError, Warehouse
from services.gateway.core.completeness import Completeness
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.exports import ENGINE_FORMATS, ENGINE_SETTINGS, Format, csv_header, rows_as
from services.gateway.core.query_errors import told
from services.gateway.core.readable import Readable, Reading, reading, rewritten
from services.gateway.core.visible import NEEDED

_NO_COLUMN: Final = 47
_MOST_COLUMNS: Final = 10_000
_MOST_TABLES: Final = 10_000
Given = TypeVar("Given")
_COMPLETE_S: Final = 2.0
#: The books that are looked at are those of the generation that shows.
_BESIDE: Final = "of the tables beside what it shows it is not told how complete they are"


#: Is told which datasets a query reads, before it is asked.
Reads = Callable[[Collection[str]], None]


@dataclass(frozen=True, slots=True)
class ReadDataset:
    """A dataset that a query read: how complete its rows are, and whether the caller saw a part of it only."""

    name: str
    completeness: Completeness
    partial: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query as it is sent, over the datasets it reads. `words` are those it was written with.

    `beside`: the datasets of which it reads other tables than what they show.
    """

    text: str
    datasets: tuple[str, ...]
    partial: frozenset[str]
    beside: frozenset[str]
    words: frozenset[str] = field(repr=False)


class Queries:
    """Where queries are asked. `account` tells how complete a dataset is; that is asked at most every two seconds for each."""

    def __init__(
        self,
        warehouse: Warehouse,
        datasets: DatasetStore,
        assets: Assets,
        complete: Callable[[DatasetVersion], Completeness],
        limits: Mapping[str, int],
    ) -> None:
        self._warehouse = warehouse
        self._datasets = datasets
        self._assets = assets
        self._complete = complete
        self._limits = limits
        self._columns = ViewColumns(warehouse)
        self._turn = threading.Lock()
        self._known: dict[str, tuple[float, Completeness]] = {}

    def prepared(self, caller: Caller, sql: str, limit: int, parameters: Mapping[str, Any]) -> Prepared:
        """The query as the caller may ask it, cut to `limit` rows.

        Errors: RefusedQueryError; Transient.
        """
        read = reading(sql, parameters)
        readable = self._readable(caller, read)
        text = rewritten(read, readable, self._domains(), limit)
        partial = frozenset(name for name in read.datasets if not readable[name].sight.whole)
        beside = frozenset(table.dataset for table in read.tables if table.beside)
        return Prepared(text, read.datasets, partial, beside, frozenset(token.text for token in read.tokens))

    def completeness(self, prepared: Prepared) -> list[ReadDataset]:
        """How complete the rows are that are read from now on."""
        live = self._datasets.all()
        names = [name for name in prepared.datasets if name in live]
        states = {name: self._of(live[name]) for name in names}
        states |= {
            name: replace(states[name], through=None, waiting_for=(_BESIDE,)) for name in prepared.beside & {*names}
        }
        return [ReadDataset(name, state, name in prepared.partial) for name, state in states.items()]

    def answer(
        self, caller: Caller, sql: str, limit: int, parameters: Mapping[str, Any], reads: Reads
    ) -> tuple[Answer, list[ReadDataset]]:
        """The rows, at most `limit`. Errors: RefusedQueryError; QueryError; Transient."""

        def asked(prepared: Prepared) -> tuple[Answer, list[ReadDataset]]:
            reads(prepared.datasets)
            state = self.completeness(prepared)  # before: it holds for what is read after
            return self._warehouse.query(prepared.text, limit, parameters, self._limits, NEEDED), state

        return self._tried(lambda: self.prepared(caller, sql, limit + 1, parameters), asked)

    def stream(
        self, caller: Caller, sql: str, limit: int | None, parameters: Mapping[str, Any], form: Format, reads: Reads
    ) -> tuple[Generator[bytes], list[ReadDataset]]:
        """The rows in a format, as the engine makes them, the first of them waited for; closing it stops the query.

        Errors: RefusedQueryError; QueryError and Transient, also in the midst.
        """

        def asked(prepared: Prepared) -> tuple[Generator[bytes], list[ReadDataset]]:
            reads(prepared.datasets)
            state, text, header = self.completeness(prepared), prepared.text, b""
            if form == "csv":
                columns = self._described(prepared, parameters)
                text, header = rows_as(form, columns, text), csv_header(columns)
            settings = {**ENGINE_SETTINGS[form], **NEEDED}
            pieces = self._warehouse.stream(text, ENGINE_FORMATS[form], settings, parameters, self._limits)
            if form == "arrow" and prepared.partial:
                pieces = plain_arrow(pieces)
            return _after(header + next(pieces, b""), pieces), state

        most = limit or self._limits["max_result_rows"]
        return self._tried(lambda: self.prepared(caller, sql, most, parameters), asked)

    def estimate(self, caller: Caller, sql: str, parameters: Mapping[str, Any]) -> tuple[int, int, tuple[str, ...]]:
        """(How many rows the engine would read, of how many parts of tables, the datasets). Errors: as `answer`."""

        def asked(prepared: Prepared) -> tuple[int, int, tuple[str, ...]]:
            explained = f"EXPLAIN ESTIMATE {prepared.text}"
            records = self._warehouse.query(explained, _MOST_TABLES, parameters, self._limits, NEEDED).records()
            return sum(each["rows"] for each in records), sum(each["parts"] for each in records), prepared.datasets

        return self._tried(lambda: self.prepared(caller, sql, self._limits["max_result_rows"], parameters), asked)

    def _described(self, prepared: Prepared, parameters: Mapping[str, Any]) -> dict[str, str]:
        """The columns that a query gives, with ClickHouse's types."""
        described = f"DESCRIBE TABLE ({prepared.text})"
        records = self._warehouse.query(described, _MOST_COLUMNS, parameters, self._limits, NEEDED).records()
        columns = {str(each["name"]): str(each["type"]) for each in records}
        if len(columns) < len(records):
            raise RefusedQueryError("two columns have the same name: give each another with AS")
        return columns

    def _tried(self, prepare: Callable[[], Prepared], ask: Callable[[Prepared], Given]) -> Given:
        """What is given, or the error as it may be told. A view may have changed since it was last looked at."""
        for again in (True, False):
            prepared = prepare()
            try:
                return ask(prepared)
            except QueryError as error:
                if not prepared.partial:
                    raise
                if not (again and error.code == _NO_COLUMN):
                    raise QueryError(told(str(error), error.code, prepared.words), error.code) from None
                for name in prepared.partial:
                    self._columns.forget(name)
        raise AssertionError("the second try gives or raises")

    def _readable(self, caller: Caller, read: Reading) -> dict[str, Readable]:
        found: dict[str, Readable] = {}
        for name in read.datasets:
            sight = caller.access.sight(Action.QUERY, self._assets.of(name))
            if sight is None or self._datasets.get(name) is None:
                continue
            beside = caller.access.sees_whole(Action.QUERY, self._assets.of(name))
            columns = () if sight.whole else self._columns.of(name)
            if not (sight.whole or columns):
                raise RefusedQueryError(
                    f"nothing of {name} was loaded yet: see what it waits for with GET /status?dataset={name}"
                )
            found[name] = Readable(sight, beside, columns)
        return found

    def _domains(self) -> set[str]:
        return {name.partition(".")[0] for name in self._datasets.all()}

    def _of(self, dataset: DatasetVersion) -> Completeness:
        """What was told not long ago stands: it says through when the rows are complete."""
        now_s = time.monotonic()
        with self._turn:
            known = self._known.get(dataset.name)
        if known is not None and known[0] > now_s - _COMPLETE_S:
            return known[1]
        state = self._complete(dataset)
        with self._turn:
            self._known[dataset.name] = (now_s, state)
        return state


def _after(first: bytes, pieces: Generator[bytes]) -> Generator[bytes]:
    with closing(pieces):
        yield first
        yield from pieces

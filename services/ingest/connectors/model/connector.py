"""The `model` connector: the rows that a query makes of other datasets.

A position says how many rows of the result were read, and what they were. Another process runs the query again, passes over
the rows that are the same, and goes on behind them; where they are others, the rest would belong to another result.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final

import numpy as np
import pyarrow as pa

from headrace.connector import Fetched, ReadingFailed, SourceChanged, Step, Stream, Stretch, Surroundings, Upstreams
from headrace.errors import Fatal, Transient
from headrace.sql_guard import RefusedQueryError
from headrace.stream.columns import OP
from services.ingest.connectors.model.columns import Given, exported, quoted, sorted_by
from services.ingest.connectors.model.partition_setting import STATE, mentioned
from services.ingest.connectors.model.partitioned import Own, Partitioned, Read, view_of
from services.ingest.connectors.model.query import ModelQuery, model_query
from services.ingest.connectors.model.settings import PARAMETERS, SINCE, UNTIL, ModelSource
from services.ingest.connectors.model.values import moment
from services.ingest.connectors.model.warehouse import ModelWarehouse, NoTable
from services.ingest.core.faults import set_aside
from services.ingest.core.names import column_names
from services.ingest.core.tables import conformed, described
from services.ingest.core.typed_texts import row_text

_DIGEST_BYTES: Final = 12
_BEGINNING: Final = "1970-01-01 00:00:00.000000"


@dataclass(frozen=True, slots=True)
class Place:
    """How many rows of a result were read; `digest` stands for those rows.

    Of an incremental model, `since` is where the window begins that is read next, or, with `until`, that is being read. `sql`
    is the query that a window began with whose rows cannot be taken back: that one gives the rest of it, whatever the file says
    by then.
    """

    rows: int = 0
    digest: str = ""
    since: str = ""
    until: str = ""
    sql: str = ""

    def behind(self, batch: pa.RecordBatch) -> "Place":
        """The place behind further rows."""
        content = blake2b(bytes.fromhex(self.digest), digest_size=_DIGEST_BYTES)
        content.update(batch.serialize())
        return replace(self, rows=self.rows + batch.num_rows, digest=content.hexdigest())

    @property
    def parameters(self) -> dict[str, str]:
        """The window, as the query takes it."""
        return {SINCE: self.since, UNTIL: self.until} if self.until else {}

    def text(self) -> str:
        """The text `of` reads."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    @classmethod
    def of(cls, text: str | None) -> "Place":
        """The place in `text`; the beginning when there is none."""
        return cls(**json.loads(text)) if text else cls()


class ModelConnector:
    """See `headrace.connector.Connector`."""

    def __init__(
        self,
        source: ModelSource,
        warehouse: ModelWarehouse,
        surroundings: Surroundings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._warehouse = warehouse
        self._surroundings = surroundings
        self._clock = clock
        self._schema = surroundings.schema
        self._waits_since: float | None = None
        self._inputs: Mapping[str, tuple[int, ...]] = {}
        self.awaited = ""

    @property
    def waiting(self) -> bool:
        """See `Connector.waiting`."""
        return bool(self.awaited)

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """See `Dependent.inputs`."""
        upstreams = self._surroundings.upstreams
        return self._inputs or (upstreams.inputs() if upstreams is not None else {})

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        query = self._source.query
        yield Step("list", True, f"it reads {', '.join(query.references)}")
        try:
            names = self._described().names
        except (Transient, ReadingFailed) as error:
            remedy = "correct the query, or load the datasets that it reads first"
            yield Step("read", False, str(error), "source.sql", remedy)
            return
        yield Step("read", True, f"{len(names)} columns: {', '.join(names)}")

    def discover(self) -> list[Stream]:
        """See `Connector.discover`."""
        return [Stream("model", described(self._described(), self._surroundings.declared))]

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`. Errors: also SourceChanged, ReadingFailed."""
        upstreams = self._surroundings.upstreams
        try:
            needed = datetime.now(UTC) if upstreams is None else upstreams.begin()
            window = self._window(Place.of(position), needed)
            if window is None or (upstreams is not None and not self._complete(upstreams)):
                return
            yield from self._rows(window)
            if window.until and not self.waiting:  # all of it: the next window begins where this one ends
                yield Fetched(pa.RecordBatch.from_pylist([], schema=self._schema)), Place(since=window.until).text()
            elif self._by_key and not self.waiting:  # what changes from now on is for the next run
                yield Fetched(pa.RecordBatch.from_pylist([], schema=self._schema)), Place().text()
        finally:
            if upstreams is not None and not self.waiting:
                upstreams.end()

    def read_range(self, stretch: Stretch, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Ranged.read_range`."""
        yield from self._rows(replace(Place.of(position), since=moment(stretch.since), until=moment(stretch.until)))

    def _window(self, read: Place, needed: datetime) -> Place | None:
        """From where a reading goes on; None when there is nothing to read yet."""
        if not self._source.incremental or read.until:
            return read
        until = moment(needed - timedelta(seconds=self._source.lag_s))
        own = "" if self._surroundings.key else self._source.sql
        window = Place(since=read.since or _BEGINNING, until=until, sql=own)
        return window if window.since < window.until else None

    def _rows(self, read: Place) -> Iterator[tuple[Fetched, str]]:
        with ExitStack() as results:
            reader = self._result(results, read)
            if reader is None:
                return
            self.awaited, self._waits_since = "", None
            if self._schema is None:
                own = pa.schema([each for each in reader.schema if each.name != OP])
                self._schema = described(own, self._surroundings.declared)
            try:
                yield from self._steps(reader, read)
                return
            except SourceChanged as error:
                if not read.until and not self._by_key:
                    raise
                if not self._surroundings.key:
                    raise Fatal(
                        f"{error}, and what was read of {read.since} to {read.until} stands: with load.mode append, rows would "
                        "be there twice. Let the query select by the window alone, or load by a key (upsert)"
                    ) from error
        yield from self._rows(Place(since=read.since, until=read.until))  # each row once in the end, by its key

    def _complete(self, upstreams: Upstreams) -> bool:
        """Whether all is there that had been read when the run began, and if not, that it waits."""
        awaited = list(upstreams.awaited())
        if not awaited:
            awaited = [
                f"the view of {name}, which does not show its last run yet"
                for name, numbers in upstreams.shows().items()
                if self._warehouse.view(name) != list(numbers)
            ]
        if awaited:
            self._wait(f"waits for {'; '.join(awaited)}")
            return False
        self._inputs = upstreams.inputs()
        return True

    def _result(self, results: ExitStack, read: Place) -> pa.RecordBatchReader | None:
        """The rows of the query, which stand until `results` ends; None when it has to wait."""
        with self._warehouse.turn() as mine:
            if not mine:
                self._wait("waits until fewer models run at once")
                return None
            try:
                shown = self._shown()
                found = results.enter_context(self._warehouse.result(self._sql(read), read.parameters))
                if shown != self._shown():
                    self._wait("reads once more: what shows of a dataset became another run while it was read")
                    return None
                return found
            except NoTable:
                names = ", ".join(self._source.references)
                self._wait(f"waits for the first rows of what it reads, with which there is a table: {names}")
                return None

    def _shown(self) -> list[list[int] | None]:
        """What shows of the datasets that are read, where their state is compared with what was made of them."""
        names = () if self._source.partition is None else (*self._source.references, self._surroundings.dataset)
        return [self._warehouse.view(name) for name in names]

    @property
    def _by_key(self) -> bool:
        """Whether a run gives the partitions alone that have changed."""
        return self._source.partition is not None and not self._surroundings.whole

    def _wait(self, awaited: str) -> None:
        """Errors: ReadingFailed when that has taken too long."""
        now, limit_s = self._clock(), self._source.wait_s
        self._waits_since = now if self._waits_since is None else self._waits_since
        if now > self._waits_since + limit_s:
            raise ReadingFailed(f"{awaited}; that has taken more than {limit_s:g} s (source.wait_s)")
        self.awaited = awaited

    def _steps(self, reader: pa.RecordBatchReader, read: Place) -> Iterator[tuple[Fetched, str]]:
        place = Place(since=read.since, until=read.until, sql=read.sql)
        for batch in _rebatched(reader, self._surroundings.batch_rows):
            place = place.behind(batch)
            if place.rows > read.rows:
                yield self._fetched(batch, place), place.text()
            elif place.rows == read.rows and place != read:
                raise SourceChanged("the model gives other rows than it did when this run began")
        if place.rows < read.rows:
            raise SourceChanged("the model gives fewer rows than it did when this run began")

    def _described(self) -> pa.Schema:
        look = Place(since=_BEGINNING, until=_BEGINNING) if self._source.incremental else Place()
        query = self._query(look)
        given = self._warehouse.columns(query.text, look.parameters)
        state = "" if self._source.partition is None else f", '' AS {quoted(STATE)}"
        looked = f"SELECT {exported(given)}{state} FROM ({query.text}) AS m LIMIT 0"  # noqa: S608
        with self._warehouse.result(looked, look.parameters) as reader:
            return reader.schema

    def _sql(self, read: Place) -> str:
        """The query whose result is published: the columns of the model's, each in a type that arrives as it is."""
        text = self._query(read).text
        given = self._warehouse.columns(text, read.parameters)
        rows = f"SELECT {exported(given)} FROM ({text}) AS m"  # noqa: S608
        rows = rows if self._source.partition is None else self._by_partition(given, rows)
        order = sorted_by(given)
        ordered = f" ORDER BY {order}" if order else ""
        return f"SELECT * FROM ({rows}){ordered}"  # noqa: S608

    def _by_partition(self, given: Sequence[Given], rows: str) -> str:
        """The same rows, of which those of partitions that did not change are taken from what shows of this dataset."""
        source, dataset = self._source, self._surroundings.dataset
        assert source.partition is not None
        told, leaving = source.parts, self._warehouse.columns(rows, {})
        reads = [Read(name, mentioned(source.sql, self._names(name)), told.get(name, "")) for name in source.references]
        text = json.dumps([source.sql, source.partition.model_dump()], sort_keys=True)
        which = blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
        names = [each.name for each in leaving]
        own = Own(view_of(dataset), dict(zip(names, column_names(names), strict=True)))
        there = set(self._names(dataset)) if self._warehouse.view(dataset) is not None else set()
        held = own if {*own.names.values(), STATE} <= there else None  # else it is of another query, or there is none
        model = Partitioned(source.query.text, source.partition.column, given, leaving, reads, which, held)
        return model.changes(self._surroundings.key) if self._by_key else model.rows()

    def _names(self, dataset: str) -> list[str]:
        return [each.name for each in self._warehouse.columns(f"SELECT * FROM {view_of(dataset)}", {})]  # noqa: S608

    def _query(self, read: Place) -> ModelQuery:
        """The query that gives the rest of what is being read."""
        if not read.sql:
            return self._source.query
        try:
            return model_query(read.sql, PARAMETERS)
        except RefusedQueryError as error:  # it was allowed when the window began
            raise Fatal(
                f"the query that the window {read.since} to {read.until} began with is refused: {error}"
            ) from error

    def _fetched(self, batch: pa.RecordBatch, place: Place) -> Fetched:
        batch, op = _without_op(batch)
        found = conformed(batch, self._schema, self._surroundings.declared, self._surroundings.evolution)
        self._schema = found.rows.schema
        first = place.rows - batch.num_rows
        aside = set_aside(
            found.faults, lambda fault: row_text(batch, fault.row), lambda row: f"row {first + row + 1} of the model"
        )
        rows = (
            found.rows
            if op is None
            else found.rows.append_column(OP, _without(op, [each.row for each in found.faults]))
        )
        return Fetched(rows, aside)


def _without_op(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.Array | None]:
    """The columns of the model's rows, and what happened to each, where that is told."""
    if OP not in batch.schema.names:
        return batch, None
    return batch.drop_columns([OP]), batch.column(OP)


def _without(values: pa.Array, rows: Collection[int]) -> pa.Array:
    kept = np.ones(len(values), bool)
    kept[list(rows)] = False
    return values.filter(pa.array(kept))


def _rebatched(reader: pa.RecordBatchReader, rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of a size that does not depend on how they came."""
    held: list[pa.RecordBatch] = []
    count = 0
    for given in reader:
        rest = given
        while count + rest.num_rows >= rows:
            yield _whole([*held, rest.slice(0, rows - count)])
            rest, held, count = rest.slice(rows - count), [], 0
        if rest.num_rows:
            held.append(rest)
            count += rest.num_rows
    if count:
        yield _whole(held)


def _whole(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch of its own, whatever larger ones its parts are slices of."""
    schema = parts[0].schema
    columns = [pa.concat_arrays([part.column(at) for part in parts]) for at in range(len(schema))]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def opened(source: ModelSource, surroundings: Surroundings) -> ModelConnector:
    """The connector of a model. Errors: Fatal when there is no warehouse to read."""
    if surroundings.warehouse is None:
        raise Fatal("a model reads the warehouse, and ingest was not told where that is: set HEADRACE_WAREHOUSE_URL")
    return ModelConnector(source, ModelWarehouse(surroundings.warehouse), surroundings)

"""The `model` connector: the rows that a query makes of other datasets.

A position says how many rows of the result were read, and what they were. Another process runs the query again, passes over
the rows that are the same, and goes on behind them; where they are others, the rest would belong to another result.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

import pyarrow as pa

from headrace.connector import Fetched, ReadingFailed, SourceChanged, Step, Stream, Surroundings, Upstreams
from headrace.errors import Fatal, Transient
from services.ingest.connectors.model.columns import exported, sorted_by
from services.ingest.connectors.model.settings import ModelSource
from services.ingest.connectors.model.warehouse import ModelWarehouse, NoTable
from services.ingest.core.faults import set_aside
from services.ingest.core.tables import conformed, described
from services.ingest.core.typed_texts import row_text

_DIGEST_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Place:
    """How many rows of a result were read; `digest` stands for those rows."""

    rows: int = 0
    digest: str = ""

    def behind(self, batch: pa.RecordBatch) -> "Place":
        """The place behind further rows."""
        content = blake2b(bytes.fromhex(self.digest), digest_size=_DIGEST_BYTES)
        content.update(batch.serialize())
        return replace(self, rows=self.rows + batch.num_rows, digest=content.hexdigest())

    def text(self) -> str:
        """The text `of` reads."""
        return json.dumps({"rows": self.rows, "digest": self.digest})

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
            if upstreams is not None and not self._complete(upstreams):
                return
            with ExitStack() as results:
                reader = self._result(results)
                if reader is not None:
                    self.awaited, self._waits_since = "", None
                    yield from self._steps(reader, Place.of(position))
        finally:
            if upstreams is not None and not self.waiting:
                upstreams.end()

    def _complete(self, upstreams: Upstreams) -> bool:
        """Whether all is there that had been read when the run began, and if not, that it waits."""
        upstreams.begin()
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

    def _result(self, results: ExitStack) -> pa.RecordBatchReader | None:
        """The rows of the query, which stand until `results` ends; None when it has to wait."""
        with self._warehouse.turn() as mine:
            if not mine:
                self._wait("waits until fewer models run at once")
                return None
            try:
                return results.enter_context(self._warehouse.result(self._sql(), {}))
            except NoTable:
                read = ", ".join(self._source.references)
                self._wait(f"waits for the first rows of what it reads, with which there is a table: {read}")
                return None

    def _wait(self, awaited: str) -> None:
        """Errors: ReadingFailed when that has taken too long."""
        now, limit_s = self._clock(), self._source.wait_s
        self._waits_since = now if self._waits_since is None else self._waits_since
        if now > self._waits_since + limit_s:
            raise ReadingFailed(f"{awaited}; that has taken more than {limit_s:g} s (source.wait_s)")
        self.awaited = awaited

    def _steps(self, reader: pa.RecordBatchReader, read: Place) -> Iterator[tuple[Fetched, str]]:
        place = Place()
        for batch in _rebatched(reader, self._surroundings.batch_rows):
            place = place.behind(batch)
            if place.rows > read.rows:
                yield self._fetched(batch, place), place.text()
            elif place.rows == read.rows and place != read:
                raise SourceChanged("the model gives other rows than it did when this run began")
        if place.rows < read.rows:
            raise SourceChanged("the model gives fewer rows than it did when this run began")

    def _described(self) -> pa.Schema:
        with self._warehouse.result(f"{self._sql()} LIMIT 0", {}) as reader:
            return reader.schema

    def _sql(self) -> str:
        """The query whose result is published: the columns of the model's, each in a type that arrives as it is."""
        text = self._source.query.text
        given = self._warehouse.columns(text, {})
        order = sorted_by(given)
        ordered = f" ORDER BY {order}" if order else ""
        return f"SELECT * FROM (SELECT {exported(given)} FROM ({text}) AS m){ordered}"  # noqa: S608

    def _fetched(self, batch: pa.RecordBatch, place: Place) -> Fetched:
        found = conformed(batch, self._schema, self._surroundings.declared, self._surroundings.evolution)
        self._schema = found.rows.schema
        first = place.rows - batch.num_rows
        aside = set_aside(
            found.faults, lambda fault: row_text(batch, fault.row), lambda row: f"row {first + row + 1} of the model"
        )
        return Fetched(found.rows, aside)


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

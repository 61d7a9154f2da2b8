"""The `dataset` connector: the validated rows of another dataset, partition by partition, in the order in which they passed.

A place is in one generation of the other dataset, and stays there: the rows of another generation are other rows, and which of
them were read already cannot be told. Whoever wants those raises `source.snapshot`.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.connector import Fetched, SourceRow, Step, Stream, Surroundings
from headrace.contract.sql import examine
from headrace.errors import Fatal, Transient
from headrace.stream import topics
from headrace.stream.branches import Place
from headrace.stream.codec import Codec
from headrace.stream.columns import OP, ORIGIN_OFFSET, SOURCE_TS, age_of, user_columns
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection, Replay
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, live_datasets
from headrace.stream.stage import Batch, Records, Rejection
from services.ingest.connectors.dataset.settings import DatasetSource
from services.ingest.core.tables import conformed, described
from services.ingest.core.typed_texts import row_text

log = logging.getLogger(__name__)

_MARKS: Final = (SOURCE_TS, OP)


class DatasetConnector:
    """See `headrace.connector.Connector`. A position is a `Place`."""

    waiting = False

    def __init__(
        self, source: DatasetSource, surroundings: Surroundings, connection: Connection, registry: Registry
    ) -> None:
        self._source = source
        self._surroundings = surroundings
        self._connection = connection
        self._registry = registry
        self._decoder = Decoder(registry)
        schema = surroundings.schema
        self._schema = _select(schema, user_columns(schema)) if schema is not None else None
        self._replay: Replay | None = None
        self._at: Place | None = None
        self._comparable: bool | None = None  # see `_ages_compare`

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        trying = "dataset"
        try:
            live = self._live()
            yield Step(trying, True, f"{live.name} is live: version {live.version}, generation {live.generation}")
            trying = "read"
            with closing(self._topic(live.generation)) as replay:
                count = sum(high - low for low, high in replay.watermarks().values())
            yield Step(trying, True, f"up to {count} rows have passed its checks")
            trying = "infer"
            names = ", ".join(user_columns(self._published(live.generation))) or "none yet"
            yield Step(trying, True, f"its columns: {names}")
        except (Fatal, Transient) as error:
            yield Step(trying, False, str(error), "source.dataset", "name a dataset that is live, or apply it first")

    def discover(self) -> list[Stream]:
        """See `Connector.discover`."""
        live = self._live()
        published = self._published(live.generation)
        own = described(_select(published, user_columns(published)), self._surroundings.declared)
        marks = [published.field(name) for name in _MARKS]
        return [Stream(live.name, pa.schema([*own, *marks]), tuple(live.contract.key))]

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`. A place in another dataset, or of a lower `source.snapshot`, is given up."""
        place = Place.from_json(position) if position else None
        if place is None or (place.dataset, place.snapshot) != (self._source.dataset, self._source.snapshot):
            place = self._numbered(self._begun(place))
            if place.offsets:  # the end of what there was is found out once
                yield Fetched(_empty(self._schema)), place.to_json()
        elif place.base < 0:
            place = self._numbered(place)
        replay = self._placed(place)
        self._at = None  # where a step is not taken to its end, its batch is read again from its start
        for records in replay.advance():
            fetched, youngest = self._fetched(records, place.base)
            reached = replace(place.behind(_behind(records)), youngest=max(place.youngest, youngest))
            yield fetched, reached.to_json()
            place = reached
        self._at = place

    def _begun(self, former: Place | None) -> Place:
        """Where a reading begins: in the generation that is live now. Errors: Fatal, Transient."""
        source = self._source
        if former is not None and former.dataset == source.dataset and former.snapshot > source.snapshot:
            raise Fatal(
                f"source.snapshot is {source.snapshot}, but {former.snapshot} has been read: the number only rises"
            )
        generation = self._live().generation
        place = Place(source.dataset, generation, source.snapshot, {}, youngest=former.youngest if former else -1)
        with closing(self._topic(generation)) as replay:
            ends = replay.watermarks()
        if source.start == "earliest":  # what was deleted before that is not missed
            return place.behind({number: low for number, (low, _) in ends.items() if low})
        return place.behind({number: high for number, (_, high) in ends.items()})

    def _numbered(self, place: Place) -> Place:
        """The place with a base: all that comes is younger than what this dataset had before. Errors: Transient.

        A row is as old as it is in the other dataset, so that one that passes late does not replace a newer one of its key.
        """
        if not self._ages_compare():
            return place
        own = topics.raw(self._surroundings.dataset)
        ends = [0]
        if kafka_topics.exists(self._connection, own):
            with closing(Replay(self._connection, own)) as replay:
                ends += [high for _, high in replay.watermarks().values()]
        return replace(place, base=max(place.youngest + 1, *ends))

    def _ages_compare(self) -> bool:
        """Whether it can be told which of two rows of a key is the older: in the other dataset, too, they have one partition.

        Errors: Transient.
        """
        if self._comparable is None:
            key, theirs = set(self._surroundings.key), self._live().contract if self._surroundings.key else None
            computed = examine(theirs.transform.sql).computed if theirs is not None else ()
            self._comparable = theirs is not None and set(theirs.key) == key and not key & set(computed)
        return self._comparable

    def _placed(self, place: Place) -> Replay:
        """The topic, to be read on from a place. Errors: Fatal when rows that were not read are not there any more; Transient."""
        if self._replay is not None and place == self._at:
            return self._replay
        self._leave()
        replay = self._replay = self._topic(place.generation)
        ends = replay.watermarks()
        for number, (low, high) in ends.items():
            offset = place.offsets.get(str(number), 0)
            if offset < low or offset > high:
                missing = f"from {offset} to {low}" if offset < low else f"behind {high}, of which {offset} were read,"
                self._leave()
                raise Fatal(
                    f"rows of {place.dataset} {missing} (partition {number}, generation {place.generation}) are deleted; "
                    f"{self._again}"
                )
        replay.seek({number: place.offsets.get(str(number), 0) for number in ends})
        return replay

    def _topic(self, generation: int) -> Replay:
        """The validated topic of a generation. Errors: Fatal when it is not there, as the generation was retired; Transient."""
        name = topics.validated(self._source.dataset, generation)
        if not kafka_topics.exists(self._connection, name):
            raise Fatal(
                f"generation {generation} of {self._source.dataset} is not there any more, and its rows with it; {self._again}"
            )
        return Replay(self._connection, name, most_rows=self._surroundings.batch_rows)

    @property
    def _again(self) -> str:
        wanted = self._source.snapshot + 1
        return f"set `source.snapshot` to {wanted} in the dataset file to have every row read again"

    def _live(self) -> LiveDataset:
        """The other dataset as it is live. Errors: Transient when it is not."""
        with closing(live_datasets(self._connection, self._registry)) as live:
            live.refresh()
            found = live.state.get(self._source.dataset)
        if found is None:
            raise Transient(f"{self._source.dataset} is not live: apply it, and its rows are read")
        return found

    def _published(self, generation: int) -> pa.Schema:
        """The columns its rows have. Errors: Transient when there are no rows yet."""
        for topic in (topics.validated, topics.transformed):
            found = self._registry.latest(topics.subject(topic(self._source.dataset, generation)))
            if found is not None:
                return Codec(found[1]).arrow_schema
        raise Transient(f"{self._source.dataset} has published no row yet, so its columns are not known")

    def _fetched(self, records: Records, base: int = -1) -> tuple[Fetched, int]:
        """The rows in records: those of their columns that are the dataset's own, what happened to each, when, and with a base
        its age; and the greatest of these."""
        batches, rejections = self._decoder(records)
        youngest, before = -1, 0
        parts: list[Fetched] = []
        for batch in batches:
            marks = _marks(batch, base)
            if ORIGIN_OFFSET in marks.schema.names:
                youngest = max(youngest, pc.max(marks.column(ORIGIN_OFFSET)).as_py())
            parts.append(self._taken(batch, marks, before))
            before += parts[-1].rows.num_rows
        rejected = [row for part in parts for row in part.rejected]
        rejected += [_unread(records, rejection) for rejection in rejections]
        if not parts:
            return Fetched(_empty(self._schema), tuple(rejected)), youngest
        tables = [pa.Table.from_batches([part.rows]) for part in parts]
        joined = pa.concat_tables(tables, promote_options="permissive").combine_chunks().to_batches()
        return Fetched(joined[0] if joined else parts[-1].rows, tuple(rejected)), youngest

    def _taken(self, batch: Batch, brought: pa.RecordBatch, before: int) -> Fetched:
        """The rows of a batch that fit, with their marks; `before` are those that fit of the batches in front of it."""
        own = batch.rows.select(user_columns(batch.rows.schema))
        fitted = conformed(own, self._schema, self._surroundings.declared, self._surroundings.evolution)
        self._schema = fitted.rows.schema
        bad = {fault.row: fault for fault in fitted.faults}
        kept = pa.array([row not in bad for row in range(batch.rows.num_rows)], pa.bool_())
        marks = brought.filter(kept)
        rows = pa.RecordBatch.from_arrays(
            [*fitted.rows.columns, *marks.columns], schema=pa.schema([*fitted.rows.schema, *marks.schema])
        )
        whole = pa.RecordBatch.from_arrays(
            [*own.columns, *brought.columns], schema=pa.schema([*own.schema, *brought.schema])
        )
        aside = [
            SourceRow(
                row_text(whole, row),
                fault.reason,
                fault.detail,
                _place(batch.raw, row),
                fault.column,
                behind=before + row - at,
            )
            for at, (row, fault) in enumerate(sorted(bad.items()))
        ]
        return Fetched(rows, tuple(aside))

    def _leave(self) -> None:
        if self._replay is not None:
            self._replay.close()
        self._replay, self._at = None, None


def _behind(records: Records) -> Mapping[int, int]:
    """The offset behind the last record of each partition."""
    partition, offset = records.partition.to_numpy(), records.offset.to_numpy()
    return {int(number): int(offset[partition == number].max()) + 1 for number in np.unique(partition)}


def _marks(batch: Batch, base: int) -> pa.RecordBatch:
    """What the rows of a batch bring beside their columns."""
    marks = batch.rows.select(_MARKS)
    if base < 0:
        return marks
    age = pc.add(age_of(batch.rows), pa.scalar(base, pa.int64()))
    schema = marks.schema.append(pa.field(ORIGIN_OFFSET, pa.int64()))
    return pa.RecordBatch.from_arrays([*marks.columns, age], schema=schema)


def _unread(records: Records, rejection: Rejection) -> SourceRow:
    row = rejection.row
    return SourceRow(records.values[row] or b"", rejection.reason, rejection.detail, _place(records, row))


def _place(records: Records, row: int) -> str:
    return f"{records.topic}[{records.partition[row].as_py()}]@{records.offset[row].as_py()}"


def _select(schema: pa.Schema, names: list[str]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in names])


def _empty(schema: pa.Schema | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema or pa.schema([]))


def opened(source: DatasetSource, surroundings: Surroundings) -> DatasetConnector:
    """The connector of another dataset. Errors: Fatal when ingest was not told of the platform's brokers and registry."""
    options = dict(surroundings.kafka)
    if "bootstrap.servers" not in options or not surroundings.registry_url:
        raise Fatal(
            "sources of type dataset read the platform's own topics, and ingest was told of no broker or registry"
        )
    connection = Connection(options.pop("bootstrap.servers"), options)
    return DatasetConnector(source, surroundings, connection, Registry(surroundings.registry_url))

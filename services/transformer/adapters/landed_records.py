"""Reads a dataset's raw records from the lake, in the order in which they were landed, as staged records.

A landing is what one commit added: of each partition it has the records that follow those of the commit before. So one landing
after the other, sorted by partition and offset, is the order of the topic, and no more than one is in memory.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise, takewhile
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import (
    AlwaysFalse,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    LessThan,
    Or,
    Reference,
)
from pyiceberg.expressions.literals import literal
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import DataFile, ManifestEntry
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import IntegerType, LongType, PrimitiveType
from sqlalchemy.exc import SQLAlchemyError

from headrace.errors import Fatal, Transient
from headrace.stream import columns, topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.lake import existing_catalog, landing_table, offsets_of
from headrace.stream.lake_settings import LakeSettings
from headrace.stream.registry import Schemas
from headrace.stream.stage import Records
from services.transformer.core.landed import restored, staged_schema
from services.transformer.core.stretches import Stretch

_ORDER: Final[list[tuple[str, Literal["ascending", "descending"]]]] = [
    (columns.PARTITION, "ascending"),
    (columns.OFFSET, "ascending"),
]


@dataclass(frozen=True, slots=True)
class Landings:
    """How far each partition is landed, and the landings in which something is that was asked for."""

    reached: Mapping[int, int]
    each: Iterator[pa.Table]


class LandedRecords:
    """The landing table of one dataset, for one who only looks."""

    def __init__(self, settings: LakeSettings, registry: Schemas, dataset: str) -> None:
        self._settings = settings
        self._registry = registry
        self._dataset = dataset
        self._table = landing_table(dataset)
        self._codecs: dict[int, tuple[pa.Schema, Codec, int]] = {}

    def landings(self, wanted: Mapping[int, Stretch]) -> Landings:
        """What is landed of these stretches, by partition. Errors: Transient, also while it is read; Fatal without a lake."""
        try:
            catalog = existing_catalog(self._settings)
            table = None if catalog is None else catalog.load_table(self._table)
        except NoSuchTableError:
            table = None
        except (SQLAlchemyError, OSError) as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise Fatal(f"HEADRACE_LAKE_URI of the transformer leads to no lake: {error}") from error
        if table is None or (snapshot := table.current_snapshot()) is None or snapshot.summary is None:
            raise Fatal(
                f"records of {topics.staged(self._dataset)} are deleted, and the lake has no table {self._table} to read them "
                "from: see HEADRACE_LAKE_URI of the transformer"
            )
        reached = offsets_of(snapshot.summary.additional_properties)
        there = {number: part for number, part in wanted.items() if reached.get(number, 0) > part.next}
        return Landings(reached, self._read(table, snapshot, there) if there else iter(()))

    def records(self, rows: pa.Table) -> Records:
        """Landed rows as records of the raw topic, by place and time, whose values are those of the staged topic.

        Errors: Transient; Fatal when the lake has them otherwise than they were landed.
        """
        values: list[bytes] = []
        for batch in rows.combine_chunks().to_batches():
            ids: list[int] = batch.column(columns.SCHEMA_ID).to_numpy().tolist()
            for schema_id, run in groupby(range(len(ids)), ids.__getitem__):
                at = list(run)
                values += self._encoded(schema_id, batch.slice(at[0], len(at)))
        return Records(
            topics.raw(self._dataset),
            _column(rows, columns.PARTITION, pa.int32()),
            _column(rows, columns.OFFSET, pa.int64()),
            pc.divide(_column(rows, columns.INGESTED_AT, columns.TIMESTAMP).cast(pa.int64()), pa.scalar(1000)),
            [None] * len(values),
            values,
        )

    def _encoded(self, schema_id: int, rows: pa.RecordBatch) -> list[bytes]:
        schema, codec, staged_id = self._codec(schema_id)
        try:
            return list(codec.encode(restored(rows, schema), staged_id))
        except ValueError as error:
            raise Fatal(f"{self._table} cannot be read as it was landed: {error}") from error

    def _codec(self, schema_id: int) -> tuple[pa.Schema, Codec, int]:
        """The staged schema of records that were written with a raw one."""
        if schema_id not in self._codecs:
            avro = self._registry.schema(schema_id)
            if avro is None:
                raise Fatal(
                    f"the registry has forgotten schema {schema_id}, which records of {self._table} were written with"
                )
            schema = staged_schema(Codec(avro).arrow_schema)
            written = avro_schema(schema, self._dataset)
            staged_id = self._registry.register(topics.subject(topics.staged(self._dataset)), written)
            self._codecs[schema_id] = schema, Codec(written), staged_id
        return self._codecs[schema_id]

    def _read(self, table: Table, snapshot: Snapshot, wanted: Mapping[int, Stretch]) -> Iterator[pa.Table]:
        """The rows of one landing after the other; between two there may be tables without any, so that it never takes long."""
        scan = ArrowScan(table.metadata, table.io, table.schema(), _any_of(wanted))
        nothing = table.schema().as_arrow().empty_table()
        try:
            for entries in self._landings_of(table, snapshot, wanted):
                tasks = [FileScanTask(entry.data_file) for entry in entries]
                yield scan.to_table(tasks).sort_by(_ORDER) if tasks else nothing
        except (FileNotFoundError, ValueError) as error:  # the second: Arrow's, of a file that is none
            raise Fatal(f"{self._table} lacks a file that was landed, or has it otherwise: {error}") from error
        except (SQLAlchemyError, OSError) as error:
            raise self._unreachable(error) from error

    @staticmethod
    def _landings_of(
        table: Table, snapshot: Snapshot, wanted: Mapping[int, Stretch]
    ) -> Iterator[Sequence[ManifestEntry]]:
        """The files of each landing in which something wanted may be, in their order; after each manifest that was read, none.

        Each landing makes a manifest of its own, of which there may be tens of thousands. Where they were merged since, one has
        files of several landings.
        """
        bounds = _Bounds(table)
        manifests = sorted(snapshot.manifests(table.io), key=lambda manifest: manifest.min_sequence_number or 0)
        waiting: list[ManifestEntry] = []
        for manifest, behind in pairwise([*manifests, None]):
            assert manifest is not None
            found = manifest.fetch_manifest_entry(table.io)
            waiting += [entry for entry in found if bounds.may_have(entry.data_file, wanted)]
            waiting.sort(key=_sequence_number)
            until = math.inf if behind is None else behind.min_sequence_number or 0
            whole = list(takewhile(lambda entry: _sequence_number(entry) < until, waiting))  # noqa: B023 - used at once
            waiting = waiting[len(whole) :]
            yield from (list(entries) for _, entries in groupby(whole, _sequence_number))
            yield ()

    def _unreachable(self, error: Exception) -> Transient:
        return Transient(f"reading {self._table}: the lake cannot be asked: {error}")


class _Bounds:
    """What the statistics of a file say of the places of its records."""

    def __init__(self, table: Table) -> None:
        self._partition = table.schema().find_field(columns.PARTITION).field_id
        self._offset = table.schema().find_field(columns.OFFSET).field_id

    def may_have(self, file: DataFile, wanted: Mapping[int, Stretch]) -> bool:
        """Whether a wanted record may be in a file."""
        first, last = self._of(file, self._partition, IntegerType())
        low, high = self._of(file, self._offset, LongType())
        return any(
            (first is None or first <= number)
            and (last is None or number <= last)
            and (high is None or part.next <= high)
            and (low is None or low < part.until)
            for number, part in wanted.items()
        )

    @staticmethod
    def _of(file: DataFile, field_id: int, kind: PrimitiveType) -> tuple[Any, Any]:
        low, high = (file.lower_bounds or {}).get(field_id), (file.upper_bounds or {}).get(field_id)
        return None if low is None else from_bytes(kind, low), None if high is None else from_bytes(kind, high)


def _any_of(wanted: Mapping[int, Stretch]) -> BooleanExpression:
    each: list[BooleanExpression] = []
    for number, part in wanted.items():
        here = EqualTo(term=Reference(columns.PARTITION), value=literal(number))
        begun = GreaterThanOrEqual(term=Reference(columns.OFFSET), value=literal(part.next))
        each.append(And(here, begun, LessThan(term=Reference(columns.OFFSET), value=literal(part.until))))
    return Or(AlwaysFalse(), AlwaysFalse(), *each)  # of many it makes a tree that is not deep


def _sequence_number(entry: ManifestEntry) -> int:
    return entry.sequence_number or 0


def _column(rows: pa.Table, name: str, kind: pa.DataType) -> Any:
    return rows.column(name).combine_chunks().cast(kind)

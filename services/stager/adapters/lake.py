"""Lands raw records in an Apache Iceberg table, exactly once: a snapshot holds the rows and how far they reach."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationError,
)
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from sqlalchemy.exc import SQLAlchemyError

from headrace.errors import Fatal, Fenced, Transient
from headrace.stream import columns
from headrace.stream.lake import landing_table, offsets_of, properties_of

_PROPERTIES: Final = {
    "commit.retry.num-retries": "0",  # a retry would commit on top of another's offsets: `append` decides
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.parquet.compression-codec": "zstd",
}
_SNAPSHOTS: Final = 500  # how many are kept: at a landing every 15 s, two hours of them
_DAY: Final = "_ingested_day"  # no dataset can have a column of this name
_CONFLICTS: Final = 5


class LakeTable:
    """The landing table of one dataset. `on_created` is called once, when its first record makes it."""

    def __init__(
        self, catalog: Catalog, dataset: str, on_created: Callable[[str], None], snapshots: int = _SNAPSHOTS
    ) -> None:
        self._catalog = catalog
        self._namespace = dataset.partition(".")[0]
        self.identifier = landing_table(dataset)
        self._on_created = on_created
        self._snapshots = snapshots
        self._base: dict[int, int] = {}

    def positions(self, partitions: list[int]) -> Mapping[int, int]:
        """The next offset to land of each partition that was landed before."""
        landed = self._landed(self._load())
        self._base = {number: landed[number] for number in partitions if number in landed}
        return dict(self._base)

    def append(self, rows: pa.Table | None, next_offsets: Mapping[int, int]) -> None:
        """Add rows and move the offsets of their partitions, both or neither. Without rows the offsets of a table that is there.

        Errors: Fenced when another has landed these partitions since; Transient.
        """
        for _ in range(_CONFLICTS):
            try:
                with self._failures("landing in"):
                    table = self._load() if rows is None else self._ready(rows.schema)
                    if table is None:
                        return
                    self._append(table, rows, next_offsets)
            except (CommitFailedException, TableAlreadyExistsError, NamespaceAlreadyExistsError):
                continue  # another made the table or landed its own partitions in between: look again
            self._base.update(next_offsets)
            return
        raise Transient(f"landing in {self.identifier}: {_CONFLICTS} others committed in between")

    def _append(self, table: Table, rows: pa.Table | None, next_offsets: Mapping[int, int]) -> None:
        landed = self._landed(table)
        for number in next_offsets:
            if landed.get(number) != self._base.get(number):
                raise Fenced(
                    f"{self.identifier}: partition {number} was landed to {landed.get(number)} by another, "
                    f"not to {self._base.get(number)}"
                )
        rows = table.schema().as_arrow().empty_table() if rows is None else rows
        table.append(rows, snapshot_properties=properties_of({**landed, **next_offsets}))
        self._forget_old_snapshots(table)

    def _forget_old_snapshots(self, table: Table) -> None:
        """Each landing is a snapshot, and each commit lists all of them. The current one has the offsets of all partitions."""
        snapshots = sorted(table.snapshots(), key=lambda snapshot: snapshot.sequence_number or 0)
        if len(snapshots) > 2 * self._snapshots:
            old = [snapshot.snapshot_id for snapshot in snapshots[: -self._snapshots]]
            with suppress(CommitFailedException):  # another has landed in between: the next landing tries again
                table.maintenance.expire_snapshots().by_ids(old).commit()

    def _load(self) -> Table | None:
        with self._failures("opening"):
            try:
                return self._catalog.load_table(self.identifier)
            except NoSuchTableError:
                return None

    @contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (CommitStateUnknownException, SQLAlchemyError, OSError) as error:
            raise Transient(f"{doing} {self.identifier}: {error}") from error
        except (ValidationError, ValueError) as error:
            raise Fatal(f"{doing} {self.identifier}: the records do not fit the table: {error}") from error

    def _ready(self, schema: pa.Schema) -> Table:
        """The table, made or widened so that `schema` fits."""
        table = self._load()
        if table is None:
            self._catalog.create_namespace_if_not_exists(self._namespace)
            making = self._catalog.create_table_transaction(self.identifier, schema, properties=_PROPERTIES)
            with making, making.update_spec() as spec:
                spec.add_field(columns.INGESTED_AT, DayTransform(), _DAY)
            table = self._catalog.load_table(self.identifier)
            self._on_created(self.identifier)
            return table
        with table.update_schema() as update:  # of nothing new nothing is written
            update.union_by_name(schema)
        return table

    @staticmethod
    def _landed(table: Table | None) -> dict[int, int]:
        snapshot = table.current_snapshot() if table is not None else None
        return offsets_of(snapshot.summary.additional_properties) if snapshot and snapshot.summary else {}


class Waiting:
    """Records that wait to be landed together."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self.next_offsets: dict[int, int] = {}
        self.rows = 0
        self.size_bytes = 0
        self.since = time.monotonic()

    def add(self, tables: list[pa.Table], next_offsets: Mapping[int, int]) -> None:
        """Let these wait, too."""
        self.tables += tables
        self.next_offsets.update(next_offsets)
        self.rows += sum(table.num_rows for table in tables)
        self.size_bytes += sum(table.nbytes for table in tables)

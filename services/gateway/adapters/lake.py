"""Finds a raw record where it was landed in the lake. The gateway only looks: it makes nothing there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import And, BooleanExpression, EqualTo, Reference
from pyiceberg.expressions.literals import literal
from pyiceberg.table import FileScanTask, Table
from sqlalchemy.exc import SQLAlchemyError

from headrace.errors import Transient
from headrace.stream import columns
from headrace.stream.lake import existing_catalog, landing_table, offsets_of
from headrace.stream.lake_settings import LakeSettings
from services.gateway.adapters.trail import fields_of
from services.gateway.core.passport import Place

_MOST_FILES: Final = 50
#: What landing adds to a raw record.
_ADDED: Final = {field.name for field in columns.STAGED_FIELDS} - {field.name for field in columns.RAW_FIELDS} | {
    columns.SCHEMA_ID
}


@dataclass(frozen=True, slots=True)
class Landed:
    """Whether a raw record is in the lake, and where. `fields` are its columns there, and the system's.

    waiting: the lander has not come so far. left_out: it has, and the record is not there, as one that cannot be decoded.
    unreachable: the lake cannot be asked; `detail` says why. none: there is no lake, or no table in it.
    """

    state: Literal["landed", "waiting", "left_out", "none", "unreachable"]
    table: str
    file: str | None = None
    detail: str = ""
    fields: dict[str, Any] | None = None

    @property
    def own_fields(self) -> dict[str, Any] | None:
        """The fields that the raw record itself has."""
        return None if self.fields is None else {name: self.fields[name] for name in self.fields if name not in _ADDED}


@dataclass(frozen=True, slots=True)
class LakeSize:
    """How much of a dataset is landed."""

    rows: int
    size_bytes: int


class Lake:
    """The tables of landed records."""

    def __init__(self, settings: LakeSettings) -> None:
        self._settings = settings

    def reached(self, dataset: str) -> Mapping[int, int]:
        """How far each partition is landed, as its next offset; empty without a lake, or a table in it. Errors: Transient."""
        try:
            catalog = existing_catalog(self._settings)
            return {} if catalog is None else _reached(catalog.load_table(landing_table(dataset)))
        except NoSuchTableError:
            return {}
        except (SQLAlchemyError, OSError, ValueError) as error:
            raise Transient(f"the lake cannot be asked: {error}") from error

    def size(self, dataset: str) -> LakeSize | None:
        """How much is landed of a dataset; None without a lake, or a table in it. Errors: Transient."""
        try:
            catalog = existing_catalog(self._settings)
            snapshot = None if catalog is None else catalog.load_table(landing_table(dataset)).current_snapshot()
        except NoSuchTableError:
            return None
        except (SQLAlchemyError, OSError, ValueError) as error:
            raise Transient(f"the lake cannot be asked: {error}") from error
        if snapshot is None or snapshot.summary is None:
            return None
        told = snapshot.summary.additional_properties
        return LakeSize(int(told.get("total-records", 0)), int(told.get("total-files-size", 0)))

    def find(self, dataset: str, place: Place, written_at: datetime | None = None) -> Landed:
        """Where a raw record was landed. To say when it was written to its topic spares looking at other days."""
        name = landing_table(dataset)
        try:
            catalog = existing_catalog(self._settings)
            if catalog is None:
                return Landed("none", name, detail="there is no lake here: see HEADRACE_LAKE_URI of the gateway")
            return _found(catalog.load_table(name), name, place, written_at)
        except NoSuchTableError:
            return Landed("none", name, detail="nothing of the dataset was landed yet")
        except (SQLAlchemyError, OSError, ValueError, Transient) as error:
            return Landed("unreachable", name, detail=f"the lake cannot be asked: {error}")


def _found(table: Table, name: str, place: Place, written_at: datetime | None) -> Landed:
    tasks = list(table.scan(row_filter=_condition(place, written_at)).plan_files())
    for task in tasks[:_MOST_FILES]:
        if (row := _row(table, task, place)) is not None:
            return Landed("landed", name, task.file.file_path, fields=fields_of(row))
    if len(tasks) > _MOST_FILES:
        return Landed(
            "unreachable", name, detail=f"it may be in any of {len(tasks)} files; {_MOST_FILES} were looked at"
        )
    reached = _reached(table).get(place.partition, 0)
    if reached <= place.offset:
        return Landed("waiting", name, detail=f"not landed yet: partition {place.partition} is landed up to {reached}")
    return Landed("left_out", name, detail="the lander has passed it: it is not a record that can be decoded")


def _condition(place: Place, written_at: datetime | None) -> BooleanExpression:
    here: BooleanExpression = And(_equal(columns.PARTITION, place.partition), _equal(columns.OFFSET, place.offset))
    return here if written_at is None else And(here, _equal(columns.INGESTED_AT, written_at.isoformat()))


def _equal(column: str, value: int | str) -> BooleanExpression:
    return EqualTo(term=Reference(column), value=literal(value))


def _row(table: Table, task: FileScanTask, place: Place) -> pa.RecordBatch | None:
    """The row of a file that the record is, if it is there."""
    here = (pc.field(columns.PARTITION) == place.partition) & (pc.field(columns.OFFSET) == place.offset)
    with table.io.new_input(task.file.file_path).open() as file:
        found = pq.read_table(file, filters=here)  # type: ignore[arg-type]  # the stubs want a file of their own
    return found.combine_chunks().to_batches()[0] if found.num_rows else None


def _reached(table: Table) -> Mapping[int, int]:
    snapshot = table.current_snapshot()
    return offsets_of(snapshot.summary.additional_properties) if snapshot and snapshot.summary else {}

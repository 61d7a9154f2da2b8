"""Decides what a dataset's tables and view are: engine, order, columns, retention, and the statements that make them.

Everything here is a value; `services/loader/adapters/clickhouse.py` carries it out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from headrace.contract import Contract
from headrace.errors import Fatal
from headrace.stream import columns
from headrace.stream.generation_table import table_name
from services.loader.core.evolution import Evolution
from services.loader.core.types import Type, literal, of_field, quoted

LOAD_PARTITION: Final = "_load_partition"
LOAD_OFFSET: Final = "_load_offset"
ROW_VERSION: Final = "_row_version"
IS_DELETED: Final = "_is_deleted"

#: Where a row stood in the topic the loader reads: its identity in the table.
LOAD_FIELDS: Final = (
    pa.field(LOAD_PARTITION, pa.int32(), nullable=False),
    pa.field(LOAD_OFFSET, pa.int64(), nullable=False),
)
#: What ReplacingMergeTree needs to keep the newest row of a key, and to drop it when it was deleted.
UPSERT_FIELDS: Final = (
    pa.field(ROW_VERSION, pa.uint64(), nullable=False),
    pa.field(IS_DELETED, pa.uint8(), nullable=False),
)
INTERNAL: Final = frozenset(column.name for column in (*LOAD_FIELDS, *UPSERT_FIELDS))

_COMMENTS: Final = {
    columns.PARTITION: "Partition of the raw record.",
    columns.OFFSET: "Offset of the raw record: with _partition, where the row came from.",
    columns.SEQ: "Which of the rows made from the raw record this is.",
    columns.INGESTED_AT: "When the raw record was ingested.",
    columns.SOURCE_TS: "When the source says the row changed.",
    columns.OP: "What happened to the row at the source: insert, update, delete or snapshot.",
    columns.VERSION: "Version of the dataset file that made the row.",
    columns.FLAGS: "Checks that flagged the row.",
    columns.QUARANTINE_ID: "The quarantined row that this one was before it was resubmitted.",
    columns.PARKED_AT: "Since when the row waited for its parent, if it did.",
    columns.ORIGIN_OFFSET: "The raw offset that the row is as old as, of one that was resubmitted or comes from another dataset.",
}
_INTERVALS: Final = {"h": "toIntervalHour", "d": "toIntervalDay", "m": "toIntervalMonth", "y": "toIntervalYear"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table the loader writes. A `key` makes it keep the newest row of each; `view` is the name people read it by.

    The view of a table that is loaded `in_runs` shows a whole run (`services.loader.core.runs`), not whatever there is.
    """

    database: str
    name: str
    order_by: tuple[str, ...]
    key: tuple[str, ...] = ()
    view: str | None = None
    in_runs: bool = False
    promotion: int = 0  # numbers the record by which it is live: see `headrace.stream.service.LiveDataset`
    generation: int = 1
    ttl: str | None = None
    description: str = ""
    comments: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """What fences and running queries call the table."""
        return f"{self.database}.{self.name}"

    @property
    def path(self) -> str:
        """The table in a statement."""
        return f"{quoted(self.database)}.{quoted(self.name)}"

    @property
    def fixed(self) -> frozenset[str]:
        """The columns whose type cannot change: the table is sorted by them."""
        return frozenset((*self.order_by, *self.key))


def table_of(dataset: str, generation: int) -> Table:
    """As much of the table of a generation as its names tell: of one that is to be dropped, nothing else is known."""
    database, _, name = dataset.partition(".")
    return Table(database, table_name(name, generation), (), view=name, generation=generation)


def published(contract: Contract, generation: int, *, live: bool = True, promotion: int = 0) -> Table:
    """The table of a dataset's rows. That of a generation which is not live is seen by no view."""
    upsert = contract.load.mode == "upsert"
    order_by = contract.load.order_by or contract.key
    return Table(
        contract.domain,
        table_name(contract.table, generation),
        order_by=tuple(order_by) or (LOAD_PARTITION, LOAD_OFFSET),
        key=tuple(contract.key) if upsert else (),
        view=contract.table if live else None,
        in_runs=contract.load.mode == "replace",
        promotion=promotion,
        generation=generation,
        ttl=_ttl(contract),
        description=contract.description,
        comments=_COMMENTS | {column.name: column.description or "" for column in contract.schema_.fields},
    )


def quarantined(contract: Contract) -> Table:
    """The table of a dataset's rows that were set aside."""
    return Table(
        contract.domain,
        f"{contract.table}__quarantine",
        order_by=(LOAD_PARTITION, LOAD_OFFSET),
        description=f"Records of {contract.dataset} that were set aside, each with its reason.",
    )


def _ttl(contract: Contract) -> str | None:
    """When a row expires. A row that does not say how old it is counts from its ingestion."""
    retention = contract.retention
    if retention is None:
        return None
    since = columns.INGESTED_AT
    if retention.element is not None:
        since = f"coalesce(toDateTime64({retention.element}, 0, 'UTC'), {since})"
    return f"{since} + {_INTERVALS[retention.unit]}({retention.value})"


def shape(schema: pa.Schema) -> dict[str, Type]:
    """The columns of a table that holds rows of this schema. Errors: Fatal when the warehouse has no type for one."""
    found: dict[str, Type] = {}
    for column in schema:
        try:
            found[column.name] = of_field(column)
        except ValueError as error:
            raise Fatal(f"column {column.name} cannot be loaded: {error}; give it another type") from error
    return found


def create_table(table: Table, held: Mapping[str, Type]) -> str:
    """The statement that makes the table, unless it is there. Errors: Fatal when its key or order names no column."""
    if missing := [name for name in table.fixed if name not in held]:
        raise Fatal(f"{table.id} is to be sorted by {', '.join(sorted(missing))}, and its rows have no such column")
    engine = f"ReplacingMergeTree({ROW_VERSION}, {IS_DELETED})" if table.key else "MergeTree"
    index = f"INDEX load_position ({LOAD_PARTITION}, {LOAD_OFFSET}) TYPE minmax GRANULARITY 1"
    if table.in_runs:
        index += f", INDEX raw_position ({columns.PARTITION}, {columns.OFFSET}) TYPE minmax GRANULARITY 1"
    nullable_order = any(held[name].nullable for name in table.order_by)
    return " ".join(
        (
            f"CREATE TABLE IF NOT EXISTS {table.path} ({_definitions(table, held)}, {index})",
            f"ENGINE = {engine} ORDER BY ({names(table.order_by)})",
            f"TTL {table.ttl}" if table.ttl else "",
            "SETTINGS allow_nullable_key = 1" if nullable_order else "",
            f"COMMENT {literal(table.description)}",
        )
    )


def create_view(table: Table, held: Mapping[str, Type], only: str | None = None) -> str:
    """The statement that makes the view show the table: the user's columns, then where each row came from.

    `only` is a condition that its rows meet.
    """
    shown = sorted((name for name in held if name not in INTERNAL), key=lambda name: name.startswith("_"))
    view = f"{quoted(table.database)}.{quoted(table.view or table.name)}"
    definitions = _definitions(table, {name: held[name] for name in shown})
    rows = f"SELECT {names(shown)} FROM {table.path}{' FINAL' if table.key else ''}"  # noqa: S608
    rows += f" WHERE {only}" if only else ""
    return f"CREATE VIEW {view} ({definitions}) AS {rows} COMMENT {literal(table.description)}"


def alter_columns(table: Table, evolution: Evolution, said: Mapping[str, str]) -> str | None:
    """The statement that brings columns and their comments up to date, if any is not. `said` holds the present comments."""
    commands = [
        *(f"ADD COLUMN IF NOT EXISTS {_definition(table, name, kind)}" for name, kind in evolution.added.items()),
        *(f"MODIFY COLUMN {quoted(name)} {kind}" for name, kind in evolution.widened.items()),
        *(
            f"COMMENT COLUMN {quoted(name)} {literal(table.comments[name])}"
            for name, comment in said.items()
            if name in table.comments and table.comments[name] != comment
        ),
    ]
    return f"ALTER TABLE {table.path} {', '.join(commands)}" if commands else None


def alter_retention(table: Table, engine: str) -> str | None:
    """The statement that brings the retention up to date, if it is not. `engine` is the table's full engine clause."""
    kept = " TTL " in engine
    if table.ttl is None:
        return f"ALTER TABLE {table.path} REMOVE TTL" if kept else None
    if f" TTL {table.ttl}" in engine.replace("`", ""):
        return None
    return f"ALTER TABLE {table.path} MODIFY TTL {table.ttl}"


def names(of: Iterable[str]) -> str:
    """A list of columns in a statement."""
    return ", ".join(quoted(name) for name in of)


def _definitions(table: Table, held: Mapping[str, Type]) -> str:
    return ", ".join(_definition(table, name, kind) for name, kind in held.items())


def _definition(table: Table, name: str, kind: Type) -> str:
    comment = table.comments.get(name)
    return f"{quoted(name)} {kind}" + (f" COMMENT {literal(comment)}" if comment else "")

"""The statements that note beside the tables of reference data what each holds, and up to where its topic was read.

They are executed in one transaction with those that change the tables: what they say is what the tables hold.
"""

# ruff: noqa: S608 - the names are those of this module

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from headrace.errors import Transient
from headrace.transform.engine import Engine, Step
from headrace.transform.isolate import RowError
from headrace.transform.reference import CHANGES

_PREPARE: Final = (
    "CREATE SCHEMA IF NOT EXISTS kept; "
    "CREATE TABLE IF NOT EXISTS kept.tables "
    "(dataset VARCHAR, generation INTEGER, topic_id VARCHAR, shape VARCHAR, aged BOOLEAN); "
    "CREATE TABLE IF NOT EXISTS kept.offsets (dataset VARCHAR, part INTEGER, next BIGINT)"
)
_FIELDS: Final[tuple[pa.Field, ...]] = (
    pa.field("dataset", pa.string()),
    pa.field("part", pa.int32()),
    pa.field("next", pa.int64()),
)
_OFFSETS: Final = pa.schema(_FIELDS)
_NOTHING: Final = pa.RecordBatch.from_pylist([], schema=_OFFSETS)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a table holds: rows of this `shape`, of one topic. `aged` says that it is known how old each of them is."""

    generation: int
    topic_id: str
    shape: str
    aged: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What was kept, and the next offset to read of each partition that anything was read of."""

    kept: Kept
    offsets: Mapping[int, int]


def prepare(engine: Engine) -> None:
    """Have somewhere to note it. Errors: Fatal, Transient."""
    engine.load((_PREPARE, _NOTHING))


def found(engine: Engine) -> dict[str, Found]:
    """What is kept of each dataset. Errors: Fatal, Transient."""
    offsets: dict[str, dict[int, int]] = {}
    for row in _rows(engine, "SELECT dataset, part, next FROM kept.offsets"):
        offsets.setdefault(row["dataset"], {})[row["part"]] = row["next"]
    return {
        dataset: Found(Kept(**row), offsets.get(dataset, {}))
        for row in _rows(engine, "SELECT dataset, generation, topic_id, shape, aged FROM kept.tables")
        for dataset in (row.pop("dataset"),)
    }


def begun(dataset: str, kept: Kept) -> tuple[Step, ...]:
    """The steps that note that a table was made."""
    fields = {"generation": pa.int32(), "topic_id": pa.string(), "shape": pa.string(), "aged": pa.bool_()}
    row = {"dataset": dataset, **{name: getattr(kept, name) for name in fields}}
    schema = pa.schema([pa.field("dataset", pa.string()), *(pa.field(*each) for each in fields.items())])
    added = pa.RecordBatch.from_pylist([row], schema=schema)
    return *forgotten(dataset), (f"INSERT INTO kept.tables BY NAME SELECT * FROM {CHANGES}", added)


def forgotten(dataset: str) -> tuple[Step, ...]:
    """The steps that note that a table is gone."""
    of = pa.RecordBatch.from_pylist([{"dataset": dataset}], schema=pa.schema([pa.field("dataset", pa.string())]))
    gone = (
        f"DELETE FROM kept.{table} AS old USING {CHANGES} WHERE old.dataset = {CHANGES}.dataset" for table in _TABLES
    )
    return (("; ".join(gone), of),)


def read_to(dataset: str, offsets: Mapping[int, int]) -> Step:
    """The step that notes the next offset to read of some partitions."""
    rows = pa.RecordBatch.from_pylist(
        [{"dataset": dataset, "part": part, "next": offset} for part, offset in offsets.items()], schema=_OFFSETS
    )
    same = f"old.dataset = {CHANGES}.dataset AND old.part = {CHANGES}.part"
    return (
        f"DELETE FROM kept.offsets AS old USING {CHANGES} WHERE {same}; "
        f"INSERT INTO kept.offsets BY NAME SELECT * FROM {CHANGES}",
        rows,
    )


_TABLES: Final = ("tables", "offsets")


def _rows(engine: Engine, sql: str) -> Iterable[dict[str, Any]]:
    try:
        return engine.query(sql, _NOTHING).to_pylist()
    except RowError as error:  # of no row: a process that was ended since it was last asked
        raise Transient(f"what is kept of reference data cannot be told now: {error}") from error

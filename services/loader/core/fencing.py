"""Decides who may write a partition of a table, and which of its rows are still to be written.

Kafka decides who reads a partition, but a loader that was replaced may not have noticed yet. So before its
first insert a loader claims the partition with a fence that outranks every other, and each of its inserts
carries a guard that the engine checks: no fence of mine has been outranked. `docs/loading.md` tells the whole.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import Transient
from services.loader.core.table import LOAD_OFFSET, LOAD_PARTITION, Table, names, shape
from services.loader.core.types import literal

FENCES: Final = "`headrace`.`fences`"
CREATE_FENCES: Final = (
    f"CREATE TABLE IF NOT EXISTS {FENCES} "
    "(`table` String, `partition` Int32, epoch UInt64, owner String, claimed_at DateTime64(3, 'UTC') DEFAULT now64(3)) "
    "ENGINE = MergeTree ORDER BY (`table`, `partition`, epoch) "
    "COMMENT 'Which loader may write a partition of a table: the one with the greatest (epoch, owner).'"
)
FENCE_MOVED: Final = "fence moved"


class Fence(NamedTuple):
    """A claim to a partition. The greatest wins: of two made at once with one epoch, that of the greater owner."""

    epoch: int
    owner: str


class FenceMovedError(Transient):
    """A newer loader has claimed a partition.

    Transient, not Fenced: whose a partition is, Kafka decides. The loader that is outranked drops its claims and
    rewinds; if its group still gives it the partition it claims it again, if not it never sees it again.
    """


def successors(newest: Mapping[int, Fence], partitions: Iterable[int], owner: str) -> dict[int, Fence]:
    """The fences that outrank the newest of each partition."""
    return {number: Fence(newest[number].epoch + 1 if number in newest else 1, owner) for number in partitions}


def outranked(mine: Mapping[int, Fence], newest: Mapping[int, Fence]) -> list[int]:
    """The partitions of which another holds the newest fence."""
    return [number for number, fence in mine.items() if newest.get(number) != fence]


def remaining(rows: pa.Table, loaded: Mapping[int, pa.Int64Array]) -> pa.Table:
    """The rows that the table does not hold yet. `loaded` is, for each partition, the set of offsets it holds.

    A message of the topic is one row, so that partition and offset identify it.
    """
    partition, offset = rows.column(LOAD_PARTITION), rows.column(LOAD_OFFSET)
    for number, held in loaded.items():
        if len(held):
            keep = pc.invert(
                pc.and_(pc.equal(partition, pa.scalar(number, pa.int32())), pc.is_in(offset, value_set=held))
            )
            rows, partition, offset = rows.filter(keep), partition.filter(keep), offset.filter(keep)
    return rows


def newest_fences(table: Table, partitions: Iterable[int]) -> str:
    """The query for the newest fence of each partition: (partition, (epoch, owner))."""
    these = f"`table` = {literal(table.id)} AND `partition` IN ({', '.join(map(str, partitions))})"
    return f"SELECT `partition`, max((epoch, owner)) AS newest FROM {FENCES} WHERE {these} GROUP BY `partition`"  # noqa: S608


def insert_fences(table: Table, fences: Mapping[int, Fence]) -> str:
    """The statement that writes fences."""
    rows = ", ".join(
        f"({literal(table.id)}, {number}, {fence.epoch}, {literal(fence.owner)})" for number, fence in fences.items()
    )
    return f"INSERT INTO {FENCES} (`table`, `partition`, epoch, owner) VALUES {rows}"  # noqa: S608


def delete_fences(table: Table) -> str:
    """The statement that forgets who wrote a table that is gone."""
    return f"ALTER TABLE {FENCES} DELETE WHERE `table` = {literal(table.id)}"


def insert_rows(table: Table, schema: pa.Schema, fences: Mapping[int, Fence]) -> str:
    """The statement that writes the Arrow rows sent with it, unless one of `fences` has been outranked.

    The subquery is evaluated once, when the statement starts to run: what started before the fence moved is
    stopped by whoever moved it (`stop_inserts`).
    """
    held = shape(schema)
    structure = ", ".join(f"{names([name])} {kind}" for name, kind in held.items())
    expected = ", ".join(
        f"({number}, ({fence.epoch}, {literal(fence.owner)}))" for number, fence in sorted(fences.items())
    )
    valid = f"SELECT count() FROM ({newest_fences(table, fences)}) WHERE (`partition`, newest) IN ({expected})"  # noqa: S608
    guard = f"throwIf(({valid}) != {len(fences)}, {literal(FENCE_MOVED)}) = 0"
    rows = f"SELECT {names(held)} FROM input({literal(structure)}) WHERE {guard}"  # noqa: S608
    return f"INSERT INTO {table.path} ({names(held)}) {rows} FORMAT ArrowStream"


def mark(table: Table, partitions: Iterable[int]) -> str:
    """What an insert is known by among the running queries: a word for each partition it writes."""
    return " ".join(f"{table.id}/{number}" for number in sorted(partitions))


def stop_inserts(table: Table, partitions: Iterable[int]) -> str:
    """The statement that ends the running inserts into these partitions, and waits until they have ended."""
    words = ", ".join(literal(mark(table, [number])) for number in partitions)
    return f"KILL QUERY WHERE hasAny(splitByChar(' ', Settings['log_comment']), [{words}]) SYNC"


def loaded_offsets(table: Table, bases: Mapping[int, int]) -> str:
    """The query for what the table holds of each partition from its base on: (partition, offset)."""
    wanted = " OR ".join(f"({LOAD_PARTITION} = {number} AND {LOAD_OFFSET} >= {base})" for number, base in bases.items())
    return f"SELECT {LOAD_PARTITION}, {LOAD_OFFSET} FROM {table.path} WHERE {wanted}"  # noqa: S608

"""What rows hold, as sums that do not depend on their order: by stretch of raw offsets and by column.

Each value is hashed together with its row's identity, so that a value that changed, or went to another row, shows as a sum that
is another. Both sides of a comparison are hashed by the same engine, from the same types: those in which the warehouse
gives a column back. Source: DuckDB's `hash`, added up modulo 2^64.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa

from headrace.stream import columns

_MODULUS: Final = 1 << 64
_MOST_DIGITS: Final = 38  # of a decimal in DuckDB


class Place(NamedTuple):
    """A stretch of raw offsets of one partition."""

    partition: int
    start: int


@dataclass
class Digest:
    """The sums of rows that were added. Units: `width` is in raw offsets. Used by one thread at a time."""

    kinds: Mapping[str, pa.DataType]
    width: int
    rows: int = 0
    sums: dict[Place, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    #: Columns that cannot be compared: not every row has them, or not as the warehouse does.
    unlike: set[str] = field(default_factory=set)
    _engine: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)

    def add(self, rows: pa.RecordBatch | pa.Table, only: str = "true") -> None:
        """Add the rows that meet a condition on their raw offsets."""
        arrays: dict[str, Any] = {name: rows.column(name).cast(pa.int64()) for name in columns.IDENTITY}
        for name, kind in self.kinds.items():
            values = _plain(rows.column(name), kind) if name in rows.schema.names else None
            if values is None:
                self.unlike.add(name)
            elif name not in arrays and name not in self.unlike:
                arrays[name] = values
        compared = [name for name in arrays if name in self.kinds]
        hashed = ", ".join(f"sum({_hash(name, arrays[name].type)})" for name in compared)
        identity = f'"{columns.PARTITION}", "{columns.OFFSET}" // {self.width} * {self.width}'
        asked = f"SELECT {identity}, count(*){', ' if hashed else ''}{hashed} FROM given WHERE {only} GROUP BY ALL"  # noqa: S608
        self._engine.register("given", pa.table(arrays))
        try:
            for partition, start, count, *found in self._engine.sql(asked).fetchall():
                self.rows += count
                of_place = self.sums[Place(partition, start)]
                for name, value in zip(compared, found, strict=True):
                    of_place[name] = (of_place[name] + int(value)) % _MODULUS
        finally:
            self._engine.unregister("given")

    def close(self) -> None:
        """Give the engine up."""
        self._engine.close()


def differences(one: Digest, other: Digest) -> dict[Place, list[str]]:
    """Where two digests of the same width differ, and in which columns; in the order of places."""
    unlike = one.unlike | other.unlike
    found: dict[Place, list[str]] = {}
    for place in sorted(one.sums.keys() | other.sums.keys()):
        mine, theirs = one.sums.get(place, {}), other.sums.get(place, {})
        names = [name for name in one.kinds if name not in unlike and mine.get(name) != theirs.get(name)]
        if names:
            found[place] = names
    return found


def comparable(held: pa.Schema, leave: Iterable[str]) -> dict[str, pa.DataType]:
    """The columns of a table whose values can be compared, in the types it gives them back in.

    Left out is what is nested deeper than plain values: of lists in a list, those that are null come back empty.
    """
    left = set(leave)
    kinds = {each.name: _stored(each.type) for each in held if each.name not in left}
    return {name: kind for name, kind in kinds.items() if _comparable(kind)}


def _stored(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _comparable(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return all(_is_plain(each.type) for each in kind)
    if pa.types.is_map(kind):
        return _is_plain(kind.key_type) and _is_plain(kind.item_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_plain(kind.value_type)
    return _is_plain(kind) or pa.types.is_fixed_size_binary(kind)


def _is_plain(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_decimal(kind):
        return bool(kind.precision <= _MOST_DIGITS)
    tests = (
        types.is_boolean,
        types.is_integer,
        types.is_floating,
        types.is_string,
        types.is_large_string,
        types.is_temporal,
    )
    return any(test(kind) for test in tests)


def _plain(given: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array | None:
    """Values in the type that the warehouse gives them back in, or what that counts; None when they do not fit it."""
    values = given.combine_chunks() if isinstance(given, pa.ChunkedArray) else given
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    try:
        # What is text for the warehouse may be any bytes.
        return values.cast(pa.large_binary()) if text else _counted(values.cast(kind))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return None


def _counted(values: pa.Array) -> pa.Array:
    """Times as what they count: an engine that counts in another unit would round them."""
    kind = values.type
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return values.cast(pa.int32())
    if pa.types.is_temporal(kind):
        return values.cast(pa.int64())
    return values


def _hash(name: str, kind: pa.DataType) -> str:
    """The hash of a column's value in SQL. What is stored empty where it is null counts as null either way."""
    column = '"' + name.replace('"', '""') + '"'
    row = ", ".join(f'"{each}"' for each in columns.IDENTITY)
    hashed = f"hash({row}, {column})"
    if pa.types.is_map(kind):
        return f"CASE WHEN {column} IS NULL OR cardinality({column}) = 0 THEN hash({row}) ELSE {hashed} END"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"CASE WHEN {column} IS NULL OR len({column}) = 0 THEN hash({row}) ELSE {hashed} END"
    return hashed


def told(found: Mapping[Place, Sequence[str]]) -> str:
    """Where rows differ, for a person; of places that are single rows."""
    place, names = next(iter(found.items()))
    others = f" and {len(found) - 1} more rows near it" if len(found) > 1 else ""
    return f"{', '.join(names)} of the row {place.partition}:{place.start}{others}"

"""Columns for what a message is beside its value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from headrace.errors import Fatal
from headrace.stream.columns import OP, TIMESTAMP
from services.ingest.connectors.kafka.topic import Messages
from services.ingest.connectors.kafka.values import Decoded, texts
from services.ingest.core.faults import Fault

_HEADERS: Final = pa.list_(pa.struct([pa.field("name", pa.string()), pa.field("value", pa.binary())]))
_TYPES: Final[Mapping[str, pa.DataType]] = {
    "key": pa.string(),
    "partition": pa.int32(),
    "offset": pa.int64(),
    "timestamp": TIMESTAMP,
    "headers": _HEADERS,
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """The names of the columns that are wanted, by what they hold."""

    named: Mapping[str, str]

    @property
    def fields(self) -> list[pa.Field]:
        """The columns."""
        return [pa.field(name, _TYPES[what]) for what, name in self.named.items()]

    def without(self, schema: pa.Schema) -> pa.Schema:
        """The columns that are those of values."""
        return pa.schema([field for field in schema if field.name not in self.named.values()])

    def beside(self, found: Decoded, messages: Messages, pinned: pa.Schema | None) -> Decoded:
        """Rows with these columns among theirs: in the order of `pinned`, then these, then what is new.

        Errors: Fatal when values have a column of the same name.
        """
        if taken := [name for name in self.named.values() if name in found.rows.schema.names]:
            raise Fatal(f"the messages have a column {taken[0]} themselves; name that of source.metadata otherwise")
        found, arrays = self._arrays(found, messages)
        columns = dict(zip(found.rows.schema.names, found.rows.columns, strict=True))
        fields = {field.name: field for field in [*self.fields, *found.rows.schema]}
        columns |= dict(zip(self.named.values(), arrays, strict=True))
        own = [*(pinned.names if pinned is not None else []), *self.with_those_of(found.rows.schema, pinned)]
        names = [name for name in dict.fromkeys(own) if name != OP] + ([OP] if OP in columns else [])
        rows = pa.RecordBatch.from_arrays(
            [columns[name] for name in names], schema=pa.schema([fields[name] for name in names])
        )
        return Decoded(rows, found.index, found.faults, found.held)

    def with_those_of(self, schema: pa.Schema, pinned: pa.Schema | None) -> list[str]:
        """The names of all columns; at the first time values come first, later what is new comes last."""
        own = list(self.named.values())
        return [*schema.names, *own] if pinned is None else [*own, *schema.names]

    def _arrays(self, found: Decoded, messages: Messages) -> tuple[Decoded, list[pa.Array]]:
        """The columns for the rows, of which those are left out whose key is no text."""
        if "key" in self.named:
            _, bad = texts([messages.records.keys[row] for row in found.index])
            if bad.any():
                name = self.named["key"]
                faults = [Fault(int(row), "unreadable_row", "the key is not UTF-8", name) for row in found.index[bad]]
                kept = pa.array(np.flatnonzero(~bad), pa.int64())
                every = sorted([*found.faults, *faults], key=lambda fault: fault.row)
                found = Decoded(found.rows.take(kept), found.index[~bad], every, found.held)
        return found, [_MADE[what](messages, found.index.tolist()) for what in self.named]


def _keys(messages: Messages, rows: Sequence[int]) -> pa.Array:
    return texts([messages.records.keys[row] for row in rows])[0]


def _timestamps(messages: Messages, rows: Sequence[int]) -> pa.Array:
    given = messages.records.timestamp_ms.to_numpy()[list(rows)]
    return pa.array(given, pa.timestamp("ms", "UTC"), mask=given < 0).cast(TIMESTAMP)  # -1: it has none


def _headers(messages: Messages, rows: Sequence[int]) -> pa.Array:
    found = [messages.headers[row] for row in rows]
    lists = [[{"name": name, "value": value} for name, value in each or ()] for each in found]
    return pa.array(lists, _HEADERS)


_MADE: Final[Mapping[str, Callable[[Messages, Sequence[int]], pa.Array]]] = {
    "key": _keys,
    "partition": lambda messages, rows: messages.records.partition.take(pa.array(rows, pa.int64())),
    "offset": lambda messages, rows: messages.records.offset.take(pa.array(rows, pa.int64())),
    "timestamp": _timestamps,
    "headers": _headers,
}

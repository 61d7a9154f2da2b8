"""What a message without a value is: nothing, or the deletion of the row that its key tells."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from headrace.errors import Fatal
from headrace.stream.columns import OP
from services.ingest.connectors.kafka.topic import Messages
from services.ingest.connectors.kafka.values import Decoded, Decoder
from services.ingest.core.faults import Fault
from services.ingest.core.lines import Int64s


@dataclass(frozen=True, slots=True)
class SkippingDecoder:
    """Passes over messages without a value."""

    values: Decoder

    def sample(self, messages: Messages) -> pa.Schema:
        """See `Decoder.sample`."""
        return self.values.sample(messages.take(_split(messages)[0].tolist()))

    def decode(self, messages: Messages, schema: pa.Schema) -> Decoded:
        """See `Decoder.decode`."""
        written, _ = _split(messages)
        return moved(self.values.decode(messages.take(written.tolist()), schema), written)


@dataclass(frozen=True, slots=True)
class DeletingDecoder:
    """Makes a row whose `_op` is `delete`, and which has nothing but its key, of a message without a value."""

    values: Decoder
    keys: Decoder
    columns: Sequence[str]

    def sample(self, messages: Messages) -> pa.Schema:
        """See `Decoder.sample`."""
        return self.values.sample(messages.take(_split(messages)[0].tolist()))

    def decode(self, messages: Messages, schema: pa.Schema) -> Decoded:
        """See `Decoder.decode`."""
        written, deleted = _split(messages)
        rows = moved(self.values.decode(messages.take(written.tolist()), schema), written)
        rows = replace(rows, rows=_with_op(rows.rows, "insert"))
        if not len(deleted):
            return rows
        return merged(rows, moved(self._deletions(messages.take(deleted.tolist()), rows.rows.schema), deleted))

    def _deletions(self, messages: Messages, schema: pa.Schema) -> Decoded:
        if missing := [name for name in self.columns if name not in schema.names]:
            raise Fatal(f"the messages have no column {missing[0]}; correct source.key.columns")
        keyed = np.array([row for row, key in enumerate(messages.records.keys) if key is not None], np.int64)
        bare = set(range(len(messages))) - set(keyed.tolist())
        faults = [Fault(row, "missing_value", "it has neither a value nor a key to delete by") for row in sorted(bare)]
        records = messages.take(keyed.tolist()).records
        keys = Messages(replace(records, values=records.keys))
        found = moved(self.keys.decode(keys, pa.schema([schema.field(name) for name in self.columns])), keyed)
        given = {name: found.rows.column(name) for name in self.columns}
        count = found.rows.num_rows
        given[OP] = pa.repeat(pa.scalar("delete"), count)
        arrays = [given.get(field.name, pa.nulls(count, field.type)) for field in schema]
        return replace(found, rows=pa.RecordBatch.from_arrays(arrays, schema=schema), faults=[*faults, *found.faults])


def _split(messages: Messages) -> tuple[Int64s, Int64s]:
    """The messages with a value, and those without."""
    if None not in messages.records.values:
        return np.arange(len(messages)), np.zeros(0, np.int64)
    there = np.fromiter((value is not None for value in messages.records.values), bool, len(messages))
    return np.flatnonzero(there), np.flatnonzero(~there)


def _with_op(rows: pa.RecordBatch, op: str) -> pa.RecordBatch:
    return rows.append_column(pa.field(OP, pa.string()), pa.repeat(pa.scalar(op), rows.num_rows))


def moved(found: Decoded, rows: Int64s) -> Decoded:
    """What became of the messages at `rows`, as of all messages."""
    faults = [replace(fault, row=int(rows[fault.row])) for fault in found.faults]
    return Decoded(found.rows, rows[found.index], faults, [int(rows[row]) for row in found.held])


def merged(first: Decoded, second: Decoded) -> Decoded:
    """What became of messages that were decoded in two ways, into rows of the same schema."""
    index = np.concatenate([first.index, second.index])
    order = np.argsort(index, kind="stable")
    rows = pa.Table.from_batches([first.rows, second.rows]).take(order).combine_chunks().to_batches()
    faults = sorted([*first.faults, *second.faults], key=lambda fault: fault.row)
    return Decoded(rows[0] if rows else first.rows, index[order], faults, sorted([*first.held, *second.held]))

"""How Avro messages become rows: by the schema each of them names, or all by one."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from headrace.errors import Fatal
from headrace.stream.codec import Codec, schema_id_of
from services.ingest.connectors.kafka.registry import Denials, ForeignRegistry
from services.ingest.connectors.kafka.topic import Messages
from services.ingest.connectors.kafka.values import Decoded, placed, values_of
from services.ingest.core.drift import Evolution
from services.ingest.core.faults import Fault
from services.ingest.core.lines import Int64s
from services.ingest.core.tables import conformed, described

_BARE = b"\0\0\0\0\0"  # what the codec expects in front of a record


@dataclass(frozen=True, slots=True)
class BareDecoder:
    """A value is a record of the one schema, and nothing else."""

    codec: Codec
    declared: Mapping[str, pa.DataType]
    evolution: Evolution
    column: str  # the name of the one column when the schema is not of records

    def sample(self, messages: Messages) -> pa.Schema:
        """See `Decoder.sample`."""
        del messages
        return described(_named(self.codec.arrow_schema, self.column), self.declared)

    def decode(self, messages: Messages, schema: pa.Schema) -> Decoded:
        """See `Decoder.decode`."""
        values = [_BARE + value for value in values_of(messages)]
        rows, index, faults = _decoded(self.codec, values, np.arange(len(values)), self.column)
        return placed(conformed(rows, schema, self.declared, self.evolution), index, faults)


def bare_decoder(avro: str, declared: Mapping[str, pa.DataType], evolution: Evolution, column: str) -> BareDecoder:
    """A decoder of records of a schema. Errors: Fatal when it is none."""
    try:
        return BareDecoder(Codec(avro), declared, evolution, column)
    except ValueError as error:
        raise Fatal(f"the avro_schema of the source cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class WireDecoder:
    """A value is in Confluent's wire format, and names the schema it was written with."""

    registry: ForeignRegistry
    denials: Denials
    declared: Mapping[str, pa.DataType]
    evolution: Evolution
    column: str  # the name of the one column of schemas that are not of records
    _codecs: dict[int, Codec | Fault] = field(default_factory=dict)

    def sample(self, messages: Messages) -> pa.Schema:
        """See `Decoder.sample`. The schemas that the messages name, the first of them first."""
        fields: dict[str, pa.Field] = {}
        for schema_id in dict.fromkeys(map(schema_id_of, messages.records.values)):
            codec = None if schema_id is None else self._codec(schema_id)
            if isinstance(codec, Codec):
                for each in described(_named(codec.arrow_schema, self.column), self.declared):
                    fields.setdefault(each.name, each)
        return pa.schema(list(fields.values()))

    def decode(self, messages: Messages, schema: pa.Schema) -> Decoded:
        """See `Decoder.decode`."""
        values = values_of(messages)
        parts: list[Decoded] = []
        faults: list[Fault] = []
        held: list[int] = []
        for schema_id, rows in _by_schema(values):
            codec = self._codec(schema_id) if schema_id is not None else _NO_HEADER
            if codec is None:
                held.extend(rows.tolist())
            elif isinstance(codec, Fault):
                faults.extend(replace(codec, row=int(row)) for row in rows)
            else:
                some = values if len(rows) == len(values) else [values[row] for row in rows]
                read, index, bad = _decoded(codec, some, rows, self.column)
                faults += bad
                parts.append(placed(conformed(read, schema, self.declared, self.evolution), index))
                schema = parts[-1].rows.schema
        return _joined(parts, schema, faults, held)

    def _codec(self, schema_id: int) -> Codec | Fault | None:
        """The codec of a schema, why there is none, or None while the registry may not know it yet."""
        if schema_id in self._codecs:
            return self._codecs[schema_id]
        try:
            avro = self.registry.schema(schema_id)
            if avro is None:
                # Not kept: it is asked for again, as somebody may restore it.
                unknown = Fault(0, "unknown_schema", f"the registry of the source has no schema with id {schema_id}")
                return unknown if self.denials.believed(schema_id, time.monotonic()) else None
            self.denials.found(schema_id)
            self._codecs[schema_id] = Codec(avro)
        except ValueError as error:
            self._codecs[schema_id] = Fault(0, "unknown_schema", f"schema {schema_id} cannot be used: {error}")
        return self._codecs[schema_id]


_NO_HEADER = Fault(0, "not_wire_format", "the value does not start with a zero byte and a schema id")


def _by_schema(values: Sequence[bytes]) -> list[tuple[int | None, Int64s]]:
    """The messages of each schema, in the order in which the schemas come first."""
    heads = [value[:5] for value in values]
    if heads and heads.count(heads[0]) == len(heads):
        return [(schema_id_of(values[0]), np.arange(len(values)))]
    ids = [schema_id_of(value) for value in values]
    places: dict[int | None, list[int]] = {}
    for row, schema_id in enumerate(ids):
        places.setdefault(schema_id, []).append(row)
    return [(schema_id, np.array(rows, np.int64)) for schema_id, rows in places.items()]


def _named(schema: pa.Schema, column: str) -> pa.Schema:
    """The columns of a schema; what is no record is one column, which the codec calls `value`."""
    return schema if schema.names != ["value"] else pa.schema([schema.field(0).with_name(column)])


def _decoded(
    codec: Codec, values: Sequence[bytes], rows: Int64s, column: str
) -> tuple[pa.RecordBatch, Int64s, list[Fault]]:
    """The rows of messages of one schema, of which message each is, and why there is none of the others."""
    found = codec.decode(values)
    faults = [Fault(int(rows[at]), "undecodable", detail) for at, detail in found.failures]
    read = pa.RecordBatch.from_arrays(found.rows.columns, schema=_named(found.rows.schema, column))
    return read, rows[found.index.to_numpy()], faults


def _joined(parts: Sequence[Decoded], schema: pa.Schema, faults: Sequence[Fault], held: Sequence[int]) -> Decoded:
    """All rows in the order of their messages, in the widest schema."""
    faults = sorted([*faults, *(fault for part in parts for fault in part.faults)], key=lambda fault: fault.row)
    if len(parts) == 1:
        return replace(parts[0], faults=faults, held=held)
    if not parts:
        return Decoded(pa.RecordBatch.from_pylist([], schema=schema), np.zeros(0, np.int64), faults, held)
    index = np.concatenate([part.index for part in parts])
    order = np.argsort(index)
    tables = [pa.Table.from_batches([part.rows]) for part in parts]
    table = pa.concat_tables(tables, promote_options="default").select(schema.names).take(order).combine_chunks()
    rows = table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema=schema)
    return Decoded(rows, index[order], faults, held)

"""Turns a delivery's bytes into batches that share a writer schema, and what cannot be read into rejections."""

from dataclasses import replace
from itertools import groupby

import pyarrow as pa

from headrace.stream.codec import Codec, schema_id_of
from headrace.stream.registry import Schemas
from headrace.stream.stage import Batch, Records, Rejection


class Decoder:
    """Decodes by the schema id each record names.

    Errors: Transient when the registry cannot be asked; a schema it does not know, or that is none for records, is a
    rejection.
    """

    def __init__(self, registry: Schemas) -> None:
        self._registry = registry
        self._codecs: dict[int, Codec | Rejection] = {}

    def __call__(self, records: Records) -> tuple[list[Batch], list[Rejection]]:
        """Batches in the order of the records, and rejections whose `row` is an index into them."""
        batches: list[Batch] = []
        rejections: list[Rejection] = []
        for schema_id, rows in _runs(records):
            if schema_id is None:
                rejections.extend(_no_schema(records, row) for row in rows)
                continue
            codec = self._codec(schema_id)
            if isinstance(codec, Rejection):
                rejections.extend(replace(codec, row=row) for row in rows)
                continue
            batch, failed = self._decode(records, rows, codec, schema_id)
            rejections.extend(failed)
            if len(batch.raw):
                batches.append(batch)
        return batches, rejections

    def _decode(self, records: Records, rows: range, codec: Codec, schema_id: int) -> tuple[Batch, list[Rejection]]:
        everything = len(rows) == len(records)
        values = records.values if everything else records.values[rows.start : rows.stop]
        decoded = codec.decode([value or b"" for value in values] if None in values else values)  # type: ignore[arg-type]
        failed = [Rejection(rows[at], "undecodable", detail) for at, detail in decoded.failures]
        if everything and not failed:
            raw = records
        else:
            raw = records.take(pa.array([rows[at] for at in decoded.index.to_numpy().tolist()], pa.int64()))
        return Batch(raw, decoded.rows, schema_id), failed

    def _codec(self, schema_id: int) -> Codec | Rejection:
        """The codec of a schema, or why there is none."""
        if schema_id not in self._codecs:
            avro = self._registry.schema(schema_id)
            if avro is None:  # asked for again next time: it may have been registered by then
                return Rejection(0, "unknown_schema", f"the registry has no schema with id {schema_id}")
            try:
                self._codecs[schema_id] = Codec(avro)
            except ValueError as error:
                self._codecs[schema_id] = Rejection(
                    0, "unknown_schema", f"schema {schema_id} is none for records: {error}"
                )
        return self._codecs[schema_id]


def _runs(records: Records) -> list[tuple[int | None, range]]:
    """Neighbouring records that name the same schema, as (id, rows)."""
    values = records.values
    if not values:
        return []
    if None not in values:
        heads = [value[:5] for value in values if value is not None]
        if heads.count(heads[0]) == len(heads):
            return [(schema_id_of(values[0]), range(len(values)))]
    ids = [schema_id_of(value) for value in values]
    return [
        (key, range(run[0], run[-1] + 1))
        for key, run in ((k, list(g)) for k, g in groupby(range(len(ids)), ids.__getitem__))
    ]


def _no_schema(records: Records, row: int) -> Rejection:
    value = records.values[row]
    if value is None:
        return Rejection(row, "missing_value", "the record has no value")
    return Rejection(
        row, "not_wire_format", f"the record starts with {value[:5]!r}, not with a zero byte and a schema id"
    )

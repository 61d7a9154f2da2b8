"""Chooses how a schema is read and written, and isolates the messages that cannot be read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace.stream.codec.conform import complete
from headrace.stream.codec.fast import Fast, is_fast
from headrace.stream.codec.foreign import Foreign
from headrace.stream.codec.shape import arrow_field, shape_of
from headrace.stream.codec.walk import lower_members, restore_members


@dataclass(frozen=True, slots=True)
class Decoded:
    """What came out of n messages.

    Shapes: `rows` and `index` have an entry for each message that decoded; `index` is its position among the n,
    ascending. `failures` has (position, what is wrong) for each of the others.
    """

    rows: pa.RecordBatch
    index: pa.Int64Array
    failures: list[tuple[int, str]]


class Codec:
    """Arrow rows to and from messages of one Avro schema, in the wire format. Costly to make: keep it.

    Errors: ValueError when `avro` is not a schema that Arrow can represent.
    """

    def __init__(self, avro: str) -> None:
        self._top = shape_of(avro)
        self._io = Fast(self._top) if is_fast(self._top) else Foreign(self._top)
        self.arrow_schema: pa.Schema = pa.schema([arrow_field(member) for member in self._top.members])

    def encode(self, rows: pa.RecordBatch, schema_id: int) -> list[bytes]:
        """One message for each row. Columns are matched by name; a missing nullable one is null.

        Errors: ValueError naming the column that does not fit the schema, is missing, or is null and required.
        """
        if rows.num_rows == 0:
            return []
        fitted = complete(rows, self.arrow_schema)
        return self._io.write(lower_members(fitted.columns, self._top.members), rows.num_rows, schema_id)

    def decode(self, values: Sequence[bytes]) -> Decoded:
        """The rows of all messages that can be read; the others are failures, and never an exception."""
        parts: list[tuple[int, pa.RecordBatch]] = []
        failures: list[tuple[int, str]] = []
        pending = [(0, len(values))] if values else []
        while pending:
            start, stop = pending.pop()
            try:
                parts.append((start, self._rows(values[start:stop])))
            except ValueError as error:
                if stop - start == 1:
                    failures.append((start, str(error)))
                else:
                    middle = (start + stop) // 2
                    pending += [(middle, stop), (start, middle)]
        return Decoded(self._joined([rows for _, rows in parts]), _positions(parts), failures)

    def _rows(self, values: Sequence[bytes]) -> pa.RecordBatch:
        restored = restore_members(self._io.read(values), self._top.members, len(values))
        return pa.RecordBatch.from_arrays(restored, schema=self.arrow_schema)

    def _joined(self, parts: list[pa.RecordBatch]) -> pa.RecordBatch:
        if not parts:
            return pa.RecordBatch.from_arrays(
                [pa.nulls(0, field.type) for field in self.arrow_schema], schema=self.arrow_schema
            )
        return parts[0] if len(parts) == 1 else pa.concat_batches(parts)  # type: ignore[attr-defined]


def _positions(parts: list[tuple[int, pa.RecordBatch]]) -> pa.Int64Array:
    ranges = [np.arange(start, start + rows.num_rows, dtype=np.int64) for start, rows in parts]
    return pa.array(np.concatenate(ranges) if ranges else [], type=pa.int64())

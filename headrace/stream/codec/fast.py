"""The fast path: plain arrays to and from wire-format messages with pyruhvro, whole batches at a time.

pyruhvro knows nothing of the wire format, ignores trailing bytes and does not check UTF-8. So the schema it
is given starts with two fields that are the wire format's five bytes (a boolean and a float take exactly
those), and on reading ends with a long that only a record of the right length leaves in the right place.
"""

import json
import secrets
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro

from headrace.stream.codec.arrow import Array, Json
from headrace.stream.codec.shape import Again, ListOf, MapOf, Slot, StructOf
from headrace.stream.codec.wire import HEADER

_HEADER_FIELDS: Final = ({"name": "__headrace_magic", "type": "boolean"}, {"name": "__headrace_id", "type": "float"})
_END_FIELD: Final = {"name": "__headrace_end", "type": "long"}


def is_fast(top: StructOf) -> bool:
    """Whether pyruhvro handles this schema, correctly."""
    if not _slot_is_fast(Slot(top, False, top.avro)):
        return False
    try:
        pyruhvro.avro_to_arrow_schema(_framed(top, _END_FIELD))
    except ValueError:
        return False  # nested deeper than its JSON parser goes
    return True


def _slot_is_fast(slot: Slot) -> bool:
    shape = slot.shape
    if isinstance(slot.avro, list) and (len(slot.avro) != 2 or "null" not in slot.avro):
        return False  # a union that is not just a type that may be null
    if isinstance(shape, Again):
        return False
    if isinstance(shape, ListOf):
        return _slot_is_fast(shape.item)
    if isinstance(shape, MapOf):
        return _slot_is_fast(shape.key) and _slot_is_fast(shape.value)
    if isinstance(shape, StructOf):
        return bool(shape.carried) and all(_slot_is_fast(member.slot) for member in shape.carried)
    return shape.avro not in ("bytes", "null") and not (isinstance(shape.avro, dict) and shape.avro["type"] == "fixed")


def _framed(top: StructOf, *after: Json) -> str:
    """The plain schema of a whole message, with more fields `after` it."""
    return json.dumps({**top.avro, "fields": [*_HEADER_FIELDS, *top.avro["fields"], *after]})


class Fast:
    """Reads and writes the messages of one schema."""

    def __init__(self, top: StructOf) -> None:
        self._read_schema = _framed(top, _END_FIELD)
        self._write_schema = _framed(top)
        self._names = [*(field["name"] for field in _HEADER_FIELDS), *(member.avro_name for member in top.carried)]
        # Secret, so that nobody can append it to a record to hide what follows.
        end_value = (1 << 61) + secrets.randbits(61)
        self._end, self._end_value = _varint(end_value), pa.scalar(end_value)

    def read(self, values: Sequence[bytes]) -> list[Array]:
        """The plain column arrays of all `values`. Errors: ValueError when any of them is bad."""
        end = self._end
        batch = _deserialize([value + end for value in values], self._read_schema)
        if pc.any(batch.column(0)).as_py():
            raise ValueError("the first byte is not the wire format's zero")
        if not pc.all(pc.equal(batch.column(batch.num_columns - 1), self._end_value)).as_py():
            raise ValueError("bytes are missing or left over at the end of the record")
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            raise ValueError("a text is not valid UTF-8") from error
        columns: list[Array] = batch.columns[2:-1]
        return columns

    def write(self, columns: Sequence[Array], rows: int, schema_id: int) -> list[bytes]:
        """One message for each row. Errors: ValueError for a value outside an enum."""
        identity = HEADER.pack(0, schema_id)[1:] * rows
        header: list[Array] = [
            pa.repeat(False, rows),
            pa.Array.from_buffers(pa.float32(), rows, [None, pa.py_buffer(identity)]),
        ]
        batch = pa.RecordBatch.from_arrays([*header, *columns], names=self._names)
        (messages,) = pyruhvro.serialize_record_batch(batch, self._write_schema, 1)
        as_bytes: list[bytes] = messages.to_pylist()
        return as_bytes


def _varint(number: int) -> bytes:
    """Avro's zigzag encoding of a number that is not negative."""
    left, octets = number << 1, bytearray()
    while left > 0x7F:
        octets.append(left & 0x7F | 0x80)
        left >>= 7
    octets.append(left)
    return bytes(octets)


def _deserialize(values: list[bytes], schema: str) -> pa.RecordBatch:
    try:
        batch: pa.RecordBatch = pyruhvro.deserialize_array(values, schema)
        return batch
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of Rust; not an Exception, and not importable
            raise ValueError(f"the decoder gave up: {error}") from error
        raise

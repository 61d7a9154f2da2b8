"""The Confluent wire format: a zero byte, the schema id in four bytes, the Avro body."""

import struct
from typing import Final

HEADER: Final = struct.Struct(">bI")

#: What fastavro raises on bytes that are no record of the schema, beside ValueError.
BAD_BYTES: Final = (
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    UnicodeDecodeError,
    RecursionError,
    MemoryError,
)


def schema_id_of(value: bytes | None) -> int | None:
    """The schema id a message names, or None when it is not in the wire format."""
    if value is None or len(value) < HEADER.size or value[0] != 0:
        return None
    schema_id: int = HEADER.unpack_from(value)[1]
    return schema_id


def header(schema_id: int) -> bytes:
    """The five bytes before the body."""
    return HEADER.pack(0, schema_id)

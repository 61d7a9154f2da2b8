"""How an Avro object container file is laid out: a header, then blocks of records, each packed by itself."""

import bz2
import io
import json
import lzma
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

import fastavro
import pyarrow as pa
import zstandard

_HEADER: Final = fastavro.parse_schema(
    {
        "type": "record",
        "name": "header",
        "fields": [
            {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
            {"name": "meta", "type": {"type": "map", "values": "bytes"}},
            {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
        ],
    }
)
_MAGIC: Final = b"Obj\x01"
_HEADER_BYTES: Final = 4 << 20
_SYNC_BYTES: Final = 16
_VARINT_BYTES: Final = 10


class TooLarge(Exception):
    """A block is larger than allowed. The text says how large."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the start of a file says. Units: `size` is its own, in bytes."""

    avro: str
    codec: str
    sync: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Block:
    """Records of a file, unpacked one after the other. Units: `size` is what the block takes in the file, in bytes."""

    count: int
    records: bytes
    size: int


def header_of(content: IO[bytes]) -> Header | None:
    """The header; None when the file ends in it. Errors: ValueError when it is none."""
    content.seek(0)
    start = io.BytesIO(content.read(_HEADER_BYTES))
    magic = start.read(len(_MAGIC))
    if not _MAGIC.startswith(magic):
        raise ValueError("it is no Avro object container file")
    start.seek(0)
    try:
        found: Any = fastavro.schemaless_reader(start, _HEADER, None)
    except (EOFError, IndexError, StopIteration):
        return None
    except (KeyError, OverflowError, TypeError, UnicodeDecodeError, MemoryError) as error:
        raise ValueError(f"its header cannot be read: {error}") from error
    meta: Mapping[str, bytes] = found["meta"]
    try:
        avro = meta["avro.schema"].decode()
        json.loads(avro)
        codec = meta.get("avro.codec", b"null").decode()
    except (KeyError, ValueError) as error:
        raise ValueError(f"its header has no schema: {error}") from error
    if codec not in _UNPACK:
        raise ValueError(f"its blocks are packed with {codec}, which is not read; {', '.join(sorted(_UNPACK))} are")
    return Header(avro, codec, found["sync"], start.tell())


def block_at(content: IO[bytes], offset: int, header: Header, limit: int) -> Block | None:
    """The block at an offset; None when the file ends before the block does, or there.

    Errors: ValueError when it is none; TooLarge when it, or what it unpacks to, has more than `limit` bytes.
    """
    content.seek(offset)
    start = content.read(2 * _VARINT_BYTES)
    count, first = _long(start, 0)
    size, second = _long(start, first) if first else (0, 0)
    if not second:
        return None
    if count < 0 or size < 0:
        raise ValueError("its block has a length below zero")
    if size > limit:
        raise TooLarge(f"a block of {size} bytes")
    content.seek(offset + second)
    packed = content.read(size + _SYNC_BYTES)
    if len(packed) < size + _SYNC_BYTES:
        return None
    if packed[size:] != header.sync:
        raise ValueError("no sync marker follows a block")
    records = _UNPACK[header.codec](packed[:size], limit)
    if len(records) > limit:
        raise TooLarge(f"a block that unpacks to more than {limit} bytes")
    if count > len(records):
        raise ValueError(f"a block claims {count} records in {len(records)} bytes")
    return Block(count, records, second + size + _SYNC_BYTES)


def _long(raw: bytes, at: int) -> tuple[int, int]:
    """A variable-length number, and where it ends: 0 when it does not."""
    value = shift = 0
    for position in range(at, min(len(raw), at + _VARINT_BYTES)):
        byte = raw[position]
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), position + 1
        shift += 7
    return 0, 0


def _inflated(packed: bytes, limit: int) -> bytes:
    return zlib.decompressobj(-15).decompress(packed, limit + 1)


def _zstd(packed: bytes, limit: int) -> bytes:
    with zstandard.ZstdDecompressor(max_window_size=128 << 20).stream_reader(packed) as reader:
        return reader.read(limit + 1)


_UNPACK: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {
    "null": lambda packed, _: packed,
    "deflate": _inflated,
    "zstandard": _zstd,
    "bzip2": lambda packed, limit: bz2.BZ2Decompressor().decompress(packed, limit + 1),
    "xz": lambda packed, limit: lzma.LZMADecompressor(memlimit=256 << 20).decompress(packed, limit + 1),
    "snappy": lambda packed, limit: _snappy(packed, limit),
}

_SNAPPY_CHECKSUM: Final = 4


def _snappy(packed: bytes, limit: int) -> bytes:
    """Snappy says first how long it becomes."""
    source = packed[:-_SNAPPY_CHECKSUM]
    length = _unsigned(source)
    if length > limit:
        raise TooLarge(f"a block that unpacks to {length} bytes")
    out: bytes = pa.decompress(source, length, "snappy", asbytes=True)
    if zlib.crc32(out) != int.from_bytes(packed[-_SNAPPY_CHECKSUM:], "big"):
        raise ValueError("a block is damaged")
    return out


def _unsigned(raw: bytes) -> int:
    value = shift = 0
    for byte in raw[:5]:
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value
        shift += 7
    raise ValueError("a block is damaged")

"""Makes the bytes of an export out of what the engine sends; only Parquet, and bytes in Arrow, need more than handing on."""

import io
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.gateway.core.export_jobs import RowCount
from services.gateway.core.exports import Format, Plan

_ROW_GROUP_BYTES: Final = 4 << 20


def encoded(
    form: Format, plan: Plan, sent: Generator[bytes], counted: Callable[[int], None] | None = None
) -> Generator[bytes]:
    """The bytes of the file, in pieces, none of them empty; `counted` is told of rows as they pass. Errors: those of `sent`."""
    with closing(sent):
        if form == "parquet":
            made = _parquet(sent, plan.binary, counted or _unheard)
        elif form == "arrow" and (plan.binary or plan.masked or counted):
            made = _arrow(sent, plan.binary, counted or _unheard)
        elif counted:
            made = _counting(form, _after(plan.header, sent), counted)
        else:
            made = _after(plan.header, sent)
        for piece in made:
            if piece:
                yield piece


def _unheard(rows: int) -> None:
    """Nobody wants to know how many rows there are."""


def _counting(form: Format, pieces: Iterable[bytes], counted: Callable[[int], None]) -> Iterator[bytes]:
    seen = RowCount(form)
    for piece in pieces:
        before = max(seen.rows, 0)
        seen.add(piece)
        counted(max(seen.rows, 0) - before)
        yield piece


def _after(header: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield header + next(pieces, b"")  # together: a query that fails at once has sent nothing
    yield from pieces


def _parquet(sent: Iterator[bytes], binary: Iterable[str], counted: Callable[[int], None]) -> Iterator[bytes]:
    """A Parquet file, in groups of about as many rows as make `_ROW_GROUP_BYTES`: no more is held at a time."""
    reader = pa.ipc.open_stream(source_of(sent))
    schema = typed(_without_unions(reader.schema), binary)
    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd", compression_level=1) as writer:
        for group in _groups(map(_plain, reader)):
            table = pa.Table.from_batches(group).cast(schema)
            writer.write_table(table)
            counted(table.num_rows)
            del table, group
            pa.default_memory_pool().release_unused()
            yield sink.taken()
    yield sink.taken()


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    group: list[pa.RecordBatch] = []
    size_bytes = 0
    for batch in batches:
        group.append(batch)
        size_bytes += batch.nbytes
        if size_bytes >= _ROW_GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def plain_arrow(sent: Generator[bytes]) -> Generator[bytes]:
    """A stream of Arrow in which lists and maps that are hidden in some rows are null there, and no unions."""
    with closing(sent):
        yield from _arrow(sent, (), _unheard)


def _arrow(sent: Iterator[bytes], binary: Iterable[str], counted: Callable[[int], None]) -> Iterator[bytes]:
    reader = pa.ipc.open_stream(source_of(sent))
    schema = typed(_without_unions(reader.schema), binary)
    sink = _Sink()
    with pa.ipc.new_stream(
        pa.PythonFile(sink, mode="w"), schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
    ) as writer:
        for batch in map(_plain, reader):
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))
            counted(batch.num_rows)
            yield sink.taken()
    yield sink.taken()


def typed(schema: pa.Schema, binary: Iterable[str]) -> pa.Schema:
    """The schema with these columns as bytes: to the engine they are texts."""
    for name in binary:
        at = schema.get_field_index(name)
        schema = schema.set(at, schema.field(at).with_type(pa.binary()))
    return schema


def _without_unions(schema: pa.Schema) -> pa.Schema:
    """The schema with lists in the place of unions of lists and nothing. The engine makes those of lists and maps that are hidden
    in some rows, and neither Parquet nor most readers of Arrow know them.
    """
    for at, field in enumerate(schema):
        if (member := _only_member(field.type)) is not None:
            schema = schema.set(at, pa.field(field.name, field.type.field(member).type))
    return schema


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the schema of `_without_unions`."""
    schema = _without_unions(batch.schema)
    if schema.equals(batch.schema):
        return batch
    columns = [
        column if (member := _only_member(column.type)) is None else _members(column, member)
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _only_member(kind: pa.DataType) -> int | None:
    """Which member of a union has its values, if one alone has any."""
    if not pa.types.is_union(kind):
        return None
    members = [at for at in range(kind.num_fields) if not pa.types.is_null(kind.field(at).type)]
    return members[0] if len(members) == 1 else None


def _members(column: Any, member: int) -> Any:
    here = pc.equal(column.type_codes, pa.scalar(column.type.type_codes[member], pa.int8()))
    return pc.take(column.field(member), pc.if_else(here, column.offsets, pa.scalar(None, pa.int32())))


class _Sink(io.RawIOBase):
    """Takes what is written until somebody takes it out."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def tell(self) -> int:
        return self._at

    def taken(self) -> bytes:
        """What has been written since it was last asked."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def source_of(pieces: Iterator[bytes]) -> pa.PythonFile:
    """A file for Arrow to read, out of pieces as they come."""
    return pa.PythonFile(io.BufferedReader(_Source(pieces), 1 << 20), mode="r")


class _Source(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

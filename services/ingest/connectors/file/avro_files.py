"""How Avro object container files are read: block after block, in batches of bounded size."""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Final

import fastavro
import pyarrow as pa
from fastavro import _read_py

from headrace.connector import Fetched, SourceRow
from headrace.errors import Fatal
from headrace.stream.codec import Codec
from headrace.stream.codec.shape import Again, ListOf, MapOf, Shape, StructOf, shape_of
from headrace.stream.codec.wire import BAD_BYTES, header
from services.ingest.connectors.file.content import SourceFile, Trail, ends_at, unchanged
from services.ingest.connectors.file.format import FileOptions
from services.ingest.core.avro_blocks import Block, Header, TooLarge, block_at, header_of
from services.ingest.core.faults import set_aside
from services.ingest.core.progress import FileProgress
from services.ingest.core.tables import conformed, described
from services.ingest.core.typed_texts import row_text

_WIRE: Final = header(0)


class AvroFiles:
    """See `services.ingest.connectors.file.format.Format`. An offset is that of a block; `line` counts what was read of it."""

    grows = True

    def __init__(self, options: FileOptions, schema: pa.Schema | None) -> None:
        self.schema = schema
        self._options = options

    def characters(self, content: IO[bytes]) -> IO[bytes]:
        """See `Format.characters`."""
        return content

    def recognises(self, content: IO[bytes], progress: FileProgress) -> bool:
        """See `Format.recognises`."""
        return unchanged(content, progress)

    def ended(self, content: IO[bytes], offset: int) -> bool:
        """See `Format.ended`."""
        return ends_at(content, offset)

    def sample(self, files: Sequence[SourceFile]) -> pa.Schema:
        """See `Format.sample`. The first file says what the columns are."""
        with files[0].opened() as content:
            found = self._header(files[0], content)
            return described(_codec(files[0], found).arrow_schema, self._options.declared or {})

    def read(self, file: SourceFile, content: IO[bytes], start: FileProgress) -> Iterator[tuple[Fetched, FileProgress]]:
        """See `Format.read`."""
        head = self._header(file, content)
        codec, reader = _codec(file, head), _reader(head)
        at = FileProgress(start.offset or head.size, start.line, start.rows, chain=start.chain, content=start.content)
        trail = Trail(content, at)
        while (block := self._block(file, content, at.offset, head)) is not None:
            for messages in self._batches(file, block, reader, at.line):
                fetched = self._fetched(codec, messages, file.path, at.rows)
                read = at.line + len(messages)
                if read < block.count:
                    at = FileProgress(at.offset, read, at.rows + len(messages))
                else:
                    trail.feed(_bytes_at(content, at.offset, block.size))
                    at = FileProgress(at.offset + block.size, 0, at.rows + len(messages))
                yield fetched, trail.at(at)
            if not block.count:
                trail.feed(_bytes_at(content, at.offset, block.size))
                at = FileProgress(at.offset + block.size, 0, at.rows)

    def _header(self, file: SourceFile, content: IO[bytes]) -> Header:
        try:
            found = header_of(content)
        except ValueError as error:
            raise file.damaged(error) from error
        if found is None:
            raise file.damaged("it ends in its header")
        return found

    def _block(self, file: SourceFile, content: IO[bytes], offset: int, head: Header) -> Block | None:
        """The block at an offset; None at the end, and while the last one is still being written."""
        try:
            block = block_at(content, offset, head, file.limits.block_bytes)
        except TooLarge as error:
            raise Fatal(
                f"{file.path} has {error} at byte {offset}; if that is right, raise HEADRACE_SOURCE_MAX_BLOCK_BYTES of ingest"
            ) from error
        except Exception as error:
            raise file.damaged(f"at byte {offset}: {error}") from error
        if block is None:
            content.seek(offset)
            if content.read(1) and file.settled(self._options.settle_s):
                raise file.damaged(f"it ends in the block at byte {offset}")
        return block

    def _batches(
        self, file: SourceFile, block: Block, reader: Callable[[IO[bytes]], Any], skipped: int
    ) -> Iterator[list[bytes]]:
        """The records of a block in the wire format of messages, without those that were read."""
        records = io.BytesIO(block.records)
        messages: list[bytes] = []
        for number in range(block.count):
            start = records.tell()
            try:
                reader(records)
            except (*BAD_BYTES, ValueError) as error:
                raise file.damaged(
                    f"record {number + 1} of a block cannot be read: {error or type(error).__name__}"
                ) from error
            if number >= skipped:
                messages.append(_WIRE + block.records[start : records.tell()])
            if len(messages) == self._options.batch_rows:
                yield messages
                messages = []
        if records.tell() != len(block.records):
            raise file.damaged("bytes are left over at the end of a block")
        if messages:
            yield messages

    def _fetched(self, codec: Codec, messages: Sequence[bytes], origin: str, first: int) -> Fetched:
        decoded = codec.decode(messages)
        found = conformed(decoded.rows, self.schema, self._options.declared or {}, self._options.evolution)
        self.schema = found.rows.schema
        index: list[int] = decoded.index.to_numpy().tolist()
        bad = [
            (at, SourceRow(messages[at][len(_WIRE) :], "unreadable_row", what, f"{origin}:row {first + at + 1}"))
            for at, what in decoded.failures
        ]
        aside = set_aside(
            found.faults,
            lambda fault: row_text(decoded.rows, fault.row),
            lambda row: f"{origin}:row {first + index[row] + 1}",
        )
        bad += [(index[fault.row], row) for fault, row in zip(found.faults, aside, strict=True)]
        return Fetched(found.rows, tuple(row for _, row in sorted(bad, key=lambda each: each[0])))


def _codec(file: SourceFile, head: Header) -> Codec:
    try:
        return Codec(head.avro)
    except ValueError as error:
        raise Fatal(f"{file.path}: its schema cannot be read: {error}; write it with another") from error


def _reader(head: Header) -> Callable[[IO[bytes]], Any]:
    """Reads past one record. The compiled reader recurses on the C stack: a deeply nested record would kill the process."""
    schema = fastavro.parse_schema(shape_of(head.avro).avro)
    read = _read_py.schemaless_reader if _recursive(shape_of(head.avro)) else fastavro.schemaless_reader
    return lambda records: read(records, schema, None)


def _recursive(shape: Shape) -> bool:
    match shape:
        case Again():
            return True
        case ListOf():
            return _recursive(shape.item.shape)
        case MapOf():
            return _recursive(shape.key.shape) or _recursive(shape.value.shape)
        case StructOf():
            return any(_recursive(member.slot.shape) for member in shape.members)
    return False


def _bytes_at(content: IO[bytes], offset: int, size: int) -> bytes:
    content.seek(offset)
    return content.read(size)

"""How Parquet files are read: row group after row group, in batches of bounded size."""

from collections.abc import Iterator, Sequence
from typing import IO, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.connector import Fetched
from headrace.errors import Fatal
from services.ingest.connectors.file.content import SourceFile, ends_at
from services.ingest.connectors.file.format import FileOptions
from services.ingest.connectors.file.packing import Inflation
from services.ingest.core.faults import set_aside
from services.ingest.core.progress import FileProgress, digest
from services.ingest.core.tables import conformed, described
from services.ingest.core.typed_texts import row_text

_FOOTER_BYTES: Final = 4096
_END_BYTES: Final = 8  # the footer's length, and the magic number
_MOST_FOOTER_BYTES: Final = 64 << 20
_PIECE_BYTES: Final = 64 << 20


class ParquetFiles:
    """See `services.ingest.connectors.file.format.Format`. A position counts rows; a file that changed is another file."""

    grows = False

    def __init__(self, options: FileOptions, schema: pa.Schema | None) -> None:
        self.schema = schema
        self._options = options

    def characters(self, content: IO[bytes]) -> IO[bytes]:
        """See `Format.characters`."""
        return content

    def recognises(self, content: IO[bytes], progress: FileProgress) -> bool:
        """See `Format.recognises`: positions had the digest of the footer once."""
        return _footer_digest(content) == progress.head

    def ended(self, content: IO[bytes], offset: int) -> bool:
        """See `Format.ended`."""
        return ends_at(content, offset)

    def sample(self, files: Sequence[SourceFile]) -> pa.Schema:
        """See `Format.sample`. The first file says what the columns are."""
        with files[0].opened(anywhere=True) as content:
            return described(_opened(content, files[0]).schema_arrow, self._options.declared or {})

    def read(self, file: SourceFile, content: IO[bytes], start: FileProgress) -> Iterator[tuple[Fetched, FileProgress]]:
        """See `Format.read`."""
        parquet = _opened(content, file)
        check(parquet.metadata, file)
        at, inflation = 0, _Watch(Inflation(file.path, file.limits), content.seek(0, 2))
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if at + rows <= start.offset:
                at += rows
                continue
            for encoded in parquet.iter_batches(self._options.batch_rows, row_groups=[group]):
                ahead = min(max(0, start.offset - at), encoded.num_rows)
                at += ahead
                for batch in _in_pieces(encoded.slice(ahead), inflation):
                    fetched = self._fetched(batch, file.path, at)
                    at += batch.num_rows
                    yield fetched, FileProgress(at, at, at, content=start.content)

    def count(self, file: SourceFile) -> int:
        """How many rows the file says it has."""
        with file.opened() as content:
            return int(_opened(content, file).metadata.num_rows)

    def _fetched(self, batch: pa.RecordBatch, origin: str, first: int) -> Fetched:
        found = conformed(batch, self.schema, self._options.declared or {}, self._options.evolution)
        self.schema = found.rows.schema
        aside = set_aside(
            found.faults, lambda fault: row_text(batch, fault.row), lambda row: f"{origin}:row {first + row + 1}"
        )
        return Fetched(found.rows, aside)


def _opened(content: IO[bytes], file: SourceFile) -> pq.ParquetFile:
    """The file, with its texts in dictionaries: as it has them, a long one may stand a million times in a few bytes."""
    content.seek(0, 2)
    size = content.tell()
    content.seek(max(0, size - _END_BYTES))
    footer = int.from_bytes(content.read(_END_BYTES)[:4], "little")
    if footer > _MOST_FOOTER_BYTES and footer < size:
        raise Fatal(
            f"{file.path} describes itself in {footer} bytes, more than {_MOST_FOOTER_BYTES}; write it in parts"
        )
    try:
        content.seek(0)
        plain = pq.ParquetFile(content)
        texts = [
            plain.schema.column(number).path
            for number in range(len(plain.schema))
            if plain.schema.column(number).physical_type == "BYTE_ARRAY"
            and plain.schema.column(number).max_repetition_level == 0
        ]
        content.seek(0)
        return pq.ParquetFile(content, read_dictionary=texts)
    except (pa.ArrowInvalid, OSError) as error:
        raise file.damaged(error) from error


def check(metadata: pq.FileMetaData, file: SourceFile) -> None:
    """Errors: Fatal when what a file says of its row groups is more than may be read, before any of it is."""
    packed = unpacked = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(each) for each in range(group.num_columns)]
        size = sum(each.total_uncompressed_size for each in columns)
        if size > file.limits.row_group_bytes or size < 0:
            raise Fatal(
                f"{file.path} has a row group of {size} bytes, unpacked; if that is right, raise "
                "HEADRACE_SOURCE_MAX_ROW_GROUP_BYTES of ingest, or write smaller ones"
            )
        packed += sum(max(0, each.total_compressed_size) for each in columns)
        unpacked += size
    Inflation(file.path, file.limits).check(unpacked, packed)


class _Watch:
    """Adds up what texts become as they leave their dictionaries."""

    def __init__(self, inflation: Inflation, size: int) -> None:
        self._inflation = inflation
        self._size = size
        self._out = 0

    def add(self, size: int) -> None:
        """Errors: Fatal when it is too much."""
        self._out += size
        self._inflation.check(self._out, self._size)


def _in_pieces(batch: pa.RecordBatch, watch: _Watch) -> Iterator[pa.RecordBatch]:
    """A batch in parts whose texts, out of their dictionaries, do not take more than `_PIECE_BYTES`."""
    sizes = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if isinstance(column, pa.DictionaryArray):
            lengths = pc.binary_length(cast(pa.BinaryArray, column.dictionary)).take(column.indices)
            sizes += lengths.fill_null(0).to_numpy(zero_copy_only=False)
    start = 0
    ends = np.cumsum(sizes)
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _PIECE_BYTES, "right")))
        watch.add(int(ends[stop - 1]) - before)
        yield batch.slice(start, stop - start)
        start = stop


def _footer_digest(content: IO[bytes]) -> str:
    size = content.seek(0, 2)
    content.seek(max(0, size - _FOOTER_BYTES))
    return digest(content.read(_FOOTER_BYTES))

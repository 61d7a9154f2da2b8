"""How Parquet files are read: row group after row group, in batches of bounded size."""

import json
from collections.abc import Iterator, Sequence
from typing import IO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.connector import Fetched, SourceRow
from services.ingest.connectors.file.content import SourceFile
from services.ingest.connectors.file.format import FileOptions
from services.ingest.core.progress import FileProgress, digest
from services.ingest.core.tables import conformed, described

_FOOTER_BYTES: Final = 4096


class ParquetFiles:
    """See `services.ingest.connectors.file.format.Format`. A position counts rows; a file that changed is another file."""

    def __init__(self, options: FileOptions, schema: pa.Schema | None) -> None:
        self.schema = schema
        self._options = options

    def recognises(self, content: IO[bytes], progress: FileProgress) -> bool:
        """See `Format.recognises`."""
        return _footer(content)[0] == progress.head

    def sample(self, files: Sequence[SourceFile]) -> pa.Schema:
        """See `Format.sample`. The first file says what the columns are."""
        with files[0].opened() as content:
            return described(_opened(content, files[0]).schema_arrow, self._options.declared or {})

    def read(self, file: SourceFile, content: IO[bytes], start: FileProgress) -> Iterator[tuple[Fetched, FileProgress]]:
        """See `Format.read`."""
        head, head_bytes = _footer(content)
        parquet = _opened(content, file)
        at = 0
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if at + rows <= start.offset:
                at += rows
                continue
            for batch in parquet.iter_batches(self._options.batch_rows, row_groups=[group]):
                ahead = max(0, start.offset - at)
                at += batch.num_rows
                if ahead < batch.num_rows:
                    fetched = self._fetched(batch.slice(ahead), f"{file.path}", at - batch.num_rows + ahead)
                    yield fetched, FileProgress(at, at, at, head, head_bytes)

    def count(self, file: SourceFile) -> int:
        """How many rows the file says it has."""
        with file.opened() as content:
            return int(_opened(content, file).metadata.num_rows)

    def _fetched(self, batch: pa.RecordBatch, origin: str, first: int) -> Fetched:
        found = conformed(batch, self.schema, self._options.declared or {}, self._options.evolution)
        self.schema = found.rows.schema
        texts = (
            batch.take(pa.array([fault.row for fault in found.faults], pa.int64())).to_pylist() if found.faults else []
        )
        rejected = tuple(
            SourceRow(
                json.dumps(text, default=str, ensure_ascii=False).encode(errors="replace"),
                fault.reason,
                fault.detail,
                f"{origin}:row {first + fault.row + 1}",
                fault.column,
            )
            for fault, text in zip(found.faults, texts, strict=True)
        )
        return Fetched(found.rows, rejected)


def _opened(content: IO[bytes], file: SourceFile) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(content)
    except pa.ArrowInvalid as error:
        raise file.damaged(error) from error


def _footer(content: IO[bytes]) -> tuple[str, int]:
    size = content.seek(0, 2)
    content.seek(max(0, size - _FOOTER_BYTES))
    footer = content.read(_FOOTER_BYTES)
    return digest(footer), len(footer)

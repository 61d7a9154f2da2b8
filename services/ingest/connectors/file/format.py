"""What a reader of one file format is, and what it is told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Protocol

import pyarrow as pa

from headrace.connector import Fetched
from services.ingest.connectors.file.content import SourceFile
from services.ingest.core.csv import Dialect
from services.ingest.core.drift import Evolution
from services.ingest.core.progress import FileProgress


@dataclass(frozen=True, slots=True)
class FileOptions:
    """What a dataset file says of its files. Units: bytes, rows, seconds."""

    path: str
    format: str = "auto"
    dialect: Dialect = field(default_factory=Dialect)
    header: bool = True
    encoding: str = "utf-8"
    json_rows: str | None = None
    sheet: str | None = None
    header_row: int | None = None
    declared: Mapping[str, pa.DataType] | None = None
    evolution: Evolution = "evolve"
    max_record_bytes: int = 1_000_000
    batch_rows: int = 20_000
    settle_s: float = 2.0


class Format(Protocol):
    """How files of one format are read. It holds the schema of the source, which only grows at its end."""

    schema: pa.Schema | None

    @property
    def grows(self) -> bool:
        """Whether its rows are a sequence of bytes, to which more may be appended: else a file that has changed is another."""
        ...

    def characters(self, content: IO[bytes]) -> IO[bytes]:
        """The stream in which offsets count."""
        ...

    def sample(self, files: Sequence[SourceFile]) -> pa.Schema:
        """The columns of the files, from a sample. Errors: Transient, Fatal."""
        ...

    def read(self, file: SourceFile, content: IO[bytes], start: FileProgress) -> Iterator[tuple[Fetched, FileProgress]]:
        """The rows of a file after `start`; `content` is what `characters` gave."""
        ...

    def recognises(self, content: IO[bytes], progress: FileProgress) -> bool:
        """Whether the file is still the one `progress` speaks of, which may have no digest of its content yet."""
        ...

    def ended(self, content: IO[bytes], offset: int) -> bool:
        """Whether no row follows an offset."""
        ...

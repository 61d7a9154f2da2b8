"""How workbooks are read (xlsx, xls, ods): a sheet as a table, whose rows then are those of JSON objects."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa

from headrace.connector import Fetched
from headrace.errors import Fatal
from services.ingest.adapters.sniffer import object_types
from services.ingest.connectors.file.content import SourceFile, ends_at
from services.ingest.connectors.file.format import FileOptions
from services.ingest.connectors.file.packing import DAMAGED, members
from services.ingest.core.faults import set_aside
from services.ingest.core.json_rows import parse_lines, read_lines
from services.ingest.core.names import column_names
from services.ingest.core.progress import FileProgress

_PROGRAM: Final = Path(__file__).with_name("workbook.py")
_MEMORY_A_BYTE: Final = 16  # what a cell takes in memory, for each byte it may have in the file
_DEADLINE_S: Final = 600
_CANNOT: Final = 3
_SAMPLED_ROWS: Final = 5_000
_ZIP: Final = b"PK"


class ExcelFiles:
    """See `services.ingest.connectors.file.format.Format`. A position counts rows; a file that changed is another file."""

    grows = False

    def __init__(self, options: FileOptions, schema: pa.Schema | None) -> None:
        self.schema = schema
        self._options = options

    def characters(self, content: IO[bytes]) -> IO[bytes]:
        """See `Format.characters`."""
        return content

    def recognises(self, content: IO[bytes], progress: FileProgress) -> bool:
        """See `Format.recognises`: no position is older than the digests."""
        del content, progress
        return False

    def ended(self, content: IO[bytes], offset: int) -> bool:
        """See `Format.ended`."""
        return ends_at(content, offset)

    def sample(self, files: Sequence[SourceFile]) -> pa.Schema:
        """See `Format.sample`. The first file says what the columns are."""
        with files[0].opened(anywhere=True) as content, self._table(files[0], content) as (names, rows):
            lines = [_line(names, values) for _, *values in islice(rows, _SAMPLED_ROWS)]
        declared = self._options.declared or {}
        objects = list(parse_lines(lines)[0].values())
        guessed = object_types(
            [{name: value for name, value in row.items() if name not in declared} for row in objects]
        )
        types = {field.name: field.type for field in guessed} | dict(declared)
        return pa.schema([pa.field(name, types[name]) for name in dict.fromkeys([*names, *declared]) if name in types])

    def read(self, file: SourceFile, content: IO[bytes], start: FileProgress) -> Iterator[tuple[Fetched, FileProgress]]:
        """See `Format.read`."""
        at = start.offset
        with self._table(file, content) as (names, rows):
            for _ in islice(rows, start.offset):
                pass
            while batch := list(islice(rows, self._options.batch_rows)):
                fetched = self._fetched(names, batch, file.path)
                at += len(batch)
                yield fetched, FileProgress(at, at, at, content=start.content)

    def _fetched(self, names: Sequence[str], batch: Sequence[Sequence[Any]], origin: str) -> Fetched:
        lines = [_line(names, values) for _, *values in batch]
        schema = self.schema if self.schema is not None else pa.schema([])
        found = read_lines(lines, schema, self._options.evolution, object_types)
        self.schema = found.rows.schema if len(found.rows.schema) else self.schema
        aside = set_aside(found.faults, lambda fault: lines[fault.row], lambda row: f"{origin}:row {batch[row][0]}")
        return Fetched(found.rows, aside)

    @contextmanager
    def _table(self, file: SourceFile, content: IO[bytes]) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
        """The columns of the sheet, and its rows: the number of each, and its values. Errors: Transient, Fatal."""
        limit = file.limits.workbook_bytes
        size = content.seek(0, os.SEEK_END)
        if size > limit:
            raise Fatal(
                f"{file.path} has {size} bytes: a workbook is read as a whole, up to {limit} bytes; save it as CSV, or raise "
                "HEADRACE_SOURCE_MAX_WORKBOOK_BYTES of ingest"
            )
        content.seek(0)
        if content.read(len(_ZIP)) == _ZIP:
            try:
                members(content, file.path, file.limits)
            except DAMAGED as error:
                raise file.damaged(error) from error
        with tempfile.TemporaryFile(prefix="headrace-sheet-") as out:
            self._run(file, content, out, limit)
            out.seek(0)
            lines = iter(out)
            header = next(lines, b"")
            names = column_names(json.loads(header)) if header else []
            yield names, map(json.loads, lines)

    def _run(self, file: SourceFile, content: IO[bytes], out: IO[bytes], limit: int) -> None:
        content.seek(0)
        os.lseek(content.fileno(), 0, os.SEEK_SET)
        sheet, row = self._options.sheet or "", str(self._options.header_row or 0)
        command = [sys.executable, "-I", str(_PROGRAM), sheet, row, str(limit * _MEMORY_A_BYTE)]
        try:
            ended = subprocess.run(  # its environment is empty: it has no business with credentials
                command, stdin=content, stdout=out, stderr=subprocess.PIPE, env={}, timeout=_DEADLINE_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Fatal(f"{file.path} is not read within {_DEADLINE_S} s; save it as CSV") from error
        said = ended.stderr.decode(errors="replace")[-500:].strip()
        if ended.returncode == _CANNOT and said.startswith("it has no sheet"):
            raise Fatal(f"{file.path}: {said}; correct source.sheet.name")
        if ended.returncode == _CANNOT:
            raise file.damaged(said)
        if ended.returncode:
            raise Fatal(
                f"{file.path} needs more memory or time than a workbook of at most {limit} bytes may; save it as CSV, or raise "
                "HEADRACE_SOURCE_MAX_WORKBOOK_BYTES of ingest"
            )


def _line(names: Sequence[str], values: Sequence[Any]) -> bytes:
    """A row as a JSON object."""
    return json.dumps(dict(zip(names, values, strict=False)), ensure_ascii=False).encode("utf-8", "surrogatepass")

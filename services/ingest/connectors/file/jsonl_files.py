"""How JSON Lines files are read: a sample for their columns, and their lines in blocks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import pyarrow as pa

from headrace.connector import Fetched, SourceRow
from headrace.errors import Fatal
from services.ingest.adapters.sniffer import object_types
from services.ingest.connectors.file.blocks import Outcome, steps
from services.ingest.connectors.file.content import SourceFile, unchanged
from services.ingest.connectors.file.format import FileOptions
from services.ingest.core.csv import Fault
from services.ingest.core.json_rows import Object, parse_lines, read_lines
from services.ingest.core.lines import spans_of_lines
from services.ingest.core.progress import FileProgress

_SAMPLE_BYTES: Final = 1 << 20
_SAMPLED_FILES: Final = 16
_BOM: Final = b"\xef\xbb\xbf"
_OPENING_BYTES: Final = 256


class JsonLinesFiles:
    """See `services.ingest.connectors.file.format.Format`."""

    grows = True

    def __init__(self, options: FileOptions, schema: pa.Schema | None) -> None:
        self.schema = schema
        self._options = options
        self._limit = options.max_record_bytes

    def characters(self, content: IO[bytes]) -> IO[bytes]:
        """See `Format.characters`."""
        return content

    def recognises(self, content: IO[bytes], progress: FileProgress) -> bool:
        """See `Format.recognises`."""
        return unchanged(content, progress)

    def sample(self, files: Sequence[SourceFile]) -> pa.Schema:
        """See `Format.sample`. The starts of the files are looked at."""
        objects: list[Object] = []
        share = _SAMPLE_BYTES // min(len(files), _SAMPLED_FILES)
        for file in files[:_SAMPLED_FILES]:
            with file.opened() as content:
                block = content.read(share).removeprefix(_BOM)
                whole = block[: block.rfind(b"\n") + 1] or block
                objects.extend(parse_lines([line for line in whole.split(b"\n") if line.strip()])[0].values())
        return self._typed(objects)

    def read(self, file: SourceFile, content: IO[bytes], start: FileProgress) -> Iterator[tuple[Fetched, FileProgress]]:
        """See `Format.read`."""
        if not start.offset:
            content.seek(0)
            opening = content.read(_OPENING_BYTES)
            start = FileProgress(len(_BOM) if opening.startswith(_BOM) else 0)
            if Path(file.name).suffix == ".json" and opening.removeprefix(_BOM).lstrip()[:1] == b"[":
                raise Fatal(f"{file.path} is one JSON array; write one object a line (JSON Lines) instead")

        def parse(block: bytes, line: int, final: bool) -> Outcome:
            return self._parse(block, file.path, line, final)

        yield from steps(
            content,
            start,
            parse,
            limit=self._limit,
            settled=lambda: file.settled(self._options.settle_s),
            origin=file.path,
            nothing=lambda: Fetched(pa.RecordBatch.from_pylist([], schema=self.schema)),
        )

    def _typed(self, objects: Sequence[Object]) -> pa.Schema:
        declared = self._options.declared or {}
        rest = [{name: value for name, value in found.items() if name not in declared} for found in objects]
        return pa.schema([*object_types(rest), *(pa.field(name, kind) for name, kind in declared.items())])

    def _parse(self, block: bytes, origin: str, line: int, final: bool) -> Outcome:
        spans = spans_of_lines(block, final, self._options.batch_rows)
        places = [
            (int(start), int(stop), int(number))
            for start, stop, number in zip(spans.start, spans.stop, spans.line, strict=True)
            if not block[start:stop].isspace()
        ]
        lines = [block[start:stop] for start, stop, _ in places]
        long = [row for row, text in enumerate(lines) if len(text) > self._limit]
        faults = [
            Fault(row, "too_large", f"the line has {len(lines[row])} bytes, the cap is {self._limit}") for row in long
        ]
        short = [row for row, text in enumerate(lines) if len(text) <= self._limit] if long else range(len(lines))
        schema = self.schema if self.schema is not None else pa.schema([])
        found = read_lines(
            [lines[row] for row in short] if long else lines, schema, self._options.evolution, object_types
        )
        self.schema = found.rows.schema if len(found.rows.schema) else self.schema
        faults += [Fault(short[fault.row], fault.reason, fault.detail, fault.column) for fault in found.faults]
        rejected = tuple(
            SourceRow(
                lines[fault.row],
                fault.reason,
                fault.detail,
                f"{origin}:{line + places[fault.row][2] + 1}",
                fault.column,
            )
            for fault in sorted(faults, key=lambda fault: fault.row)
        )
        return Outcome(spans.consumed, spans.lines, Fetched(found.rows, rejected))

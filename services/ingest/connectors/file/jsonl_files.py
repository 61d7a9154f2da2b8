"""How JSON is read, in blocks: files with an object a line, and those that are one array or hold one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import IO, Final

import pyarrow as pa

from headrace.connector import Fetched, SourceRow
from headrace.errors import Fatal
from services.ingest.adapters.sniffer import object_types
from services.ingest.connectors.file.blocks import Outcome, steps
from services.ingest.connectors.file.content import SourceFile, Trail, ends_at, unchanged
from services.ingest.connectors.file.format import FileOptions
from services.ingest.core.faults import Fault, set_aside
from services.ingest.core.json_elements import Opening, Skipping, elements
from services.ingest.core.json_rows import Object, parse_lines, read_lines
from services.ingest.core.lines import Int64s, spans_of_lines
from services.ingest.core.progress import FileProgress

_SAMPLE_BYTES: Final = 1 << 20
_SAMPLED_FILES: Final = 16
_BOM: Final = b"\xef\xbb\xbf"
_OPENING_BYTES: Final = 256
_MOST_SAMPLED: Final = 10_000
_BLOCK_BYTES: Final = 1 << 20
_KEPT_BYTES: Final = 64 << 10  # of an element over the cap: enough to recognise it


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

    def ended(self, content: IO[bytes], offset: int) -> bool:
        """See `Format.ended`: behind the last row of a document comes what closes it."""
        if ends_at(content, offset):
            return True
        content.seek(0)
        array = content.read(_OPENING_BYTES).removeprefix(_BOM).lstrip()[:1] == b"["
        content.seek(offset)
        return (array or bool(self._options.json_rows)) and content.read(_OPENING_BYTES).lstrip()[:1] == b"]"

    def sample(self, files: Sequence[SourceFile]) -> pa.Schema:
        """See `Format.sample`. The starts of the files are looked at."""
        objects: list[Object] = []
        share = _SAMPLE_BYTES // min(len(files), _SAMPLED_FILES)
        for file in files[:_SAMPLED_FILES]:
            with file.opened() as content:
                objects.extend(parse_lines(self._sampled(file, content, share))[0].values())
        return self._typed(objects)

    def read(self, file: SourceFile, content: IO[bytes], start: FileProgress) -> Iterator[tuple[Fetched, FileProgress]]:
        """See `Format.read`."""
        if self._is_document(file, content):
            yield from self._read_document(file, content, start)
            return
        if not start.offset:
            content.seek(0)
            start = FileProgress(len(_BOM) if content.read(len(_BOM)) == _BOM else 0)

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

    def _sampled(self, file: SourceFile, content: IO[bytes], share: int) -> list[bytes]:
        """The first rows of a file."""
        if self._is_document(file, content):
            offset = self._opening(file, content)
            content.seek(offset)
            block = content.read(share)
            return one_line(block, elements(block, True, _MOST_SAMPLED).spans)
        content.seek(0)
        block = content.read(share).removeprefix(_BOM)
        whole = block[: block.rfind(b"\n") + 1] or block
        return [line for line in whole.split(b"\n") if line.strip()]

    def _is_document(self, file: SourceFile, content: IO[bytes]) -> bool:
        """Whether a file is one JSON value that holds all rows, rather than a row a line."""
        if self._options.json_rows:
            return True
        content.seek(0)
        array = content.read(_OPENING_BYTES).removeprefix(_BOM).lstrip()[:1] == b"["
        return array and (self._options.format == "json" or PurePath(file.name).suffix == ".json")

    def _opening(self, file: SourceFile, content: IO[bytes]) -> int:
        """Where the rows of a document start. Errors: Fatal, Transient when they do not."""
        path = self._options.json_rows.split(".") if self._options.json_rows else []
        opening = Opening(path)
        content.seek(0)
        try:
            while block := content.read(_BLOCK_BYTES):
                offset = opening.found(block, self._limit)
                if offset is not None:
                    return offset
        except ValueError as error:
            raise Fatal(f"{file.path}: {error}; correct source.json.rows") from error
        raise file.damaged("it ends before its array of rows")

    def _read_document(
        self, file: SourceFile, content: IO[bytes], start: FileProgress
    ) -> Iterator[tuple[Fetched, FileProgress]]:
        """The elements of an array after `start`, block by block."""
        opening = self._opening(file, content)
        first = start.offset < opening
        at = replace(start, offset=opening) if first else start
        trail = Trail(content, at)
        content.seek(at.offset)
        block, more = b"", True
        while True:
            try:
                found = elements(block, first, self._options.batch_rows)
            except ValueError as error:
                raise Fatal(f"{file.path}: after byte {at.offset} {error}; repair the file") from error
            if found.spans:
                fetched = self._parse_elements(block, found.spans, file.path, at.line)
                consumed = block[: found.consumed]
                block, first = block[found.consumed :], False
                trail.feed(consumed)
                at = FileProgress(
                    at.offset + len(consumed), at.line + consumed.count(b"\n"), at.rows + len(found.spans)
                )
                yield fetched, trail.at(at)
                continue
            if found.ended:
                self._check_end(file, content, at)
                return
            if len(block) > 2 * self._limit + _OPENING_BYTES:
                fetched, at, block = self._passed_over(file, content, block, at, trail)
                first = False
                yield fetched, trail.at(at)
                continue
            if not more:
                raise file.damaged(f"the array that begins at byte {opening} is not closed")
            read = content.read(_BLOCK_BYTES)
            more = bool(read)
            block += read

    def _check_end(self, file: SourceFile, content: IO[bytes], at: FileProgress) -> None:
        """Errors: Fatal when something follows a document that is an array: nobody would read it."""
        if self._options.json_rows:
            return
        content.seek(at.offset)
        rest = content.read(_BLOCK_BYTES).partition(b"]")[2]
        if rest.strip():
            raise Fatal(f"{file.path}: something follows the array; write one array, or JSON Lines")

    def _passed_over(
        self, file: SourceFile, content: IO[bytes], block: bytes, at: FileProgress, trail: Trail
    ) -> tuple[Fetched, FileProgress, bytes]:
        """Go past an element that is larger than any row may be, holding only its beginning."""
        kept = block.lstrip(b", \t\r\n")[:_KEPT_BYTES]
        lead = len(block) - len(block.lstrip(b", \t\r\n"))
        skipping, length, lines, start = Skipping(), 0, 0, lead
        while (stop := skipping.over(block, start)) is None:
            trail.feed(block)
            length, lines, start = length + len(block), lines + block.count(b"\n"), 0
            block = content.read(_BLOCK_BYTES)
            if not block:
                raise file.damaged(f"the element at byte {at.offset} is not closed")
        trail.feed(block[:stop])
        detail = f"the element has {length + stop - lead} bytes, the cap is {self._limit}; only its start is kept here"
        row = SourceRow(kept, "too_large", detail, f"{file.path}:{at.line + 1}")
        progress = FileProgress(at.offset + length + stop, at.line + lines + block[:stop].count(b"\n"), at.rows + 1)
        return Fetched(pa.RecordBatch.from_pylist([], schema=self.schema), (row,)), progress, block[stop:]

    def _parse_elements(self, block: bytes, spans: Sequence[tuple[int, int]], origin: str, line: int) -> Fetched:
        numbers: list[int] = []
        at = passed = 0
        for start, _ in spans:
            passed += block.count(b"\n", at, start)
            at = start
            numbers.append(line + passed + 1)
        return self._rows(one_line(block, spans), numbers, origin)

    def _typed(self, objects: Sequence[Object]) -> pa.Schema:
        declared = self._options.declared or {}
        rest = [{name: value for name, value in found.items() if name not in declared} for found in objects]
        return pa.schema([*object_types(rest), *(pa.field(name, kind) for name, kind in declared.items())])

    def _parse(self, block: bytes, origin: str, line: int, final: bool) -> Outcome:
        spans = spans_of_lines(block, final, self._options.batch_rows)
        lines = [block[start:stop] for start, stop in zip(spans.start.tolist(), spans.stop.tolist(), strict=True)]
        numbers = spans.line + line + 1
        if any(map(bytes.isspace, lines)):
            kept = [row for row, text in enumerate(lines) if not text.isspace()]
            lines, numbers = [lines[row] for row in kept], numbers[kept]
        fetched = self._rows(lines, numbers, origin)
        return Outcome(spans.consumed, spans.lines, fetched)

    def _rows(self, lines: Sequence[bytes], numbers: Sequence[int] | Int64s, origin: str) -> Fetched:
        """The rows of lines with an object each; `numbers` are those of the lines in the file, from 1."""
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
        aside = set_aside(faults, lambda fault: lines[fault.row], lambda row: f"{origin}:{numbers[row]}")
        return Fetched(found.rows, aside)


def one_line(block: bytes, spans: Sequence[tuple[int, int]]) -> list[bytes]:
    """Elements without line ends: between tokens they are white space, inside a string they are not JSON anyway."""
    return [block[start:stop].replace(b"\r", b" ").replace(b"\n", b" ") for start, stop in spans]

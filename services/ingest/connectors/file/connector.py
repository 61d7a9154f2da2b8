"""The `file` connector: files of this machine or of a remote storage, read from the start, then watched for more.

A source's schema starts as the one already pinned for its topic, or as what a sample of the files shows, and grows
at its end when a file brings new columns and the schema evolves.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import IO, Final

import pyarrow as pa

from headrace.connector import Fetched, SourceChanged, Step, Stream, Surroundings
from headrace.connector.limits import Limits
from headrace.errors import Fatal, Transient
from services.ingest.connectors.file.avro_files import AvroFiles
from services.ingest.connectors.file.content import SourceFile, Trail
from services.ingest.connectors.file.csv_files import CsvFiles
from services.ingest.connectors.file.excel_files import ExcelFiles
from services.ingest.connectors.file.format import FileOptions, Format
from services.ingest.connectors.file.jsonl_files import JsonLinesFiles
from services.ingest.connectors.file.parquet_files import ParquetFiles
from services.ingest.connectors.file.recognition import Start, of_growing, of_whole
from services.ingest.connectors.file.settings import FileSource
from services.ingest.connectors.file.storage.choice import storage_of
from services.ingest.connectors.file.storage.found import AtFault, Found, Storage
from services.ingest.core.csv import Dialect
from services.ingest.core.progress import MOST_FILES, FileProgress, FilesPosition, named

log = logging.getLogger(__name__)

_FORMATS: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".avro": "avro",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xls": "excel",
    ".ods": "excel",
}


class FileConnector:
    """See `headrace.connector.Connector`."""

    def __init__(
        self,
        options: FileOptions,
        formats: Mapping[str, Format],
        storage: Storage,
        limits: Limits | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self._options = options
        self._formats = formats
        self._storage = storage
        self._limits = limits or Limits()
        self._whole = whole
        self._missed = False
        self._reached = FilesPosition()
        self.waiting = False
        self._finished: dict[str, str] = {}
        self._archives: dict[str, tuple[str, list[SourceFile]]] = {}
        self._last: tuple[str | None, FilesPosition] = (None, FilesPosition())

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        trying, field = "resolve", "source.path"
        try:
            for step in self._storage.connecting():
                yield step
                if not step.ok:
                    return
            trying = "list" if self._storage.lists and not self._storage.local else "find"
            files = self._files()
            if not files:
                remedy = "correct the path, or put a file there"
                yield Step(trying, False, f"no file matches {self._storage.shown}", "source.path", remedy)
                return
            yield Step(trying, True, f"{len(files)} files match {self._storage.shown}")
            trying, field = "format", "source.format"
            reader = self._format(files[0])
            yield Step("format", True, f"{files[0].path} is read as {self._format_name(files[0])}")
            trying, field = "read", "source.path"
            columns = reader.sample(files)
            if len(columns):
                yield Step("read", True, f"{len(columns)} columns: {', '.join(columns.names)}")
            else:
                yield Step("read", False, "no column found", "source.csv", "say how the file is written")
        except AtFault as error:
            yield Step(error.step or trying, False, error.message, error.field, error.remedy)
        except (Fatal, Transient) as error:
            yield Step(trying, False, str(error), field)

    def discover(self) -> list[Stream]:
        """See `Connector.discover`."""
        files = self._files()
        return [Stream(self._storage.shown, self._format(files[0]).sample(files))] if files else []

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`. Files are read in the order of their paths."""
        files = self._files()
        if not files and not self._missed:
            log.warning("no file matches %s yet", self._storage.shown)
        self._missed = not files
        if len(kinds := {self._format_name(file) for file in files}) > 1:
            shown = self._storage.shown
            raise Fatal(f"{shown} matches files of {' and '.join(sorted(kinds))}; a source has one format")
        at = self._position(position, files)
        yielded = at
        self.waiting = False
        for file in files:
            if self._finished.get(file.key, at.hint(file.key)) == (file.found.hint or None):
                continue
            try:
                file = file.now()  # just before it is read: what is written later changes the hint
            except FileNotFoundError:
                continue
            for fetched, reached in self._steps(file, at, files):
                self._reached = at = reached
                if fetched is not None:
                    yielded = at
                    yield fetched, self._text(at)
            if self._whole and _changed(file):
                self.waiting = True  # it grew, or is another by now: the next reading tells
            if file.settled(self._options.settle_s):
                self._finished[file.key] = file.found.hint
            elif at.of(file.key).offset < file.found.size:
                self.waiting = True
        if at is not yielded and at != yielded:
            yield Fetched(self._nothing()), self._text(at)
        self._reached = at
        if self._whole and (gone := at.files.keys() - {file.key for file in files}):
            raise SourceChanged(f"{', '.join(sorted(gone))} went away after it was read")

    def count(self) -> int | None:
        """See `Counting.count`. Only Parquet files say how many rows they have; of the same content, one was read."""
        if len(self._reached.marks):
            return None
        read = {self._reached.of(file.key).content: file for file in self._files() if file.key in self._reached.files}
        kinds = [(self._format(file), file) for file in read.values()]
        counts = [kind.count(file) for kind, file in kinds if isinstance(kind, ParquetFiles)]
        return sum(counts) if counts and len(counts) == len(kinds) else None

    def _steps(
        self, file: SourceFile, at: FilesPosition, files: Sequence[SourceFile]
    ) -> Iterator[tuple[Fetched | None, FilesPosition]]:
        """What a file has beyond a position, each with the position behind it. Without rows, only where it is has changed."""
        reader = self._format(file)
        with file.opened(anywhere=not reader.grows) as raw:
            content = reader.characters(raw)
            start = self._start(reader, file, content, at, files)
            if start.what == "replaced" and self._whole:
                raise SourceChanged(f"{file.path} is not the file it was: it was replaced after it was read")
            if start.what == "replaced":
                log.warning("%s is not the file it was: it was replaced, and is read from its start", file.path)
                at = at.displaced(file.key)
            elif start.what == "moved":
                log.warning("%s holds what was read under another path: only what follows that is read", file.path)
                at = at.displaced(file.key)
            if reader.schema is None:
                reader.schema = reader.sample(files)
            reached = start.progress
            held: Fetched | None = None
            try:
                for fetched, progress in reader.read(file, content, start.progress):
                    if held is not None:
                        at = at.moved(file.key, reached)
                        yield held, at
                    held, reached = fetched, replace(progress, size=file.found.size)
            except Exception:
                if held is not None:  # what was read before it failed is read
                    yield held, at.moved(file.key, reached)
                raise
            if held is None and start.what == "moved" and reader.grows:
                reached = Trail(content, reached).at(reached)
        if not reached.offset:
            return
        if file.settled(self._options.settle_s):
            reached = replace(reached, size=file.found.size, hint=file.found.hint)
        if held is not None or start.what == "moved" or self._touched(at, file, reached):
            at = at.moved(file.key, reached)
            yield held, at

    def _touched(self, at: FilesPosition, file: SourceFile, reached: FileProgress) -> bool:
        """Whether a file that has nothing more was uploaded anew, which is worth to be remembered."""
        before = at.of(file.key)
        return bool(before.hint and reached.hint and before.hint != reached.hint)

    def _start(
        self, reader: Format, file: SourceFile, content: IO[bytes], at: FilesPosition, files: Sequence[SourceFile]
    ) -> Start:
        if not reader.grows:
            return of_whole(content, at, file.key, reader.recognises)

        def there() -> Collection[bytes]:
            return {named(each.key) for each in files}

        return of_growing(content, at, file.key, file.found.hint, file.found.size, there, reader.ended)

    def _position(self, position: str | None, files: Sequence[SourceFile]) -> FilesPosition:
        text, at = self._last
        at = at if position is not None and text == position else FilesPosition.from_json(position)
        if len(at.marks) > MOST_FILES:
            at = at.trimmed([file.key for file in files])
            if len(at.marks) > MOST_FILES:
                raise Fatal(
                    f"{self._storage.shown} has more than {MOST_FILES} files: a position cannot name more; "
                    "move away those that were read, or make several sources of them"
                )
        return at

    def _text(self, at: FilesPosition) -> str:
        text = at.to_json()
        self._last = text, at
        return text

    def _nothing(self) -> pa.RecordBatch:
        schema = next((each.schema for each in self._formats.values() if each.schema is not None), pa.schema([]))
        return pa.RecordBatch.from_pylist([], schema=schema)

    def _files(self) -> list[SourceFile]:
        """The files of the source, those in archives too. Errors: Transient, Fatal."""
        found = self._storage.files()
        return [file for each in found for file in self._members(each)]

    def _members(self, found: Found) -> list[SourceFile]:
        file = SourceFile(self._storage, found, self._limits)
        if not file.archive:
            return [file]
        hint, inside = self._archives.get(found.path, ("", []))
        if not found.hint or hint != found.hint:
            inside = file.members()
            self._archives[found.path] = found.hint, inside
        return inside

    def _format_name(self, file: SourceFile) -> str:
        if self._options.format != "auto":
            return "jsonl" if self._options.format == "json" else self._options.format
        ending = PurePath(file.name).suffix.lower()
        if ending not in _FORMATS:
            raise Fatal(
                f"{file.path}: the format of {ending or 'a name without an ending'} is not known; set source.format"
            )
        return _FORMATS[ending]

    def _format(self, file: SourceFile) -> Format:
        return self._formats[self._format_name(file)]


def _changed(file: SourceFile) -> bool:
    """Whether a file is written to, or another has its name. One that is gone was read as it was."""
    try:
        return file.now().found.hint != file.found.hint
    except FileNotFoundError:
        return False


def opened(source: FileSource, surroundings: Surroundings) -> FileConnector:
    """The connector of the files a dataset file names."""
    options = FileOptions(
        path=source.path,
        format=source.format,
        dialect=Dialect(source.csv.delimiter, source.csv.quote, tuple(source.csv.null_values)),
        header=source.csv.header,
        encoding=source.csv.encoding,
        json_rows=source.json_.rows,
        sheet=source.sheet.name,
        header_row=source.sheet.header_row,
        declared=surroundings.declared,
        evolution=surroundings.evolution,
        max_record_bytes=source.max_record_bytes,
        batch_rows=surroundings.batch_rows,
        settle_s=surroundings.settle_s,
    )
    formats = {name: made(options, surroundings.schema) for name, made in READERS.items()}
    return FileConnector(
        options, formats, storage_of(source, surroundings), surroundings.limits, whole=surroundings.whole
    )


READERS: Final[Mapping[str, Callable[[FileOptions, pa.Schema | None], Format]]] = {
    "csv": CsvFiles,
    "jsonl": JsonLinesFiles,
    "parquet": ParquetFiles,
    "avro": AvroFiles,
    "excel": ExcelFiles,
}

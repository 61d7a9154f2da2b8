"""The `file` connector: CSV, JSON Lines and Parquet files, read from the start, then watched for more.

A source's schema starts as the one already pinned for its topic, or as what a sample of the files shows, and grows
at its end when a file brings new columns and evolution is additive.
"""

import glob
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from headrace.connector import Fetched, SourceChanged, Step, Stream, Surroundings
from headrace.errors import Fatal, Transient
from services.ingest.connectors.file.content import SourceFile
from services.ingest.connectors.file.csv_files import CsvFiles
from services.ingest.connectors.file.format import FileOptions, Format
from services.ingest.connectors.file.jsonl_files import JsonLinesFiles
from services.ingest.connectors.file.parquet_files import ParquetFiles
from services.ingest.connectors.file.settings import FileSource
from services.ingest.connectors.folders import Folders
from services.ingest.core.csv import Dialect
from services.ingest.core.progress import FileProgress, FilesPosition

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
}


class FileConnector:
    """See `headrace.connector.Connector`."""

    def __init__(
        self,
        options: FileOptions,
        formats: Mapping[str, Format],
        root: Path,
        further_roots: Sequence[Path] = (),
        *,
        whole: bool = False,
    ) -> None:
        self._options = options
        self._formats = formats
        path = Path(options.path)
        self._pattern = options.path if path.is_absolute() else str(Path(glob.escape(str(root))) / path)
        self._plain = root / path
        self._root = root
        self._folders = Folders(root, further_roots)
        self._whole = whole
        self._missed = False
        self._reached = FilesPosition()
        self.waiting = False
        self._finished: dict[str, tuple[int, int, int]] = {}

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        trying, field = "find", "source.path"
        try:
            files = self._files()
            if not files:
                remedy = "correct the path, or put a file there"
                yield Step("find", False, f"no file matches {self._pattern}", "source.path", remedy)
                return
            yield Step("find", True, f"{len(files)} files match {self._pattern}")
            trying, field = "format", "source.format"
            reader = self._format(files[0])
            yield Step("format", True, f"{files[0].path} is read as {self._format_name(files[0])}")
            trying, field = "read", "source.path"
            columns = reader.sample(files)
            if len(columns):
                yield Step("read", True, f"{len(columns)} columns: {', '.join(columns.names)}")
            else:
                yield Step("read", False, "no column found", "source.csv", "say how the file is written")
        except (Fatal, Transient) as error:
            yield Step(trying, False, str(error), field)

    def discover(self) -> list[Stream]:
        """See `Connector.discover`."""
        files = self._files()
        return [Stream(self._pattern, self._format(files[0]).sample(files))] if files else []

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`. Files are read in the order of their paths."""
        at = FilesPosition.from_json(position)
        files = self._files()
        if not files and not self._missed:
            log.warning("no file matches %s yet", self._pattern)
        self._missed = not files
        if len(kinds := {self._format_name(file) for file in files}) > 1:
            raise Fatal(f"{self._pattern} matches files of {' and '.join(sorted(kinds))}; a source has one format")
        self.waiting = False
        for file in files:
            path = self._name(file)
            try:
                signature = file.signature()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise Transient(f"{file.path} cannot be looked at now: {error}") from error
            if self._finished.get(path) == signature:
                continue
            for fetched, progress in self._read(file, at.of(path)):
                self._reached = at = at.moved(path, progress)
                yield fetched, at.to_json()
            if self._whole and _changed(file, signature):
                self.waiting = True  # it grew, or is another by now: the next reading tells
            if file.settled(self._options.settle_s):
                self._finished[path] = signature
            elif at.of(path).offset < signature[1]:
                self.waiting = True
        self._reached = at
        if self._whole and (gone := at.files.keys() - set(map(self._name, files))):
            raise SourceChanged(f"{', '.join(sorted(gone))} went away after it was read")

    def count(self) -> int | None:
        """See `Counting.count`. Only Parquet files say how many rows they have."""
        files = [file for file in self._files() if self._name(file) in self._reached.files]
        formats = [self._format(file) for file in files]
        counts = [kind.count(file) for kind, file in zip(formats, files, strict=True) if isinstance(kind, ParquetFiles)]
        return sum(counts) if files and len(counts) == len(files) else None

    def _read(self, file: SourceFile, start: FileProgress) -> Iterator[tuple[Fetched, FileProgress]]:
        reader = self._format(file)
        with file.opened() as content:
            if start.offset and not reader.recognises(content, start):
                if self._whole:
                    raise SourceChanged(f"{file.path} is not the file it was: it was replaced after it was read")
                log.warning("%s is not the file it was: it was replaced, and is read from its start", file.path)
                start = FileProgress()
            if reader.schema is None:
                reader.schema = reader.sample(self._files())
            yield from reader.read(file, content, start)

    def _name(self, file: SourceFile) -> str:
        """What a file is called in positions: the same when the folder of sources has moved."""
        inside = not Path(self._options.path).is_absolute()
        return str(file.path.relative_to(self._root)) if inside else str(file.path)

    def _files(self) -> list[SourceFile]:
        """The files of the source. Errors: Fatal when one lies where none may be read."""
        self._folders.check(self._plain)
        matches = [str(self._plain)]  # a name may look like a pattern
        if not self._plain.is_file():
            matches = glob.glob(self._pattern, recursive=True)  # noqa: PTH207  # absolute patterns
        files = [path for path in sorted(map(Path, matches)) if path.is_file()]
        for path in files:
            self._folders.check(path)
        return [SourceFile(path) for path in files]

    def _format_name(self, file: SourceFile) -> str:
        if self._options.format != "auto":
            return self._options.format
        ending = Path(file.name).suffix.lower()
        if ending not in _FORMATS:
            raise Fatal(
                f"{file.path}: the format of {ending or 'a name without an ending'} is not known; set source.format"
            )
        return _FORMATS[ending]

    def _format(self, file: SourceFile) -> Format:
        return self._formats[self._format_name(file)]


def _changed(file: SourceFile, signature: tuple[int, int, int]) -> bool:
    """Whether a file is written to, or another has its name. One that is gone was read as it was."""
    try:
        return file.signature() != signature
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Transient(f"{file.path} cannot be looked at now: {error}") from error


def opened(source: FileSource, surroundings: Surroundings) -> FileConnector:
    """The connector of the files a dataset file names."""
    options = FileOptions(
        path=source.path,
        format=source.format,
        dialect=Dialect(source.csv.delimiter, source.csv.quote, tuple(source.csv.null_values)),
        header=source.csv.header,
        encoding=source.csv.encoding,
        declared=surroundings.declared,
        evolution=surroundings.evolution,
        max_record_bytes=source.max_record_bytes,
        batch_rows=surroundings.batch_rows,
        settle_s=surroundings.settle_s,
    )
    formats = {name: made(options, surroundings.schema) for name, made in _READERS.items()}
    folders = surroundings.folder, surroundings.further_folders
    return FileConnector(options, formats, *folders, whole=surroundings.whole)


_READERS: Final[Mapping[str, Callable[[FileOptions, pa.Schema | None], Format]]] = {
    "csv": CsvFiles,
    "jsonl": JsonLinesFiles,
    "parquet": ParquetFiles,
}

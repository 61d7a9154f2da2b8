"""How CSV files are read: their header, a sample for their types, and their records in blocks."""

import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Final

import numpy as np
import pyarrow as pa

from headrace.connector import Fetched
from headrace.errors import Fatal
from services.ingest.adapters.sniffer import text_types
from services.ingest.connectors.file.blocks import Outcome, steps
from services.ingest.connectors.file.content import SourceFile, ends_at, unchanged
from services.ingest.connectors.file.encoding import as_utf8
from services.ingest.connectors.file.format import FileOptions
from services.ingest.core import csv, drift
from services.ingest.core.faults import Fault, set_aside
from services.ingest.core.fit import fit_texts, name_of
from services.ingest.core.names import column_names
from services.ingest.core.progress import FileProgress
from services.ingest.core.types import widened

_SPOT_BYTES: Final = 512 << 10
_SPOTS: Final = 8  # places of the first file that are looked at
_SAMPLED_FILES: Final = 16


class CsvFiles:
    """See `services.ingest.connectors.file.format.Format`."""

    grows = True

    def __init__(self, options: FileOptions, schema: pa.Schema | None) -> None:
        self.schema = schema
        self._options = options
        self._limit = options.max_record_bytes

    def characters(self, content: IO[bytes]) -> IO[bytes]:
        """See `Format.characters`."""
        return as_utf8(content, self._options.encoding)

    def recognises(self, content: IO[bytes], progress: FileProgress) -> bool:
        """See `Format.recognises`."""
        return unchanged(content, progress)

    def ended(self, content: IO[bytes], offset: int) -> bool:
        """See `Format.ended`."""
        return ends_at(content, offset)

    def sample(self, files: Sequence[SourceFile]) -> pa.Schema:
        """See `Format.sample`. Several places of the first file and the starts of the others are looked at."""
        texts: dict[str, list[pa.StringArray]] = {}
        for number, file in enumerate(files[:_SAMPLED_FILES]):
            with file.opened() as content:
                whole = number == 0 and file.storage.local and not file.packed and self._options.encoding == "utf-8"
                spots = self._sampled(as_utf8(content, self._options.encoding), _SPOTS if whole else 1)
                for name, columns in spots.items():
                    texts.setdefault(name, []).extend(columns)
        return self._typed(texts)

    def read(self, file: SourceFile, content: IO[bytes], start: FileProgress) -> Iterator[tuple[Fetched, FileProgress]]:
        """See `Format.read`."""
        names, first = self._header(content, file.settled(self._options.settle_s))
        if not names:
            return
        unknown = self._admit(content, names)
        start = start if start.offset else first

        def parse(block: bytes, line: int, final: bool) -> Outcome:
            return self._parse(block, names, unknown, file.path, line, final)

        yield from steps(
            content,
            start,
            parse,
            limit=self._limit,
            settled=lambda: file.settled(self._options.settle_s),
            origin=file.path,
            nothing=self._nothing,
        )

    def _nothing(self) -> Fetched:
        return Fetched(pa.RecordBatch.from_pylist([], schema=self.schema))

    def _header(self, content: IO[bytes], whole: bool = True) -> tuple[list[str], FileProgress]:
        """The columns of a file, and where its rows start. No columns: it has no header yet.

        `whole` says that a header without a line end is a whole one.
        """
        content.seek(0)
        mark = len(codecs.BOM_UTF8) if content.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0
        content.seek(mark)
        at, lines, raw = mark, 0, content.readline(self._limit)
        while raw and not raw.strip():
            at, lines, raw = at + len(raw), lines + 1, content.readline(self._limit)
        if not raw or not (whole or raw.endswith(b"\n")):
            return [], FileProgress()
        fields = csv.header_of(raw.removesuffix(b"\n").removesuffix(b"\r"), self._options.dialect)
        if fields is None:
            raise Fatal(f"the first line of a file is not {self._options.encoding} text; set source.csv.encoding")
        if not self._options.header:
            return column_names([""] * len(fields)), FileProgress(at, lines)
        return column_names(fields), FileProgress(at + len(raw), lines + 1)

    def _sampled(self, content: IO[bytes], spots: int) -> dict[str, list[pa.StringArray]]:
        """The texts of each column at evenly spread places of a file."""
        names, first = self._header(content)
        if not names:
            return {}
        span = max(0, content.seek(0, 2) - first.offset - _SPOT_BYTES) if spots > 1 else 0
        found: dict[str, list[pa.StringArray]] = {name: [] for name in names}
        for start in sorted({first.offset + span * spot // max(1, spots - 1) for spot in range(spots)}):
            content.seek(start)
            block = content.read(_SPOT_BYTES)
            final = len(block) < _SPOT_BYTES
            if start > first.offset:
                block = block[block.find(b"\n") + 1 :]
            texts = csv.parse(block, self._options.dialect, len(names), final=final, most=1 << 30, limit=len(block) + 1)
            for name, column in zip(names, texts.columns, strict=True):
                found[name].append(column)
        return found

    def _typed(self, texts: Mapping[str, Sequence[pa.StringArray]]) -> pa.Schema:
        declared = self._options.declared or {}
        guessed = {
            name: pa.concat_arrays(columns) for name, columns in texts.items() if name not in declared and columns
        }
        types = text_types(guessed, self._options.dialect.null_values)
        return pa.schema([pa.field(name, declared.get(name, types.get(name, pa.string()))) for name in texts])

    def _admit(self, content: IO[bytes], names: Sequence[str]) -> str | None:
        """Widen the schema by columns it does not have where it evolves; return the first of them when it sets rows aside.

        Errors: Frozen.
        """
        schema = self.schema if self.schema is not None else pa.schema([])
        fresh = [name for name in names if name not in schema.names]
        policy = drift.policy_for(fresh, self._options.evolution) if fresh else "discard"
        if policy == "quarantine":
            return fresh[0]
        if policy == "evolve":
            sampled = self._sampled(content, 1)
            self.schema = widened(schema, self._typed({name: sampled.get(name, []) for name in fresh}))
        return None

    def _parse(
        self, block: bytes, names: Sequence[str], unknown: str | None, origin: str, line: int, final: bool
    ) -> Outcome:
        options = self._options
        texts = csv.parse(block, options.dialect, len(names), final=final, most=options.batch_rows, limit=self._limit)
        spans = texts.spans
        rows, misfits = self._rows(texts, names)
        if unknown is not None:
            misfits = [Fault(int(row), "unknown_field", drift.unknown(unknown), unknown) for row in texts.rows]
            rows = rows.slice(0, 0)
        aside = set_aside(
            [*texts.faults, *misfits],
            lambda fault: block[spans.start[fault.row] : spans.stop[fault.row]],
            lambda row: f"{origin}:{line + int(spans.line[row]) + 1}",
            lambda fault: _fields(texts, names, fault.row) if fault.column is not None else None,
        )
        return Outcome(spans.consumed, spans.lines, Fetched(rows, aside))

    def _rows(self, texts: csv.Texts, names: Sequence[str]) -> tuple[pa.RecordBatch, list[Fault]]:
        """The texts as the source's columns; a row with a value that does not fit is a fault."""
        schema = self.schema if self.schema is not None else pa.schema([])
        by_name = dict(zip(names, texts.columns, strict=True))
        arrays: list[pa.Array] = []
        misfits: dict[int, Fault] = {}
        for field in schema:
            if field.name not in by_name:
                arrays.append(pa.nulls(len(texts.rows), field.type))
                continue
            column = by_name[field.name]
            fitted, bad = fit_texts(column, field.type, self._options.dialect.null_values)
            arrays.append(fitted)
            for at in np.flatnonzero(bad):
                detail = f"column {field.name!r}: {_shown(column[int(at)].as_py())} is not {name_of(field.type)}"
                misfits.setdefault(int(at), Fault(int(texts.rows[at]), "wrong_type", detail, field.name))
        rows = pa.RecordBatch.from_arrays(arrays, schema=schema)
        if misfits:
            fitting = np.ones(len(texts.rows), bool)
            fitting[list(misfits)] = False
            rows = rows.filter(pa.array(fitting))
        return rows, list(misfits.values())


def _fields(texts: csv.Texts, names: Sequence[str], row: int) -> str:
    """The texts of a row by column: a line alone does not tell which is which."""
    at = int(np.searchsorted(texts.rows, row))
    values = {name: column[at].as_py() for name, column in zip(names, texts.columns, strict=True)}
    return json.dumps(values, ensure_ascii=False)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")

"""How the body of a push becomes rows of the dataset's schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from headrace.connector import Fetched, SourceRow
from headrace.errors import HeadraceError
from services.ingest.adapters.sniffer import object_types
from services.ingest.core.csv import Fault
from services.ingest.core.json_array import elements
from services.ingest.core.json_rows import Evolution, parse_lines, read_lines
from services.ingest.core.tables import conformed

#: Content type -> format.
CONTENT_TYPES: Final = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
    "application/vnd.apache.arrow.stream": "arrow",
}


class Unreadable(HeadraceError):
    """A body that is not of its format at all: nothing of it can be taken."""


@dataclass(frozen=True, slots=True)
class Typing:
    """What a dataset file says of pushed columns."""

    declared: Mapping[str, pa.DataType]
    evolution: Evolution
    max_record_bytes: int


def first_schema(lines: list[bytes], typing: Typing) -> pa.Schema:
    """The columns of a dataset that has none yet: those of its first rows, and the declared ones."""
    objects = parse_lines(lines)[0].values()
    rest = [{name: value for name, value in found.items() if name not in typing.declared} for found in objects]
    found = object_types(rest) if typing.evolution == "additive" or not typing.declared else pa.schema([])
    return pa.schema([*(pa.field(name, kind) for name, kind in typing.declared.items()), *found])


def fetched(body: bytes, form: str, schema: pa.Schema | None, typing: Typing, origin: str) -> Fetched:
    """The rows of a body; `origin` names the request. Errors: Unreadable."""
    if form == "arrow":
        return _of_arrow(body, schema, typing, origin)
    try:
        lines = elements(body) if form == "json" else [line for line in body.split(b"\n") if line.strip()]
    except ValueError as error:
        raise Unreadable(f"the body is not a JSON array: {error}") from error
    short = [row for row, line in enumerate(lines) if len(line) <= typing.max_record_bytes]
    kept = [lines[row] for row in short]
    found = read_lines(
        kept, schema if schema is not None else first_schema(kept, typing), typing.evolution, object_types
    )
    faults = [Fault(short[fault.row], fault.reason, fault.detail, fault.column) for fault in found.faults]
    faults += [
        Fault(row, "too_large", f"the row has {len(line)} bytes, the cap is {typing.max_record_bytes}")
        for row, line in enumerate(lines)
        if len(line) > typing.max_record_bytes
    ]
    return Fetched(found.rows, _rejected(faults, lines, origin))


def _rejected(faults: list[Fault], lines: list[bytes], origin: str) -> tuple[SourceRow, ...]:
    return tuple(
        SourceRow(lines[fault.row], fault.reason, fault.detail, f"{origin}, row {fault.row + 1}", fault.column)
        for fault in sorted(faults, key=lambda fault: fault.row)
    )


def _of_arrow(body: bytes, schema: pa.Schema | None, typing: Typing, origin: str) -> Fetched:
    try:
        with pa.ipc.open_stream(pa.BufferReader(body)) as stream:
            table = stream.read_all()
            table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(f"the body is not an Arrow stream: {error}") from error
    batches = table.combine_chunks().to_batches()
    batch = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    found = conformed(batch, schema, typing.declared, typing.evolution)
    lines = {
        fault.row: str(batch.slice(fault.row, 1).to_pylist()[0]).encode(errors="replace") for fault in found.faults
    }
    rejected = tuple(
        SourceRow(lines[fault.row], fault.reason, fault.detail, f"{origin}, row {fault.row + 1}", fault.column)
        for fault in found.faults
    )
    return Fetched(found.rows, rejected)

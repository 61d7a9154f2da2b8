"""How the body of a push becomes rows of the dataset's schema."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from headrace.connector import Fetched
from headrace.errors import HeadraceError
from services.ingest.adapters.sniffer import object_types
from services.ingest.connectors.http_push import cloudevents
from services.ingest.core.drift import Frozen
from services.ingest.core.faults import Fault, set_aside
from services.ingest.core.json_array import elements, one_line
from services.ingest.core.json_rows import Infer, Object, read_lines
from services.ingest.core.tables import conformed
from services.ingest.core.typed_texts import row_text
from services.ingest.core.typing import Typing, first_schema

#: Content type -> format.
CONTENT_TYPES: Final = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
    "application/vnd.apache.arrow.stream": "arrow",
    cloudevents.STRUCTURED: "cloudevent",
    cloudevents.BATCH: "cloudevents",
}

#: Formats of which every row is a CloudEvent.
EVENTS: Final = frozenset({"cloudevent", "cloudevents"})


class Unreadable(HeadraceError):
    """A body that is not of its format at all: nothing of it can be taken."""


def event_types(objects: Sequence[Object]) -> pa.Schema:
    """The columns of events."""
    return cloudevents.types(object_types(objects))


def fetched(body: bytes, form: str, schema: pa.Schema | None, typing: Typing, origin: str) -> Fetched:
    """The rows of a body; `origin` names the request. Errors: Unreadable, also when columns are new and may not be."""
    try:
        return (
            _of_arrow(body, schema, typing, origin)
            if form == "arrow"
            else _of_lines(body, form, schema, typing, origin)
        )
    except Frozen as error:
        raise Unreadable(str(error)) from error


def _of_lines(body: bytes, form: str, schema: pa.Schema | None, typing: Typing, origin: str) -> Fetched:
    lines = _lines(body, form)
    faults = [
        Fault(row, "too_large", f"the row has {len(line)} bytes, the cap is {typing.max_record_bytes}")
        for row, line in enumerate(lines)
        if len(line) > typing.max_record_bytes
    ]
    short = [row for row, line in enumerate(lines) if len(line) <= typing.max_record_bytes]
    kept = [lines[row] for row in short]
    infer: Infer = object_types
    if form in EVENTS:
        rows, bad = cloudevents.rows(kept)
        faults += [Fault(short[place], "unreadable_row", why) for place, why in bad.items()]
        short, kept, infer = [short[place] for place in rows], list(rows.values()), event_types
        lines = list(lines)
        for place, line in zip(short, kept, strict=True):
            lines[place] = line  # as a row: an event tells its columns otherwise
    if schema is None:
        schema = first_schema(kept, typing, infer)
    found = read_lines(kept, schema, typing.evolution, infer)
    faults += [Fault(short[fault.row], fault.reason, fault.detail, fault.column) for fault in found.faults]
    return Fetched(
        found.rows, set_aside(faults, lambda fault: lines[fault.row], lambda row: f"{origin}, row {row + 1}")
    )


def row_count(body: bytes, form: str) -> int:
    """How many rows a body holds, bad ones too. Errors: Unreadable."""
    if form != "arrow":
        return len(_lines(body, form))
    try:
        with pa.ipc.open_stream(pa.BufferReader(body)) as stream:
            return sum(batch.num_rows for batch in stream)
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(f"the body is not an Arrow stream: {error}") from error


def most_rows(body: bytes, form: str) -> int | None:
    """What a body can hold at most, counted cheaply; None when it has to be looked into."""
    if form == "ndjson":
        return body.count(b"\n") + 1
    return body.count(b",") + 1 if form != "arrow" else None


def _lines(body: bytes, form: str) -> list[bytes]:
    """The rows of a body, each as a line."""
    if form == "ndjson":
        return [line for line in body.split(b"\n") if line.strip()]
    if form == "cloudevent" or (form == "json" and body.lstrip().startswith(b"{")):
        return [one_line(body)]
    try:
        return elements(body)
    except ValueError as error:
        raise Unreadable(f"the body is not a JSON array: {error}") from error


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
    aside = set_aside(found.faults, lambda fault: row_text(batch, fault.row), lambda row: f"{origin}, row {row + 1}")
    return Fetched(found.rows, aside)

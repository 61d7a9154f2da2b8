"""What a row of another dataset brings beside its columns, and keeps when it is set aside: what happened, when, and its age."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa

from headrace.stream.columns import OP, ORIGIN_OFFSET, RAW_FIELDS, SOURCE_TS, TIMESTAMP
from services.ingest.core.json_text import json_text, strict_json

NAMES: Final = (SOURCE_TS, OP, ORIGIN_OFFSET)


@dataclass(frozen=True, slots=True)
class Marks:
    """See `headrace.stream.columns`. `age` is None where it does not count, or is not known."""

    source_ts: datetime | None = None
    op: str = "insert"
    age: int | None = None


def parted(text: bytes) -> tuple[bytes, Marks]:
    """The text of a row that was set aside without its marks, and these. What is no such text stays as it is."""
    try:
        found = strict_json(text.decode())
        told = {name: json.loads(json_text(found.get(name))) for name in NAMES}
    except (ValueError, AttributeError, RecursionError):
        return text, Marks()
    since = told[SOURCE_TS]
    marks = Marks(datetime.fromisoformat(since) if since else None, told[OP] or "insert", told[ORIGIN_OFFSET])
    return json_text({name: value for name, value in found.items() if name not in NAMES}).encode(), marks


def with_marks(rows: pa.RecordBatch, marks: Sequence[Marks]) -> pa.RecordBatch:
    """Rows with their marks beside them. Shapes: one for each row."""
    since = pa.array([each.source_ts for each in marks], TIMESTAMP)
    op, age = pa.array([each.op for each in marks], pa.string()), pa.array([each.age for each in marks], pa.int64())
    schema = pa.schema([*rows.schema, *RAW_FIELDS, pa.field(ORIGIN_OFFSET, pa.int64())])
    return pa.RecordBatch.from_arrays([*rows.columns, since, op, age], schema=schema)

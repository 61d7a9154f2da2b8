"""Writes quarantined rows to a file, as lines of JSON or as CSV."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

from headrace.client import QuarantinedRow

#: Columns of the CSV. What a row holds is one of them, as JSON: rows need not have the same columns.
_COLUMNS: Final = (
    "id", "state", "quarantined_at", "stage", "reason", "rule", "column", "detail", "source", "partition", "raw_offset",
    "version", "acted_by", "because", "acted_at", "edit", "request", "assigned_to", "fields", "value",
)  # fmt: skip


class ExportFormat(StrEnum):
    """How rows are written."""

    NDJSON = "ndjson"
    CSV = "csv"


def lines(rows: Iterable[QuarantinedRow], form: ExportFormat) -> Iterator[str]:
    """The text of a file with these rows, line by line."""
    if form is ExportFormat.NDJSON:
        yield from (f"{row.model_dump_json()}\n" for row in rows)
        return
    yield _csv(_COLUMNS)
    for row in rows:
        shown = row.model_dump(mode="json")
        shown["fields"] = shown["fields"] and json.dumps(shown["fields"], ensure_ascii=False)
        yield _csv("" if shown[name] is None else str(shown[name]) for name in _COLUMNS)


def _csv(values: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()

"""Decides what becomes of exports that are made in the background: who may work at one, fetch it, and when it goes."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from headrace.access.policy import Sight
from services.gateway.core.completeness import Completeness
from services.gateway.core.exports import ENDINGS, Format, Plan, Wanted

State = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
Destination = Literal["download", "s3"]

MOST_ATTEMPTS: Final = 3
LEASE: Final = timedelta(seconds=30)
REMEMBERED: Final = timedelta(days=30)
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Job:
    """An export, as the table has it. `sight` is what its owner saw of the dataset when it was made."""

    id: str
    owner: str
    owner_name: str
    token: str | None
    dataset: str
    format: Format
    columns: tuple[str, ...]
    condition: str
    destination: Destination
    created_at: datetime
    schedule: str | None = None
    state: State = "queued"
    rows: int = 0
    estimated_rows: int | None = None
    size_bytes: int = 0
    error: str = ""
    sight: str = ""
    manifest: Mapping[str, Any] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    attempts: int = 0

    @property
    def wanted(self) -> Wanted:
        """What is to be exported."""
        return Wanted(self.dataset, self.format, self.columns, self.condition)

    @property
    def ended(self) -> bool:
        """Whether nothing more becomes of it by itself, but that it expires."""
        return self.state not in ("queued", "running")

    @property
    def file_name(self) -> str:
        """What its file is called."""
        return f"{self.dataset}-{self.created_at:%Y%m%dT%H%M%SZ}.{ENDINGS[self.format]}"


def seen_as(sight: Sight) -> str:
    """A short text that is the same as long as somebody sees the same of a dataset."""
    told = (
        sight.rows,
        sorted(sight.masked.items()),
        sorted(sight.listed),
        sight.others,
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()


def fetch_refusal(job: Job, sight: Sight | None) -> str | None:
    """Why somebody who sees this much of the dataset now may not have the file; None when they may."""
    if sight is None:
        return f"you may not export {job.dataset} any more"
    if not sight.whole and seen_as(sight) != job.sight:
        return f"what you may see of {job.dataset} has changed since the export was made: make another"
    return None


def manifest(
    job: Job, plan: Plan, state: Completeness, rows: int, size_bytes: int, digest: str, made_at: datetime
) -> dict[str, Any]:
    """What is told of a file beside it: what it holds, how complete that is, and what is hidden in it."""
    return {
        "export": job.id,
        "dataset": job.dataset,
        "format": job.format,
        "condition": job.condition,
        "columns": list(plan.columns),
        "masked_columns": list(plan.masked),
        "rows": rows,
        "parts": [{"name": job.file_name, "rows": rows, "size_bytes": size_bytes, "sha256": digest}],
        "complete_through": state.through and state.through.isoformat(),
        "loaded_at": state.loaded_at and state.loaded_at.isoformat(),
        "rows_in_flight": state.in_flight,
        "waiting_for": list(state.waiting_for),
        "made_at": made_at.isoformat(),
    }


class RowCount:
    """How many rows have passed in the bytes of a text format. A line break within quotes is no end of a row."""

    def __init__(self, form: Format) -> None:
        self._quoted = form == "csv"
        self._within = False
        self.rows = -1 if form == "csv" else 0  # the header is no row

    def add(self, piece: bytes) -> None:
        """Count the rows that end in a piece."""
        if not self._quoted:
            self.rows += piece.count(b"\n")
            return
        parts = piece.split(b'"')
        self.rows += sum(part.count(b"\n") for part in parts[int(self._within) :: 2])
        self._within ^= len(parts) % 2 == 0


class BadRangeError(ValueError):
    """A range of bytes that the file does not have."""


def byte_range(header: str, size_bytes: int) -> tuple[int, int] | None:
    """The first byte asked for and the one after the last; None for the whole file, as for what is not understood.

    Errors: BadRangeError. Source: RFC 9110, 14.1.2; of several ranges none is served.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        start, stop = max(size_bytes - int(last), 0), size_bytes
    else:
        start, stop = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return None
    if start >= size_bytes or start >= stop:
        raise BadRangeError(f"the file has {size_bytes} bytes")
    return start, stop

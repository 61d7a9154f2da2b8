"""What a gateway says of sources that drift, and of what was decided about them."""

from datetime import datetime
from typing import Any

from headrace.client.results.base import Result
from headrace.client.results.datasets import Change, ColumnReader


class DriftHits(Result):
    """What depends on a column of the source."""

    columns: tuple[str, ...] = ()  # of the published table, computed from it
    unsure: tuple[str, ...] = ()
    dropped_by: tuple[str, ...] = ()  # conditions of the SQL
    checks: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    readers: tuple[ColumnReader, ...] = ()


class DriftItem(Result):
    """Open rows that were set aside for one column, and one reason."""

    column: str
    reason: str  # unknown_field or wrong_type
    rows: int
    since: datetime
    until: datetime
    first: str  # the quarantined row's id
    place: str | None = None  # in the source
    examples: tuple[Any, ...] = ()
    likely_type: str = "string"
    hits: DriftHits = DriftHits()


class Drift(Result):
    """How the source of a dataset drifts, and what was decided before, by column."""

    items: tuple[DriftItem, ...] = ()
    decided: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - pydantic copies it


class DriftEdit(Result):
    """What a decision changes in the dataset's file. See `headrace.contract.FileEdit`."""

    column: str
    decision: dict[str, Any] | None = None
    type: str | None = None
    publish: tuple[str, str] | None = None


class DriftDecided(Result):
    """What was decided, or would be; `request` is None of a dry run."""

    column: str
    rows: int
    edit: DriftEdit | None = None
    changes: tuple[Change, ...] = ()
    version: int
    request: str | None = None

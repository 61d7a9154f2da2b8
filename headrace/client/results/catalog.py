"""What the catalog tells of datasets."""

from datetime import date, datetime
from typing import Any

from pydantic import Field

from headrace.client.results.base import Result
from headrace.client.results.datasets import Change
from headrace.client.results.rows import Column


class CatalogItem(Result):
    """A dataset as it is listed."""

    name: str
    domain: str
    description: str = ""
    owner: str = ""
    people: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    classification: str = ""
    source: str = ""
    state: str = ""
    freshness: str = ""
    last_loaded_at: datetime | None = None
    version: int = 0
    generation: int = 0
    changed_at: datetime | None = None
    changed_by: str = ""
    columns: int = 0
    queries: int = 0
    favourite: bool = False


class FacetValue(Result):
    """How many datasets have a value."""

    value: str
    count: int


class CatalogPage(Result):
    """A page of the datasets that were found."""

    items: tuple[CatalogItem, ...]
    total: int
    facets: dict[str, tuple[FacetValue, ...]] = Field(default_factory=dict)
    next_cursor: str | None = None


class ColumnProfile(Result):
    """What the values of a column look like."""

    rows: int
    null_share: float
    flagged_share: float = 0.0
    distinct_at_least: int | None = None
    min: str | None = None
    max: str | None = None
    mean: float | None = None
    deviation: float | None = None


class CatalogColumn(Result):
    """A column of the published table."""

    name: str
    type: str = ""
    declared: bool = True
    required: bool = False
    description: str = ""
    note: str = ""
    classification: str = ""
    tags: tuple[str, ...] = ()
    key: bool = False
    hidden: bool = False
    examples: tuple[Any, ...] = ()
    profile: ColumnProfile | None = None


class CatalogDataset(CatalogItem):
    """A dataset with its columns."""

    note: str = ""
    load_mode: str = ""
    fresh_within_s: float | None = None
    schema_: tuple[CatalogColumn, ...] = Field((), alias="schema")
    sla: tuple[dict[str, Any], ...] = ()
    needs: tuple[str, ...] = ()


class CatalogVersion(Result):
    """A version of the dataset's file, and what it changed."""

    version: int
    generation: int
    applied_at: datetime
    applied_by: str
    tests_skipped: str = ""
    changes: tuple[Change, ...] = ()


class LineageNode(Result):
    """A dataset, or the source that it is read from. `name` is None of a source, and of a dataset you may not see."""

    id: str
    name: str | None = None
    label: str
    kind: str
    distance: int
    owner: str = ""
    state: str | None = None


class LineageColumn(Result):
    """A column that is computed from another."""

    origin: str
    column: str
    sure: bool


class LineageEdge(Result):
    """Who reads whom, by their ids."""

    origin: str
    reader: str
    how: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    columns: tuple[LineageColumn, ...] = ()


class Lineage(Result):
    """What a dataset comes from, and what comes from it. `cut`: there is more, further away."""

    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]
    cut: bool = False


class ImpactItem(Result):
    """What of a dataset leans on what goes. `dataset` is None for one you may not see."""

    dataset: str | None = None
    via: str | None = None
    kind: str = "dataset"
    distance: int = 0
    owner: str = ""
    reads: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


class ColumnImpact(Result):
    """Who breaks when a column goes, or (`column` is None) all of the dataset."""

    column: str | None = None
    items: tuple[ImpactItem, ...] = ()
    leaning: int = 0
    hidden: int = 0
    owners: tuple[str, ...] = ()
    users: int = 0


class Sample(Result):
    """Some rows, as you see them."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    hidden: tuple[str, ...] = ()
    filtered: bool = False


class TierSize(Result):
    """How much of a dataset is kept in one place."""

    tier: str
    place: str
    rows: int | None = None
    size_bytes: int | None = None
    bytes_read: int | None = None
    detail: str = ""


class UsageDay(Result):
    """How much was asked for on one day (UTC)."""

    day: date
    queries: int
    exports: int


class UsageUser(Result):
    """How much somebody has asked for."""

    name: str
    queries: int
    exports: int
    last_at: datetime


class Usage(Result):
    """Who asks for the rows of a dataset."""

    days: tuple[UsageDay, ...] = ()
    users: tuple[UsageUser, ...] = ()
    queries: int = 0
    exports: int = 0
    last_used_at: datetime | None = None


class Note(Result):
    """A state of a note."""

    id: int
    column: str = ""
    text: str
    by: str
    at: datetime


class Remark(Result):
    """What somebody said."""

    id: str
    text: str
    by: str
    at: datetime
    edited_at: datetime | None = None
    deleted: bool = False
    yours: bool = False


class Thread(Result):
    """What was said of one matter."""

    id: str
    column: str = ""
    opened_at: datetime
    resolved_at: datetime | None = None
    resolved_by: str = ""
    remarks: tuple[Remark, ...] = ()

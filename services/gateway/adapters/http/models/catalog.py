"""Bodies: what the catalog tells of datasets."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from headrace.contract.fields import Classification
from services.gateway.adapters.http.models.datasets import Change
from services.gateway.adapters.http.models.words import Answer, Rows
from services.gateway.core.catalog_state import Freshness, State


class CatalogItem(Answer):
    """A dataset as it is listed."""

    name: str = Field(examples=["nyc.flights"])
    domain: str = Field(examples=["nyc"])
    description: str
    owner: str = Field(description="The team.", examples=["mobility"])
    people: list[str] = Field(description="Who answers for it, by account or name.")
    tags: list[str]
    classification: Classification = Field(description="How sensitive it is; a column can be more so.")
    source: str = Field(description="Its `source.type`.", examples=["file", "model"])
    state: State = Field(
        description="`new`: no row was loaded yet; `down`: its source does not answer, and is tried again; `stopped`: a person "
        "has to act; see /status for why."
    )
    freshness: Freshness = Field(
        description="`late`: its newest rows are older than `sla` promises; `unpromised`: it promises nothing."
    )
    last_loaded_at: datetime | None = Field(description="When rows of the live generation were last loaded.")
    version: int
    generation: int
    changed_at: datetime = Field(description="When this version, or this generation, went live.")
    changed_by: str
    columns: int = Field(description="How many columns are declared.")
    queries: int = Field(description="How often it was queried over the last 30 days.")
    favourite: bool = Field(description="Whether it is one of yours.")


class FacetValue(Answer):
    """How many datasets have a value."""

    value: str
    count: int


class CatalogPage(Answer):
    """A page of the datasets that were found."""

    items: list[CatalogItem]
    total: int = Field(description="How many were found, on all pages.")
    facets: dict[str, list[FacetValue]] = Field(
        description="What can be chosen, the most frequent first: of each facet, as if nothing was chosen of it yet. At most 100."
    )
    next_cursor: str | None = Field(description="Give it as `cursor` to read on; null on the last page.")


class Profile(Answer):
    """What the values of a column look like, over all rows of the live generation that passed the checks."""

    rows: Rows
    null_share: float = Field(description="Between 0 and 1.")
    flagged_share: float = Field(description="The share of rows that a check of the column flagged.")
    distinct_at_least: int | None = Field(
        description="As many distinct values were in one batch; null of measurements, where they are not counted."
    )
    min: str | None = Field(description="As text; null where values are hidden from you.")
    max: str | None
    mean: float | None
    deviation: float | None = Field(description="The standard deviation.")
    profiled_at: datetime


class CatalogColumn(Answer):
    """A column of the published table."""

    name: str = Field(examples=["dep_delay"])
    type: str = Field(description="As declared; Arrow's where it is not.", examples=["integer", "int64"])
    declared: bool = Field(description="Whether the file names it; otherwise it was found in the rows.")
    required: bool
    description: str
    note: str = Field(description="What people have written of it beside the file.")
    classification: Classification
    tags: list[str]
    key: bool = Field(description="Whether it is part of the key.")
    hidden: bool = Field(description="Whether its values, or those of some rows, are hidden from you.")
    examples: list[Any] = Field(description="From the file; none where values are hidden from you.")
    profile: Profile | None = Field(description="Null as long as no row was seen.")


class ServiceLevel(Answer):
    """A promise to those who read the table."""

    property: str = Field(examples=["freshness"])
    value: int | float | str
    unit: str | None
    element: str | None
    description: str | None


class CatalogDataset(CatalogItem):
    """A dataset with its columns."""

    note: str = Field(description="What people have written of it beside the file.")
    load_mode: Literal["append", "upsert", "replace"]
    fresh_within_s: float | None = Field(description="How old its newest row may be, as promised. Seconds.")
    schema_: list[CatalogColumn] = Field(alias="schema")
    sla: list[ServiceLevel]
    needs: list[str] = Field(description="The datasets it reads; those that you may not see are not named.")


class CatalogVersion(Answer):
    """A version of the dataset's file."""

    version: int
    generation: int
    applied_at: datetime
    applied_by: str
    tests_skipped: str
    changes: list[Change] = Field(description="What it changed, against the version before that is known.")


class CatalogVersions(Answer):
    """The versions of a dataset's file, the newest first."""

    items: list[CatalogVersion]
    next_before: int | None = Field(description="Give it as `before` to read on; null when there are no older ones.")


class TierSize(Answer):
    """How much of a dataset is kept in one place."""

    tier: Literal["raw", "staged", "transformed", "validated", "quarantine", "lake", "warehouse"]
    place: str = Field(description="The topic or table.", examples=["nyc.flights.raw"])
    rows: int | None = Field(
        description="Of a topic at most so many, as marks of transactions count along; null when it is not known."
    )
    size_bytes: int | None = Field(description="On disk, of the lake and the warehouse; null when it is not known.")
    bytes_read: int | None = Field(description="Of a topic: what its reader has read of it in all.")
    detail: str = Field(description="Why something is not known; empty when all is.")


class Storage(Answer):
    """Where the rows of a dataset are kept, in the order in which they come there."""

    items: list[TierSize]


class LineageNode(Answer):
    """A dataset, or the source that it is read from."""

    id: str = Field(description="Names it within this answer.", examples=["nyc.flights"])
    name: str | None = Field(description="The dataset's name; null of a source, and of a dataset you may not see.")
    label: str = Field(description="What to show: a name, a source's type, or that you may not see it.")
    kind: Literal["dataset", "model", "source", "hidden"]
    distance: int = Field(description="How many steps it is away; below 0 upstream.")
    owner: str
    state: State | None


class LineageColumn(Answer):
    """A column that is computed from another."""

    origin: str = Field(description="The column it is computed from.")
    column: str
    sure: bool = Field(description="Whether the SQL alone tells.")


class LineageEdge(Answer):
    """Who reads whom."""

    origin: str = Field(description="The id of what is read.")
    reader: str = Field(description="The id of what reads it.")
    how: list[Literal["source", "transform", "check"]]
    checks: list[str] = Field(description="The checks that refer to it.")
    columns: list[LineageColumn] = Field(description="Empty where you may not see one of the two.")


class Lineage(Answer):
    """What a dataset comes from, and what comes from it."""

    nodes: list[LineageNode]
    edges: list[LineageEdge]
    cut: bool = Field(description="Whether there is more, further away.")


class ImpactItem(Answer):
    """What of a dataset leans on what goes."""

    dataset: str | None = Field(
        description="Null for one that you may not see: of those it is only said that there are some."
    )
    via: str | None = Field(
        description="The dataset it reads it of; null where you may not see that, and of the dataset itself."
    )
    kind: Literal["dataset", "model", "hidden"]
    distance: int = Field(description="How many steps it is away; 0 for the dataset itself.")
    owner: str
    reads: list[str] = Field(description="The columns of `via` that it reads.")
    columns: list[str] = Field(description="Its own columns that are computed from them.")
    perhaps: list[str] = Field(description="Those of which the SQL alone does not tell.")
    conditions: list[str] = Field(description="Conditions of its SQL that decide over rows by them.")
    checks: list[str]
    tests: list[str]
    settings: list[str] = Field(description="Settings of its file that name such a column.", examples=[["key"]])


class ColumnImpact(Answer):
    """Who breaks."""

    column: str | None = Field(description="Null: all of the dataset goes.")
    items: list[ImpactItem] = Field(description="Nearest first; one for each dataset and each that it reads from.")
    leaning: int = Field(description="How many datasets lean on this one at all, by whatever column or row.")
    hidden: int = Field(description="How many of those you may not see.")
    owners: list[str] = Field(description="The teams to talk to.")
    users: int = Field(description="How many have queried the dataset, or those that break, over the last 30 days.")

"""Runs, and what is wanted of sources."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from headrace.client.results.base import Result


class Run(Result):
    """A full load: one reading of the whole source. Or a backfill, which reads from `since` up to `until`."""

    run: int
    state: str  # begun, ended, shown, refused, abandoned or cancelled
    current: bool = False  # the view shows it
    previous: bool = False  # a rollback would show it
    version: int = 0
    begun_at: datetime | None = None
    at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    rows: int = 0
    rejected: int = 0
    source_rows: int | None = None
    loaded: int = 0
    quarantined: int = 0
    filtered: int = 0
    message: str = ""


class RunEvent(Result):
    """Something that happened to a run: `data` are figures, such as `rows`, `size_bytes`, `rows_per_s` and seconds by phase."""

    type: str
    at: datetime
    service: str
    message: str
    data: Mapping[str, Any] = Field(default_factory=dict)


class RunCause(Result):
    """Rows of a full load that were set aside for one cause; `first` is the id in quarantine of the first of them."""

    stage: str
    reason: str
    rule: str | None = None
    column: str | None = None
    rows: int = 0
    first: str = ""


class RunStory(Result):
    """What happened to a run, in its order; `after` is from where to ask on. `set_aside` comes with the first answer."""

    run: Run
    set_aside: Sequence[RunCause] = ()
    items: Sequence[RunEvent] = ()
    after: int = 0


class Asked(Result):
    """A run that was asked for: it will begin, or show again."""

    dataset: str
    run: int


class Generation(Result):
    """A generation of a dataset: topics and a table of its own, made by one version of its file."""

    dataset: str
    generation: int
    state: str  # live, candidate, kept or retired
    shown: bool  # readers of the view see it
    version: int
    applied_at: datetime
    applied_by: str
    since: datetime  # it is what `state` says
    by: str = ""
    because: str = ""
    read: int = 0
    loaded: int = 0
    quarantined: int = 0
    filtered: int = 0
    behind: int = 0
    caught_up: bool = False
    problem: str = ""
    ingested_from: datetime | None = None  # it holds only rows that were ingested then or later,
    ingested_to: datetime | None = None  # ... and before


class SourceHolding(Result):
    """What a source keeps outside of Headrace; `message` is what could not be taken away yet, and how to do it by hand."""

    name: str
    dataset: str
    state: str  # held, leaving or abandoned
    at: datetime
    because: str = ""
    message: str = ""


class Wish(Result):
    """What was asked of a source: `pause`, `resume`, `run` or `release`."""

    dataset: str
    act: str
    at: datetime
    by: str
    because: str = ""

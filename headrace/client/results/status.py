"""What the parts of a dataset are doing."""

from datetime import datetime

from headrace.client.results.base import Result


class Latency(Result):
    """Age of rows since ingestion when a stage committed them. Units: milliseconds."""

    p50: float | None = None
    p95: float | None = None


class StageStatus(Result):
    """What one stage of a dataset is doing."""

    stage: str
    rows_in: int = 0
    rows_out: int = 0
    lag_rows: int | None = None
    rate_rows_s: float | None = None
    latency_ms: Latency | None = None
    last_commit_at: datetime | None = None


class SourceStatus(Result):
    """What a source is doing: `reading`, `quiet`, `down`, `paused` or `stopped`; `by` is who paused it."""

    state: str
    since: datetime | None = None
    by: str = ""
    because: str = ""


class DatasetStatus(Result):
    """What a dataset is doing. Settled: everything its source had has reached its fate."""

    dataset: str
    state: str
    settled: bool
    waiting_for: tuple[str, ...] = ()  # why it is not settled
    problems: tuple[str, ...] = ()  # those of the reasons that need a person
    pinned: str = ""  # who pinned its version, when and why
    source: SourceStatus | None = None  # an older gateway says nothing of it
    stages: tuple[StageStatus, ...] = ()
    quarantined: int = 0
    resubmitted: int = 0
    discarded: int = 0
    parked: int = 0


class Version(Result):
    """Which program answered."""

    name: str = "headrace"
    version: str

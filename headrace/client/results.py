"""The values the gateway's answers are read into.

Unknown members are ignored, so that an older client reads a newer gateway.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Result(BaseModel):
    """A value of an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Change(Result):
    """One difference between the live version of a dataset file and the proposed one."""

    path: str
    kind: str  # added, removed or changed
    before: Any = None
    after: Any = None
    breaking: bool = False
    why: str = ""


class Refusal(Result):
    """Why applying a dataset file would be refused."""

    code: str
    detail: str


class SourceColumn(Result):
    """A column that a source offers. `type` is written as in `schema.fields`; `null_share` is of the rows looked at."""

    name: str
    type: dict[str, Any]
    null_share: float | None = None
    unique: bool = False
    examples: tuple[str, ...] = ()
    personal: dict[str, str] | None = None  # what it seems to hold, and why: by its name or its values


class SourcePart(Result):
    """A part of what is said of a source: `step`, `stream` or `end`."""

    part: str
    name: str = ""
    ok: bool | None = None
    message: str = ""
    field: str | None = None
    remedy: str = ""
    took_s: float | None = None
    columns: tuple[SourceColumn, ...] = ()
    keys: tuple[str, ...] = ()
    keys_declared: bool = False
    cursors: tuple[str, ...] = ()
    rows_sampled: int = 0
    kind: str = ""  # of a stream that is yet to be chosen
    namespace: str = ""
    rows_estimated: int | None = None


class Plan(Result):
    """What applying a dataset file would do, and what stands against it."""

    dataset: str
    current_version: int | None = None
    next_version: int
    changes: tuple[Change, ...] = ()
    needs_generation: bool = False
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changes_something(self) -> bool:
        """Whether applying would make a new version."""
        return self.next_version != self.current_version


class Applied(Result):
    """What applying a dataset file did."""

    name: str
    version: int
    generation: int
    changed: bool
    warnings: tuple[str, ...] = ()


class Dataset(Result):
    """A dataset as it is live. `document` is there when one dataset was asked for."""

    name: str
    version: int
    generation: int
    state: str
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    applied_at: datetime | None = None
    applied_by: str | None = None
    tests_skipped: str = ""  # why the tests of this version were not run
    document: dict[str, Any] | None = None


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
    source: SourceStatus | None = None  # an older gateway says nothing of it
    stages: tuple[StageStatus, ...] = ()
    quarantined: int = 0
    resubmitted: int = 0
    discarded: int = 0


class Books(Result):
    """Rows by fate: read + multiplied = loaded + filtered + quarantined + discarded + in flight, and the residue is 0."""

    read: int = 0
    multiplied: int = 0  # rows that exist because one row became several
    loaded: int = 0
    filtered: dict[str, int] = Field(default_factory=dict)  # by rule
    quarantined: dict[str, int] = Field(default_factory=dict)  # by reason
    resubmitted: dict[str, int] = Field(default_factory=dict)  # by the reason they had; not part of the sum
    discarded: dict[str, int] = Field(default_factory=dict)  # by the reason they had
    in_flight: int = 0
    residue: int = 0
    hashes_agree: bool | None = None  # None while rows are in flight

    @property
    def filtered_rows(self) -> int:
        return sum(self.filtered.values())

    @property
    def quarantined_rows(self) -> int:
        return sum(self.quarantined.values())

    @property
    def resubmitted_rows(self) -> int:
        return sum(self.resubmitted.values())

    @property
    def discarded_rows(self) -> int:
        return sum(self.discarded.values())

    @property
    def settled_rows(self) -> int:
        """Rows that have reached their fate."""
        return self.loaded + self.filtered_rows + self.quarantined_rows + self.discarded_rows

    @property
    def balanced(self) -> bool:
        """Whether every row read is accounted for."""
        accounted = self.settled_rows + self.in_flight
        return self.residue == 0 and self.read + self.multiplied == accounted and self.hashes_agree is not False


class PartitionBooks(Books):
    """The books of one partition."""

    partition: int


class StageBooks(Result):
    """What one stage did with its input: every row has one fate."""

    stage: str
    rows_in: int = 0
    emitted: int = 0
    rows_out: int = 0
    filtered: dict[str, int] = Field(default_factory=dict)
    quarantined: dict[str, int] = Field(default_factory=dict)
    residue: int = 0


class Ledger(Books):
    """The books of a dataset."""

    dataset: str
    generation: int = 1
    settled: bool = False
    waiting_for: tuple[str, ...] = ()  # why it is not settled
    problems: tuple[str, ...] = ()  # those of the reasons that need a person
    partitions: tuple[PartitionBooks, ...] = ()
    stages: tuple[StageBooks, ...] = ()


class Cluster(Result):
    """Quarantined rows that share one cause."""

    stage: str
    reason: str
    rule: str | None = None
    column: str | None = None
    rows: int


class QuarantinedRow(Result):
    """A record that was set aside. Source: schemas/quarantined.avsc."""

    id: str
    dataset: str
    generation: int = 0
    version: int = 0
    stage: str
    reason: str
    detail: str = ""
    rule: str | None = None
    column: str | None = None
    topic: str | None = None
    partition: int = 0
    offset: int = -1
    raw_offset: int | None = None
    seq: int = 0
    schema_id: int | None = None
    value: str | None = None  # the input bytes, base64
    fields: str | dict[str, Any] | None = None  # the decoded record
    source: str | None = None
    quarantined_at: datetime | None = None
    state: str = "open"  # or resubmitted, discarded
    acted_by: str | None = None
    because: str | None = None
    acted_at: datetime | None = None
    edit: str | None = None  # JSON: set or patch
    request: str | None = None


class Quarantine(Result):
    """The quarantined rows of a dataset: all of them by cause, and some of them in full."""

    total: int
    clusters: tuple[Cluster, ...] = ()
    items: tuple[QuarantinedRow, ...] = ()


class Verdict(Result):
    """What would become of rows that were tried."""

    fate: str  # loaded, filtered, quarantined or refused
    reason: str | None = None
    detail: str = ""
    rows: int
    example: str


class QuarantineAsked(Result):
    """What was asked of quarantined rows; `request` is None of a dry run, and when there are no rows."""

    request: str | None
    rows: int
    clusters: tuple[Cluster, ...] = ()
    tried: int = 0  # of a dry run: how many of the rows
    verdicts: tuple[Verdict, ...] = ()


class Refused(Result):
    """Why rows were left as they are."""

    detail: str
    rows: int
    example: str


class QuarantineOutcome(Result):
    """What became of a request so far."""

    request: str
    resubmitted: int = 0
    discarded: int = 0
    refused: int = 0
    refusals: tuple[Refused, ...] = ()

    @property
    def settled(self) -> int:
        """Rows that something became of."""
        return self.resubmitted + self.discarded + self.refused


class Column(Result):
    """A column of a query's answer."""

    name: str
    type: str


class QueryResult(Result):
    """The answer to a query."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    row_count: int
    truncated: bool = False
    elapsed_ms: float | None = None


class TailRecord(Result):
    """A record of one of a dataset's topics."""

    partition: int
    offset: int
    timestamp: datetime | None = None
    fields: Any = None
    error: str | None = None  # why it cannot be decoded


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


class Asked(Result):
    """A run that was asked for: it will begin, or show again."""

    dataset: str
    run: int


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


class Version(Result):
    """Which program answered."""

    name: str = "headrace"
    version: str


class Secret(Result):
    """A secret, without its value. `kept_for` is the dataset whose source replaced the value itself."""

    name: str
    version: int
    key_id: str
    set_at: datetime
    set_by: str
    kept_for: str | None = None
    datasets: tuple[str, ...] = ()


class Secrets(Result):
    """Every secret, by name, and the master key that seals from now on."""

    current_key_id: str
    items: tuple[Secret, ...]


class FailedRotation(Result):
    """A secret that is still under another master key."""

    name: str
    detail: str


class RotatedSecrets(Result):
    """What a rotation of the master key did."""

    current_key_id: str
    rotated: int
    unchanged: int
    failed: tuple[FailedRotation, ...] = ()

"""The bodies of the API: what is asked and what is answered."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

Rows = Annotated[int, Field(description="A number of rows.")]
Name = Annotated[
    str,
    Path(
        description="The dataset's name, domain.name.",
        examples=["nyc.flights"],
        pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$",
        max_length=120,
    ),
]
Problems = Annotated[
    list[str],
    Field(
        description="What needs a person: a service has stopped working on the dataset. Until it has worked on it again, "
        "or a newer version is live, these are among the reasons why the dataset is not settled.",
        examples=[["ingest stopped working on nyc.flights (ingest nyc.flights): flights.csv is damaged; replace it"]],
    ),
]
Warnings = Annotated[
    list[str],
    Field(
        description="What does not stand against applying, but should be known: a secret that the file names and nobody has set.",
        examples=[["there is no secret shop.password: ingest reads the source once it is set"]],
    ),
]
SecretName = Annotated[
    str,
    Path(
        description="The name of a secret, as in `secret://name`.",
        examples=["shop.password"],
        pattern=r"^[a-z][a-z0-9_.-]{0,127}$",
    ),
]
TailStage = Literal["raw", "staged", "transformed", "validated", "quarantine"]

_DOCUMENT = """\
dataset: nyc.airports
description: Airports of the United States.
owner: {team: mobility}
source: {type: file, path: airports.csv}
key: [faa]
load: {mode: upsert}
"""
_SOURCE = """\
source:
  type: sql
  database: postgresql
  host: db.shop.example
  name: shop
  user: headrace
  password: secret://shop-db
  table: public.orders
  cursor: updated_at
  key: [id]
"""


class Body(BaseModel):
    """A request's body: unknown members are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(frozen=True)


class DatasetFile(Body):
    """A dataset file."""

    document: str = Field(max_length=1_000_000, description="The dataset file, as YAML.", examples=[_DOCUMENT])


class DatasetApplication(DatasetFile):
    """A dataset file that is to go live."""

    skip_tests: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="Why its tests are not to be run; kept with the version. Left out: they are run, and must pass.",
    )


class SourceFile(Body):
    """A dataset file of which only the source has to be written."""

    document: str = Field(max_length=1_000_000, description="The dataset file, as YAML.", examples=[_SOURCE])


class SourcePart(Answer):
    """A line of what is said of a source. Which members there are depends on `part`."""

    part: Literal["step", "stream", "end"] = Field(
        description="A step that was tried, a set of rows the source offers, or the end."
    )
    name: str | None = Field(None, description="Of the step or stream.", examples=["connect", "public.orders"])
    ok: bool | None = Field(None, description="Whether the step went well; at the end, whether all did.")
    message: str | None = Field(None, description="What was found, in the source's own words where it has any.")
    field: str | None = Field(None, description="The setting at fault.", examples=["source.password"])
    remedy: str | None = Field(None, description="What to do.")
    took_s: float | None = Field(None, description="How long it took, in seconds.")
    columns: list[dict[str, Any]] | None = Field(
        None, description="Of a stream: `name`, `type`, `null_share`, `unique`, `examples`, `personal` of each."
    )
    keys: list[str] | None = Field(None, description="Columns that identify a row, or may; the likeliest first.")
    keys_declared: bool | None = Field(None, description="Whether the source itself declares the key.")
    cursors: list[str] | None = Field(None, description="Columns that reading can resume by, or may.")
    rows_sampled: int | None = Field(None, description="How many rows were looked at.")
    kind: str | None = Field(None, description="Of a stream that is yet to be chosen.", examples=["table", "view"])
    namespace: str | None = Field(None, description="The schema it is in.", examples=["public"])
    rows_estimated: int | None = Field(None, description="How many rows it has, as the source estimates.")


class Change(Answer):
    """One difference between the live version and the proposed one."""

    path: str = Field(description="Where in the file.", examples=["schema.fields.tailnum"])
    kind: Literal["added", "removed", "changed"]
    before: Any = Field(None, description="The live value.")
    after: Any = Field(None, description="The proposed value.")
    breaking: bool = Field(description="Whether readers or rows already loaded would break.")
    why: str = Field(description="Why it is breaking or not.")


class Refusal(Answer):
    """Why applying would be refused."""

    code: str = Field(examples=["unknown-parents"])
    detail: str = Field(examples=["apply first what it refers to: nyc.airports"])


class Plan(Answer):
    """What applying a dataset file would do."""

    dataset: str = Field(examples=["nyc.airports"])
    current_version: int | None = Field(description="The live version; null when the dataset is new.")
    next_version: int = Field(description="The version it would have; the live one when nothing changes.")
    changes: list[Change]
    needs_generation: bool = Field(description="Whether a change is breaking.")
    refusals: list[Refusal] = Field(description="What stands against applying it; empty when nothing does.")
    warnings: Warnings


class Applied(Answer):
    """What applying a dataset file did."""

    name: str = Field(examples=["nyc.airports"])
    version: int = Field(examples=[1])
    generation: int = Field(examples=[1])
    changed: bool = Field(description="False when this file was live already.")
    warnings: Warnings


class DatasetSummary(Answer):
    """A dataset as it is live."""

    name: str = Field(examples=["nyc.airports"])
    version: int = Field(examples=[1])
    generation: int = Field(examples=[1])
    state: Literal["active", "paused", "retired"]
    description: str
    owner: str = Field(description="The team.", examples=["mobility"])
    tags: list[str]
    applied_at: datetime
    applied_by: str
    tests_skipped: str = Field("", description="Why the tests of this version were not run, if they were not.")


class DatasetDetail(DatasetSummary):
    """A dataset with its file."""

    document: dict[str, Any] = Field(description="The dataset file with every default written out.")


class Datasets(Answer):
    """Every dataset, by name."""

    items: list[DatasetSummary]


class Latency(Answer):
    """Age of rows since ingestion when a stage committed them, over the minute that ends with its last activity."""

    p50: float | None = Field(description="Milliseconds; half of the rows were younger.")
    p95: float | None = Field(description="Milliseconds; 95 of 100 rows were younger.")


class StageStatus(Answer):
    """What one stage is doing."""

    stage: str = Field(examples=["transformer"])
    rows_in: Rows
    rows_out: Rows
    lag_rows: int | None = Field(description="Rows the stage before has written and this one has not read.")
    rate_rows_s: float = Field(description="Rows read a second, over the last minute.")
    latency_ms: Latency
    last_commit_at: datetime | None


class SourceStatus(Answer):
    """What a source is doing."""

    state: Literal["reading", "quiet", "down", "paused", "stopped"] = Field(
        description="`quiet`: it was read to its end, and has nothing new; `down`: it does not answer, and is tried again; "
        "`paused`: somebody wants it so; `stopped`: ingest has given it up, and a person has to act."
    )
    since: datetime | None = Field(description="Since when; of a source that is read, when rows of it last came.")
    by: str = Field(description="Who paused it.", examples=["admin"])
    because: str = Field(
        description="Why it is down, paused or stopped.", examples=["the database is moved to another host"]
    )


class DatasetStatus(Answer):
    """What a dataset is doing."""

    dataset: str = Field(examples=["nyc.flights"])
    state: str = Field(examples=["active"])
    settled: bool = Field(description="Whether everything its source had has reached its fate.")
    waiting_for: list[str] = Field(
        description="Why it is not settled.", examples=[["loader has not read nyc.flights.validated.v1 to its end"]]
    )
    problems: Problems
    source: SourceStatus
    stages: list[StageStatus]
    quarantined: int = Field(description="Rows that are set aside.")
    resubmitted: int = Field(description="Rows that left quarantine and were read anew.")
    discarded: int = Field(description="Quarantined rows that were given up.")


class Statuses(Answer):
    """The status of datasets."""

    items: list[DatasetStatus]


class Books(Answer):
    """Rows by fate: read + multiplied = loaded + filtered + quarantined + discarded + in flight, and the residue is 0."""

    read: int = Field(description="Rows ingest took from the source.", examples=[336776])
    multiplied: int = Field(description="Rows that exist because one row became several.", examples=[0])
    loaded: int = Field(description="Rows in the warehouse.", examples=[320960])
    filtered: dict[str, int] = Field(
        description="Rows dropped on purpose, by rule.", examples=[{"dep_time is not null": 8255}]
    )
    quarantined: dict[str, int] = Field(
        description="Rows that are set aside, by reason.", examples=[{"check_references": 7561}]
    )
    resubmitted: dict[str, int] = Field(
        description="Rows that left quarantine and were read anew, by the reason they had been set aside for. Each has "
        "another fate by now: they are not part of the sum.",
        examples=[{}],
    )
    discarded: dict[str, int] = Field(description="Quarantined rows that were given up, by reason.", examples=[{}])
    in_flight: int = Field(description="Rows written by one stage and not yet read by the next.", examples=[0])
    residue: int = Field(description="Rows nothing explains: anything but 0 is an incident.", examples=[0])
    hashes_agree: bool | None = Field(
        description="Whether each stage read the very rows the one before wrote; null while rows are in flight. "
        "The first hop is compared by counts: rows get their identity in the raw topic."
    )


class PartitionBooks(Books):
    """The books of one partition."""

    partition: int


class StageBooks(Answer):
    """What one stage did with every row it read."""

    stage: str = Field(examples=["quality"])
    rows_in: Rows
    emitted: int = Field(description="Input rows that went on.")
    rows_out: int = Field(description="Output rows: more than emitted where one row became several.")
    filtered: dict[str, int]
    quarantined: dict[str, int]
    residue: int = Field(description="Input rows without exactly one fate.")


class Hop(Answer):
    """What left one stage against what reached the next, in one partition."""

    source: str = Field(examples=["stager"])
    target: str = Field(examples=["transformer"])
    partition: int
    rows_out: int
    rows_in: int
    in_flight: int
    residue: int
    hashes_agree: bool | None


class Ledger(Books):
    """The books of a dataset."""

    dataset: str = Field(examples=["nyc.flights"])
    generation: int
    settled: bool
    waiting_for: list[str]
    problems: Problems
    partitions: list[PartitionBooks]
    stages: list[StageBooks]
    hops: list[Hop]


class Cluster(Answer):
    """Quarantined rows that share one cause."""

    stage: str
    reason: str = Field(examples=["check_references"])
    rule: str | None
    column: str | None
    rows: int


class QuarantinedRow(Answer):
    """A record that was set aside. Source: schemas/quarantined.avsc."""

    id: str = Field(description="Its place in the quarantine topic: partition-offset.", examples=["1-4711"])
    dataset: str
    generation: int
    version: int
    stage: str
    reason: str = Field(description="The code; docs/reference/reasons.md tells what to do.")
    detail: str
    rule: str | None
    column: str | None
    topic: str | None
    partition: int
    offset: int
    raw_offset: int | None
    seq: int
    schema_id: int | None
    value: str = Field(description="The input bytes, base64.")
    fields: Any = Field(description="The decoded record, when it could be decoded.")
    source: str | None
    quarantined_at: datetime
    state: str = Field(description="open, resubmitted or discarded.", examples=["open"])
    acted_by: str | None = Field(description="Who had it resubmitted or discarded.")
    because: str | None = Field(description="Why.")
    acted_at: datetime | None
    edit: str | None = Field(description="JSON: how it was edited before it was resubmitted.")
    request: str | None


class Quarantined(Answer):
    """The quarantined rows of a dataset: all of them by cause, and some of them in full."""

    total: int
    clusters: list[Cluster]
    items: list[QuarantinedRow]


_IDS: Final = Field(description="Only these rows.", examples=[["1-4711"]], max_length=10_000)
_CAUSE: Final = Field(description="Only rows that were set aside by this.", max_length=200)


class QuarantineChoice(Body):
    """Which open rows, and why something is to be done about them."""

    ids: Annotated[list[Annotated[str, Field(pattern=r"^\d{1,9}-\d{1,18}$")]], _IDS] = []
    stage: Annotated[str | None, _CAUSE] = None
    reason: Annotated[str | None, _CAUSE] = None
    rule: Annotated[str | None, _CAUSE] = None
    column: Annotated[str | None, _CAUSE] = None
    all_matching: bool = Field(False, description="Every open row, when neither ids nor a cause are given.")
    because: str = Field(min_length=1, max_length=2000, description="Why; it is kept with each row.")
    dry_run: bool = Field(
        False, description="Change nothing: say which rows it would be, and what would become of some."
    )


class Resubmission(QuarantineChoice):
    """Which open rows to read anew, and how to edit them first."""

    set: dict[str, str] = Field(
        {},
        description="Columns of the source's row by SQL expressions over it.",
        examples=[{"dest": "upper(dest)"}],
    )
    patch: list[dict[str, Any]] = Field(
        [],
        description="A JSON Patch (RFC 6902) of the source's row; not together with set.",
        examples=[[{"op": "replace", "path": "/dest", "value": "SJU"}]],
    )


class Verdict(Answer):
    """What would become of rows that were tried."""

    fate: str = Field(description="loaded, filtered, quarantined, or refused: by ingest, before it would be written.")
    reason: str | None = Field(description="Of quarantined rows; the rule of filtered ones.")
    detail: str = Field(description="Of one of them.")
    rows: Rows
    example: str = Field(description="The id of one of them.", examples=["1-4711"])


class QuarantineAsked(Answer):
    """What was asked of quarantined rows, or would be."""

    request: str | None = Field(description="What to ask for the outcome by; null of a dry run.")
    rows: Rows
    clusters: list[Cluster] = Field(description="The rows by cause.")
    tried: int = Field(0, description="A dry run: how many of the rows were tried.")
    verdicts: list[Verdict] = Field(
        [],
        description="A dry run: what would become of those, by the transformer as it is now. What the warehouse might refuse "
        "is not in it.",
    )


class Refused(Answer):
    """Why rows were left as they are."""

    detail: str
    rows: Rows
    example: str = Field(description="The id of one of them.", examples=["1-4711"])


class QuarantineOutcome(Answer):
    """What became of a request so far."""

    request: str
    resubmitted: Rows
    discarded: Rows
    refused: Rows
    refusals: list[Refused]


class TailRecord(Answer):
    """A record of one of a dataset's topics."""

    partition: int
    offset: int
    timestamp: datetime
    fields: dict[str, Any] | None = Field(description="The decoded record; null when it cannot be decoded.")
    error: str | None = Field(description="Why it cannot be decoded.")


class TailRecords(Answer):
    """The newest records, oldest first."""

    items: list[TailRecord]


class Query(Body):
    """A query of the warehouse."""

    sql: str = Field(
        min_length=1,
        max_length=100_000,
        description="One SELECT in ClickHouse's SQL over tables named domain.name.",
        examples=["SELECT carrier, count() AS flights FROM nyc.flights GROUP BY carrier ORDER BY flights DESC"],
    )
    limit: int = Field(1000, ge=1, le=100_000, description="The most rows to answer with.")


class Column(Answer):
    """A column of the answer."""

    name: str = Field(examples=["carrier"])
    type: str = Field(description="ClickHouse's type.", examples=["String"])


class QueryResult(Answer):
    """The answer to a query.

    Values: numbers of up to 64 bits are JSON numbers; larger ones and decimals are strings with all their digits;
    NaN and the infinities are the strings NaN, Infinity and -Infinity; dates, times and timestamps are ISO 8601
    strings, with an offset when the column has a time zone; UUIDs are strings; strings that are not UTF-8 are shown
    as hexadecimal digits.
    """

    columns: list[Column]
    rows: list[list[Any]]
    row_count: int
    truncated: bool = Field(description="Whether there are more rows than the limit.")
    elapsed_ms: float


class Backfill(Body):
    """The rows to read again."""

    since: AwareDatetime = Field(
        alias="from", description="Rows of this moment and later.", examples=["2026-01-01T00:00:00Z"]
    )
    until: AwareDatetime = Field(
        alias="to", description="Only rows in front of this moment.", examples=["2026-02-01T00:00:00Z"]
    )
    allow_duplicates: bool = Field(
        False, description="With `load.mode: append`: that rows which were loaded before will be there twice."
    )


class Run(Answer):
    """A full load: one reading of the whole source. Or a backfill: one of a stretch of time, beside what is new."""

    run: int = Field(description="Counts the dataset's runs, from 1.", examples=[2])
    state: Literal["begun", "ended", "shown", "refused", "abandoned", "cancelled"] = Field(
        description="`ended`: read to its end, not yet loaded to its end. `shown`: it shows, or did. `abandoned`: it was never "
        "read to its end, and a later one began. A backfill is `ended` when all of it was read."
    )
    current: bool = Field(description="Whether the view shows it.")
    previous: bool = Field(description="Whether a rollback would show it.")
    version: int = Field(description="The dataset's version that read it.")
    begun_at: datetime | None
    at: datetime = Field(description="When it came to this state.")
    since: datetime | None = Field(description="Of a backfill: where the stretch that is read again begins.")
    until: datetime | None = Field(description="Of a backfill: where that stretch ends.")
    rows: int = Field(description="Rows in the raw topic; of a full load 0 while it is read.")
    rejected: int = Field(description="Source rows that ingest set aside.")
    source_rows: int | None = Field(description="The source's own count, where it has one.")
    loaded: int = Field(description="Rows in the table.")
    quarantined: int = Field(description="Rows that stages behind ingest set aside.")
    filtered: int = Field(description="The others: what the dataset's SQL dropped.")
    message: str = Field(description="Why it was refused, or is tried again.")


class Runs(Answer):
    """The full loads or backfills of a dataset, the newest first."""

    items: list[Run]


class Asked(Answer):
    """What was asked for; it is done when the services come to it."""

    dataset: str = Field(examples=["shop.products"])
    run: int = Field(description="The run that will begin, or show again.", examples=[2])


class Reason(Body):
    """Why something is asked for."""

    because: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"\S",
        description="Why, for whoever looks at the status.",
        examples=["the database is moved to another host"],
    )


class Wish(Answer):
    """What was asked of a source. Ingest sees it within a second, or when it is there again."""

    dataset: str = Field(examples=["shop.orders"])
    act: Literal["pause", "resume", "run"]
    at: datetime
    by: str = Field(examples=["admin"])
    because: str


class NewToken(Body):
    """What a token is for."""

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[\w .@:/-]+$", description="Who or what uses it.", examples=["grafana"]
    )


class Token(Answer):
    """A token, without its secret."""

    id: str = Field(examples=["9f86d081884c7d65"])
    name: str = Field(examples=["grafana"])
    created_at: datetime


class CreatedToken(Token):
    """A new token. This is the only time its secret is shown."""

    token: str = Field(description="The bearer token.", examples=["hr_9f86d081884c7d65_kJ3..."])


class Tokens(Answer):
    """Every token beside the administrator's."""

    items: list[Token]


class Version(Answer):
    """Which program answers."""

    name: str = Field(examples=["headrace"])
    version: str = Field(examples=["0.1.0"])


class NewSecret(Body):
    """The value of a secret."""

    value: SecretStr = Field(
        min_length=1,
        description="The value: text of at most 64 KiB in UTF-8. No answer holds it.",
        examples=["correct horse battery staple"],
    )


class Secret(Answer):
    """A secret, without its value."""

    name: str = Field(examples=["shop.password"])
    version: int = Field(description="Counts its values since it was made, from 1.", examples=[1])
    key_id: str = Field(description="The master key it is sealed under.", examples=["2026-11"])
    set_at: datetime = Field(description="When it got its value.")
    set_by: str = Field(description="Who gave it its value; `ingest` when the source itself replaced it.")
    kept_for: str | None = Field(
        description="The dataset whose source replaced the value, as with a refresh token; null when a person set it."
    )
    datasets: list[str] = Field(description="The datasets that name it.", examples=[["shop.orders"]])


class Secrets(Answer):
    """Every secret, by name."""

    current_key_id: str = Field(description="The master key that seals from now on.", examples=["2026-11"])
    items: list[Secret]


class FailedRotation(Answer):
    """A secret that is still under another master key."""

    name: str
    detail: str


class RotatedSecrets(Answer):
    """What a rotation did. Another one at once does nothing."""

    current_key_id: str = Field(examples=["2026-11"])
    rotated: int = Field(description="How many secrets were put under the current master key by this call.")
    unchanged: int = Field(description="How many were under it already.")
    failed: list[FailedRotation] = Field(description="The secrets that could not be put under it; empty when all are.")


class Part(Answer):
    """Something the gateway depends on."""

    ok: bool
    detail: str = Field(description="What is wrong; empty when nothing is.")


class Health(Answer):
    """What the gateway can reach."""

    status: Literal["ok", "degraded"]
    parts: dict[Literal["database", "kafka", "registry", "warehouse", "books"], Part]

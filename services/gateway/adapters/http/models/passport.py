"""Bodies: the passport of a row, from its raw record to all that it became."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from services.gateway.adapters.http.models.quarantine import QuarantinedRow
from services.gateway.adapters.http.models.words import Answer, Body, Rows

CONTRIBUTORS_TOLD: Final = (
    "Of a row that a model made: how many of the rows that it was made of are told, of each dataset; 0: none."
)


class RowsWanted(Body):
    """Which rows of the warehouse to give passports of."""

    recorded = frozenset({"where", "limit"})

    where: str = Field(
        min_length=1,
        max_length=10_000,
        description="A condition over the row alone, in ClickHouse's SQL: one expression, no query.",
        examples=["flight = 1545 AND carrier = 'UA'"],
    )
    limit: int = Field(5, ge=1, le=20, description="The most raw records to follow.")
    contributors: int = Field(5, ge=0, le=100, description=CONTRIBUTORS_TOLD)


class RawField(Answer):
    """A field of a record's schema."""

    name: str = Field(examples=["dest"])
    type: Any = Field(description="As Avro writes it.", examples=[["null", "string"]])


class RawSchema(Answer):
    """The schema that a raw record names."""

    id: int
    fields: list[RawField] | None = Field(description="null when the registry does not know the schema.")


class RawRecord(Answer):
    """The record as the source gave it, where it first stood in a topic."""

    topic: str = Field(examples=["nyc.flights.raw"])
    partition: int
    offset: int
    held: Literal["topic", "lake", "nowhere"] = Field(
        description="Where it still is. In the lake are its fields, not its bytes."
    )
    timestamp: datetime | None = Field(description="When it was written to the topic.")
    key: str | None = Field(description="The message's key, base64.")
    headers: list[tuple[str, str | None]] = Field(description="The message's headers, values base64.")
    value: str | None = Field(description="Its bytes, unchanged, base64; null when the topic no longer has it.")
    size_bytes: int | None
    schema_: RawSchema | None = Field(alias="schema", description="null when it names none.")
    fields: dict[str, Any] | None = Field(description="The decoded record; null when it cannot be decoded, or is gone.")
    error: str | None = Field(description="Why it cannot be decoded.")


class Origin(Answer):
    """Where the record came from, as far as it is kept."""

    type: str = Field(description="Of the dataset's source.", examples=["file"])
    changed_at: str | None = Field(description="When the source says that the row changed.")
    op: str | None = Field(description="What happened to it there: insert, update, delete or snapshot.")
    place: str | None = Field(description="File and line, or request: kept of rows that ingest had set aside.")


class LandedRecord(Answer):
    """Whether the raw record is in the lake."""

    state: Literal["landed", "waiting", "left_out", "none", "unreachable"] = Field(
        description="waiting: not landed yet. left_out: it cannot be decoded. none: nothing of the dataset is in a lake."
    )
    table: str = Field(description="In the Iceberg catalog.", examples=["nyc.flights__raw"])
    file: str | None = Field(description="The data file that holds it.")
    detail: str


class AppliedVersion(Answer):
    """The version of the dataset file that decided about the record."""

    version: int
    generation: int
    applied_at: datetime
    applied_by: str
    tests_skipped: str
    sql: str | None = Field(description="The transform; null when rows pass as they are.")
    checks: list[dict[str, Any]] = Field(description="Every check that was applied, as the file has it.")


class Leg(Answer):
    """A stage's dealing with the record."""

    stage: str = Field(examples=["transformer"])
    topic: str = Field(description="What the stage reads.", examples=["nyc.flights.staged"])
    offsets: list[int] = Field(
        description="Where the record, or what was made of it, stands there; empty when nowhere."
    )
    done: bool = Field(description="Whether the stage has read past it.")
    committed_at: datetime | None = Field(
        description="When, by the ledger entry of the transaction that did. null, as are those that follow, when none was found."
    )
    version: int | None = Field(description="Of the dataset file, that the stage worked with.")
    instance: str | None = Field(description="Which process.")


class LoadedAs(Answer):
    """How a row got into the warehouse."""

    table: str = Field(examples=["nyc.flights__g1"])
    partition: int = Field(description="Of the topic it was loaded from.")
    offset: int = Field(description="In the topic it was loaded from.")


class MadeRow(Answer):
    """A row of the warehouse that was made of the record."""

    seq: int = Field(description="Which of the rows made of the record it is.")
    matched: bool = Field(description="Whether it is one that was asked for.")
    shown: bool = Field(description="Whether the dataset's view shows it.")
    flags: list[str] = Field(description="Checks that flagged it.")
    fields: dict[str, Any]
    loaded: LoadedAs


class SetAsideRow(QuarantinedRow):
    """A row that was set aside of the record."""

    became: list[str] = Field(
        description="As which raw records it was read anew, PARTITION:OFFSET; as far as they were loaded or set aside again.",
        examples=[["0:4711"]],
    )


class Whereabouts(Answer):
    """What became of the record."""

    state: Literal[
        "loaded",
        "filtered",
        "parked",
        "quarantined",
        "resubmitted",
        "discarded",
        "in_flight",
        "superseded",
        "expired",
        "missing",
        "unknown",
    ] = Field(
        description="superseded: a newer row took its place. expired: by retention. missing: nothing explains where it is. "
        "unknown: the topics no longer reach back to it."
    )
    stage: str | None = Field(description="The stage that decided, or that it waits for.")
    detail: str
    rule: str | None = Field(description="Of a filtered one, the condition that dropped it.")
    candidates: list[str] = Field(description="The conditions that may have, when that is not known.")


class LoadRun(Answer):
    """The full load that brought the record."""

    run: int
    state: str
    at: datetime
    rows: Rows


class ContributingRow(Answer):
    """A row of another dataset that the row was made of. Its passport leads further back."""

    id: str = Field(description="Its raw record's partition and offset.", examples=["0:4711"])
    seq: int = Field(description="Which of the rows made of that record it is.")
    version: int = Field(description="Of the dataset file that made it.")
    ingested_at: datetime


class Contributors(Answer):
    """The rows of a dataset that a row of a model was made of."""

    dataset: str = Field(examples=["nyc.flights"])
    sql: str = Field(description="The query that finds them, derived from the model's.")
    rows: int | None = Field(
        description="How many there are that were there when the row was made; null where `error` says why."
    )
    later: int | None = Field(description="How many meet the same conditions and came since: they did not contribute.")
    items: list[ContributingRow] = Field(description="The first of them, by their coordinates.")
    notes: list[str] = Field(
        description="Why these may be more or fewer than what contributed; empty when they are that."
    )
    error: str | None


class Passport(Answer):
    """One raw record, and all that is known of it."""

    dataset: str = Field(examples=["nyc.flights"])
    id: str = Field(description="The raw record's partition and offset.", examples=["0:4711"])
    fate: Whereabouts
    raw: RawRecord
    origin: Origin
    lake: LandedRecord
    version: AppliedVersion | None
    legs: list[Leg]
    rows: list[MadeRow] = Field(description="Several where a join or UNNEST made several of it.")
    quarantined: list[SetAsideRow]
    edits: list[QuarantinedRow] = Field(
        description="The quarantined rows it was before it was resubmitted, the last first: who edited what, why and when."
    )
    run: LoadRun | None = Field(description="Of a dataset that is loaded in runs.")
    contributors: list[Contributors] = Field(description="Of a record that a model made: what of, by dataset.")


class Passports(Answer):
    """The passports of the rows that meet a condition."""

    items: list[Passport]
    truncated: bool = Field(description="Whether more raw records were met than the limit.")

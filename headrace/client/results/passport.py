"""The passport of a row: from its raw record to all that it became."""

from base64 import b64decode
from datetime import datetime
from typing import Any

from pydantic import Field

from headrace.client.results.base import Result
from headrace.client.results.quarantine import QuarantinedRow


class Fate(Result):
    """What became of a raw record."""

    state: str  # loaded, filtered, quarantined, parked, resubmitted, discarded, in_flight, superseded, expired, missing, unknown
    stage: str | None = None  # that decided, or that it waits for
    detail: str = ""
    rule: str | None = None  # of a filtered one, the condition that dropped it
    candidates: tuple[str, ...] = ()  # the conditions that may have, when that is not known


class RawField(Result):
    """A field of a record's schema."""

    name: str
    type: Any  # as Avro writes it


class RawSchema(Result):
    """The schema a raw record names; without fields where the registry does not know it."""

    id: int
    fields: tuple[RawField, ...] | None = None


class RawRecord(Result):
    """The record as the source gave it."""

    topic: str
    partition: int
    offset: int
    held: str  # topic, lake (without its bytes) or nowhere
    timestamp: datetime | None = None
    key: str | None = None  # base64
    headers: tuple[tuple[str, str | None], ...] = ()
    value: str | None = None  # its bytes, unchanged, base64
    size_bytes: int | None = None
    schema_: RawSchema | None = Field(None, alias="schema")
    fields: dict[str, Any] | None = None
    error: str | None = None  # why it cannot be decoded

    @property
    def content(self) -> bytes | None:
        """Its bytes, unchanged; None when its topic no longer has it."""
        return None if self.value is None else b64decode(self.value)


class Origin(Result):
    """Where the record came from, as far as it is kept."""

    type: str
    changed_at: str | None = None
    op: str | None = None
    place: str | None = None


class LandedRecord(Result):
    """Whether the record is in the lake."""

    state: str  # landed, waiting, left_out, none or unreachable
    table: str = ""
    file: str | None = None
    detail: str = ""


class AppliedVersion(Result):
    """The version of the dataset file that decided about the record."""

    version: int
    generation: int
    applied_at: datetime | None = None
    applied_by: str = ""
    tests_skipped: str = ""
    sql: str | None = None
    checks: tuple[dict[str, Any], ...] = ()


class Leg(Result):
    """A stage's dealing with the record; when and by whom, if its ledger entry was found."""

    stage: str
    topic: str
    offsets: tuple[int, ...] = ()
    done: bool = False
    committed_at: datetime | None = None
    version: int | None = None
    instance: str | None = None


class LoadedAs(Result):
    """How a row got into the warehouse."""

    table: str
    partition: int
    offset: int


class MadeRow(Result):
    """A row of the warehouse that was made of the record."""

    seq: int
    matched: bool = False
    shown: bool = True
    flags: tuple[str, ...] = ()
    fields: dict[str, Any] = Field(default_factory=dict)
    loaded: LoadedAs


class SetAsideRow(QuarantinedRow):
    """A row that was set aside of the record, and as which raw records it was read anew."""

    became: tuple[str, ...] = ()


class LoadRun(Result):
    """The full load that brought the record."""

    run: int
    state: str
    at: datetime | None = None
    rows: int = 0


class ContributingRow(Result):
    """A row of another dataset. `id` is its raw record's partition:offset: its passport leads further back."""

    id: str
    seq: int
    version: int
    ingested_at: datetime


class Contributors(Result):
    """The rows of a dataset that a row of a model was made of; `items` are the first of them.

    `rows` are how many were there when the row was made, `later` meet the same conditions and came since. `notes` say why these
    may be more or fewer than what contributed, `error` why there are none.
    """

    dataset: str
    sql: str
    rows: int | None = None
    later: int | None = None
    items: tuple[ContributingRow, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None


class Passport(Result):
    """One raw record, and all that is known of it. `id` is its partition:offset in the raw topic."""

    dataset: str
    id: str
    fate: Fate
    raw: RawRecord
    origin: Origin
    lake: LandedRecord
    version: AppliedVersion | None = None
    legs: tuple[Leg, ...] = ()
    rows: tuple[MadeRow, ...] = ()
    quarantined: tuple[SetAsideRow, ...] = ()
    edits: tuple[QuarantinedRow, ...] = ()
    run: LoadRun | None = None
    contributors: tuple[Contributors, ...] = ()


class Passports(Result):
    """The passports of rows that meet a condition; `truncated` when there are more raw records than were asked for."""

    items: tuple[Passport, ...]
    truncated: bool = False

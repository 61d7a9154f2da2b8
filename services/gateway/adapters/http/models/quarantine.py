"""Bodies: the rows that were set aside, and what is asked of them."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field

from services.gateway.adapters.http.models.words import Answer, Body, Rows


class Cluster(Answer):
    """Quarantined rows that share one cause."""

    stage: str
    reason: str = Field(examples=["check_references"])
    rule: str | None
    column: str | None
    rows: int
    assigned: int = Field(description="How many of them are assigned to somebody.")


class Fingerprint(Cluster):
    """Quarantined rows that share one cause and one shape of the value at fault."""

    shape: str | None = Field(
        description="Of the value that the source's row has in `column`: runs of digits, capitals and small letters stand as 9, "
        "A and a. Null where no column is named, or the row has none of that name.",
        examples=["A9-9"],
    )
    first: datetime = Field(description="When the first of them was set aside.")
    last: datetime = Field(description="When the last was.")
    examples: list[str] = Field(description="Some of the values.")
    ids: list[str] = Field(description="The first rows.", examples=[["1-4711"]])
    trend: list[int] = Field(description="Rows in each of 24 equal stretches of the time asked for, the last ends now.")


class Fingerprints(Answer):
    """The quarantined rows of a dataset by what is wrong with them."""

    hours: int = Field(description="How far back each trend reaches.")
    total: int = Field(description="Rows in quarantine; the 200 most frequent clusters may have fewer.")
    items: list[Fingerprint]


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
    assigned_to: str | None = Field(None, description="Who is to see to it.")


class RowAct(Answer):
    """One thing that happened to a quarantined row."""

    act: str = Field(description="quarantined, assigned, unassigned, refused, resubmitted, discarded or loaded.")
    row: str = Field(description="The quarantined row that it happened to: one that comes back again is another one.")
    at: datetime | None = Field(description="When; of loaded it is not kept.")
    by: str | None = Field(description="Who asked for it.")
    because: str | None
    edit: str | None = Field(description="JSON: how it was edited before it was resubmitted.")
    assigned_to: str | None
    stage: str | None = Field(description="Of quarantined and loaded: which stage did it.")
    version: int | None = Field(description="Of quarantined: the version of the dataset file.")
    reason: str | None = Field(description="Of quarantined.")
    rule: str | None = Field(description="Of quarantined.")
    detail: str | None = Field(description="Of quarantined and refused: why.")
    became: str | None = Field(description="Of loaded: the raw record it was read anew as.", examples=["0:4711"])


class QuarantinedRowInFull(QuarantinedRow):
    """A record that was set aside, and all that was ever done to it."""

    acts: list[RowAct] = Field(
        description="In order, with what was done to the rows that it was before, and that it became. Dry runs are none."
    )


class Quarantined(Answer):
    """The quarantined rows of a dataset: all of them by cause, and some of them in full."""

    total: int
    clusters: list[Cluster]
    items: list[QuarantinedRow]


_IDS: Final = Field(description="Only these rows.", examples=[["1-4711"]], max_length=10_000)

_CAUSE: Final = Field(description="Only rows that were set aside by this.", max_length=200)


class QuarantineChoice(Body):
    """Which open rows, and why something is to be done about them."""

    recorded = frozenset(
        {"ids", "stage", "reason", "rule", "column", "shape", "assigned_to", "all_matching", "because", "dry_run"}
    )

    ids: Annotated[list[Annotated[str, Field(pattern=r"^\d{1,9}-\d{1,18}$")]], _IDS] = []  # noqa: RUF012 - pydantic copies it
    stage: Annotated[str | None, _CAUSE] = None
    reason: Annotated[str | None, _CAUSE] = None
    rule: Annotated[str | None, _CAUSE] = None
    column: Annotated[str | None, _CAUSE] = None
    shape: Annotated[
        str | None,
        Field(description="Only rows whose value at fault has this shape.", max_length=200, examples=["A9-9"]),
    ] = None
    assigned_to: Annotated[
        str | None, Field(description="Only rows that are assigned to this person; empty: to nobody.", max_length=200)
    ] = None
    all_matching: bool = Field(False, description="Every open row, when neither ids nor a cause are given.")
    because: str = Field(min_length=1, max_length=2000, description="Why; it is kept with each row.")
    dry_run: bool = Field(
        False, description="Change nothing: say which rows it would be, and what would become of some."
    )


class Assignment(QuarantineChoice):
    """Which open rows somebody is to see to."""

    recorded = QuarantineChoice.recorded | {"to"}

    to: str = Field(min_length=1, max_length=200, description="Who: a name that people know.", examples=["ada"])


class Resubmission(QuarantineChoice):
    """Which open rows to read anew, and how to edit them first."""

    recorded = QuarantineChoice.recorded | {"set", "patch"}

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

    fate: str = Field(
        description="loaded, filtered, quarantined, parked (it would wait for a row of another dataset), or refused: by ingest, "
        "before it would be written."
    )
    reason: str | None = Field(description="Of quarantined rows; the rule of filtered ones, the check of parked ones.")
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
    assigned: Rows
    unassigned: Rows
    refused: Rows
    refusals: list[Refused]

"""Bodies: where every row of a dataset went."""

from pydantic import Field

from services.gateway.adapters.http.models.words import Answer, Problems, Rows


class Books(Answer):
    """Rows by fate: read + multiplied = loaded + filtered + quarantined + discarded + parked + in flight; the residue is 0."""

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
    parked: dict[str, int] = Field(
        description="Rows that wait for a row of another dataset, by the check that lets them wait.", examples=[{}]
    )
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
    parked: dict[str, int]
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

"""Bodies: full loads, backfills, and what is asked of a source."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from services.gateway.adapters.http.models.words import Answer, Body


class Backfill(Body):
    """The rows to read again."""

    recorded = frozenset({"since", "until", "allow_duplicates"})

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


class RunEvent(Answer):
    """Something that happened to a run."""

    type: Literal["run_begun", "run_waits", "run_reads", "run_read", "run_ended", "run_shown"]
    at: datetime
    service: str = Field(description="Who tells it.", examples=["ingest"])
    message: str = Field(examples=["run 2: 40000 rows read"])
    data: dict[str, Any] = Field(
        description="Figures: `rows`, `rejected`, `size_bytes`, `rows_per_s`, `waited_s` (before the first row), `reading_s`; "
        "at its end `loaded`, `quarantined`, `filtered` and `took_s` in all, or the `error`.",
        examples=[{"rows": 40_000, "size_bytes": 2_400_000, "rows_per_s": 8000.0, "waited_s": 1.5, "reading_s": 5.0}],
    )


class RunCause(Answer):
    """Rows of a full load that were set aside for one cause."""

    stage: str = Field(examples=["transformer"])
    reason: str = Field(examples=["check_between"])
    rule: str | None = Field(description="The check.", examples=["between_price"])
    column: str | None
    rows: int
    first: str = Field(description="The id of the first of them in quarantine.", examples=["1-4711"])


class RunStory(Answer):
    """What happened to a run, in its order."""

    run: Run
    set_aside: list[RunCause] = Field(description="The rows of a full load that were set aside; at most 20 causes.")
    items: list[RunEvent]
    after: int = Field(description="Ask with this as `after` for what has happened since.", examples=[4711])


class Asked(Answer):
    """What was asked for; it is done when the services come to it."""

    dataset: str = Field(examples=["shop.products"])
    run: int = Field(description="The run that will begin, or show again.", examples=[2])


class Reason(Body):
    """Why something is asked for."""

    recorded = frozenset({"because"})

    because: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"\S",
        description="Why, for whoever looks at the status.",
        examples=["the database is moved to another host"],
    )


class Release(Reason):
    """Why a source is given up, and whether what cannot be taken away is."""

    recorded = frozenset({"because", "abandon"})

    abandon: bool = Field(
        False, description="Give up what cannot be taken away, such as the slot in a database that is gone for ever."
    )


class SourceHolding(Answer):
    """What a source keeps outside of Headrace: a capture with its connector, replication slot, publication and topics."""

    name: str = Field(examples=["shop.orders.cdc1"])
    dataset: str = Field(examples=["shop.orders"])
    state: Literal["held", "leaving", "abandoned"] = Field(
        description="`held`: it is needed; `leaving`: it is being taken away; `abandoned`: likewise, and the rest is given up."
    )
    at: datetime = Field(description="Since when.")
    because: str = Field(description="Why it is not needed any more.", examples=["the dataset was removed"])
    message: str = Field(description="What could not be taken away yet, why, and how to do it by hand.")


class SourceHoldings(Answer):
    """What sources keep outside of Headrace, by name."""

    items: list[SourceHolding]


class Wish(Answer):
    """What was asked of a source. Ingest sees it within a second, or when it is there again."""

    dataset: str = Field(examples=["shop.orders"])
    act: Literal["pause", "resume", "run", "release"]
    at: datetime
    by: str = Field(examples=["admin"])
    because: str

"""Bodies: what another version of a dataset file would make of the newest rows."""

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from services.gateway.adapters.http.models.datasets import DatasetFile
from services.gateway.adapters.http.models.words import Answer

MOST_TESTED: Final = 2_000_000


class BackTestRequest(DatasetFile):
    """A dataset file, and over how much it is to be tried."""

    recorded = frozenset({"rows", "hours"})

    rows: int | None = Field(
        None,
        ge=1,
        le=MOST_TESTED,
        description="How many of the newest staged rows to put to it, about: 100,000 when nothing is said. With `hours` at "
        f"most so many, {MOST_TESTED:,} when nothing is said.",
    )
    hours: int | None = Field(
        None, ge=1, le=24 * 366, description="Only rows that were staged within so many hours before now."
    )


class RowFate(Answer):
    """What becomes of a row."""

    fate: Literal["loaded", "filtered", "quarantined", "parked"]
    rule: str = Field(
        description="The rule that filters it, the check that rejects it or lets it wait, or the reason where no check does."
    )


class BackTestSample(Answer):
    """One row, by its place in the raw topic."""

    partition: int
    offset: int
    before: str = Field(description="What the live version makes of it: the detail of its fate, or the value.")
    after: str = Field(description="What the other version makes of it.")
    row: str = Field(description="Its columns in front of the SQL, as JSON, cut off when they are long.")


class FateCount(RowFate):
    """How many rows have a fate by each version."""

    before: int
    after: int


class FateMove(Answer):
    """Rows that would get another fate."""

    before: RowFate
    after: RowFate
    rows: int
    samples: list[BackTestSample]


class FlagCount(Answer):
    """How many published rows a check flags by each version."""

    flag: str
    before: int
    after: int


class Published(Answer):
    """How many rows each version publishes of those that were put to it: one may become several."""

    before: int
    after: int


class ColumnChange(Answer):
    """A column whose values would be others."""

    column: str
    rows: int
    samples: list[BackTestSample]


class BackTestPart(Answer):
    """A line of the answer. Which members there are depends on `part`."""

    part: Literal["progress", "report", "failure"]
    rows: int | None = Field(None, description="How many rows were put to both versions.")
    of: int | None = Field(None, description="How many there are to be, about.")
    message: str | None = Field(None, description="Why nothing was found.")
    version: int | None = Field(None, description="The live version that it is compared with.")
    left_out: int | None = Field(
        None,
        description="With `hours`: how many rows of that time were too many to be put to it, about; the newest were.",
    )
    first: datetime | None = Field(None, description="When the oldest of the rows was ingested.")
    last: datetime | None = Field(None, description="When the newest was.")
    fates: list[FateCount] | None = None
    moves: list[FateMove] | None = None
    flags: list[FlagCount] | None = None
    published: Published | None = None
    compared: int | None = Field(
        None, description="How many published rows both versions have, whose values were compared."
    )
    columns: list[ColumnChange] | None = None
    columns_added: list[str] | None = None
    columns_removed: list[str] | None = None

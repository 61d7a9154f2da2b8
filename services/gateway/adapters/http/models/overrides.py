"""Bodies: what people decide by hand about the rows and the file of a dataset."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from services.gateway.adapters.http.models.runs import Reason
from services.gateway.adapters.http.models.words import Answer


class HeldRow(Answer):
    """A row that fails a check of severity hold: its dataset is stopped in front of it."""

    dataset: str = Field(examples=["shop.orders"])
    partition: int = Field(description="Of the raw topic.")
    offset: int = Field(description="The raw offset.")
    rule: str = Field(description="The check that holds it.", examples=["between_amount"])
    reason: str = Field(description="The reason that it is quarantined with, if it is.", examples=["check_between"])
    detail: str = Field(description="Which value fails, and what was expected.")
    since: datetime


class HeldRows(Answer):
    """The rows that wait for a decision, one a dataset."""

    items: list[HeldRow]


class HoldRelease(Reason):
    """What is to become of rows that are held, and of others that its check would hold."""

    recorded = frozenset({"because", "raw", "act", "rows", "all_like_this"})

    raw: list[Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,8}):(0|[1-9]\d{0,17})$")]] = Field(
        min_length=1,
        max_length=1000,
        description="The rows that are held and were looked at, each by its raw record, PARTITION:OFFSET.",
        examples=[["0:17"]],
    )
    act: Literal["pass", "quarantine"] = Field(
        description="`pass`: it goes on with a flag; `quarantine`: it is set aside."
    )
    rows: int = Field(
        1, ge=1, description="So many raw rows of its partition, from each on, if the same check holds them."
    )
    all_like_this: bool = Field(
        False, description="Also every row that its check holds among those that are in the raw topic by now."
    )


class Skip(Reason):
    """Which rows are to be left out."""

    recorded = frozenset({"because", "partition", "from_offset", "to_offset"})

    partition: int = Field(ge=0, description="Of the raw topic.")
    from_offset: int = Field(ge=0, description="The first raw offset.")
    to_offset: int = Field(ge=0, description="The last raw offset.")


class Override(Answer):
    """A decision that stands."""

    id: str
    dataset: str
    act: Literal["skip", "pass", "quarantine", "pin", "unpin"]
    partition: int | None = Field(description="Of the raw topic; none where it is about no rows.")
    from_offset: int | None = Field(description="The first raw offset that it is about.")
    to_offset: int | None = Field(description="The last raw offset that it is about.")
    rule: str = Field(description="The check that holds the rows, where it is about such.")
    at: datetime
    by: str
    because: str


class Overrides(Answer):
    """Decisions, in the order of time."""

    items: list[Override]

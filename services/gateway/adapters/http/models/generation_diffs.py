"""Bodies: what differs between two generations of a dataset."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.gateway.adapters.http.models.words import Answer


class DiffSide(Answer):
    """One of the two generations."""

    generation: int
    version: int = Field(description="Of the dataset file that made its rows.")
    rows: int = Field(description="How many of its rows were compared.")
    left_out: int = Field(
        description="How many were not: the other generation had not come so far yet, or the key is being replaced."
    )


class DiffBound(Answer):
    """How far a partition was compared, in offsets of the raw topic."""

    partition: int
    offset: int | None = Field(
        description="The last offset compared; null when one of the two has nothing of it yet, "
        "or each reads a topic of its own."
    )
    reached_before: int | None
    reached_after: int | None


class DiffColumn(Answer):
    """A column that both have."""

    column: str
    rows: int = Field(description="In how many changed rows its value is another.")
    type_before: str
    type_after: str
    compared_by: Literal["value", "number", "float", "moment", "text"] = Field(
        description="`value` where the type is the same; else by what the values are worth: as exact numbers, as 64-bit floats, "
        "as moments, or as text."
    )


class DiffSum(Answer):
    """The sum of a column of numbers over all rows compared."""

    column: str
    before: str
    after: str
    exact: bool = Field(
        description="False for floats, whose last digits depend on the order of rows; NaN and infinities are left out."
    )


class DiffCause(Answer):
    """Rows that were set aside by one cause, within what was compared."""

    stage: str
    reason: str
    rule: str | None
    column: str | None
    before: int
    after: int


class DiffFilter(Answer):
    """Rows that a rule filtered, as the books of each generation have it up to now."""

    rule: str
    before: int
    after: int


class DiffValue(Answer):
    """The values of a column as text, cut off when they are long; null where there is none."""

    column: str
    before: str | None
    after: str | None


class DiffSample(Answer):
    """A row that differs."""

    kind: Literal["added", "removed", "changed"]
    key: dict[str, str | None] = Field(description="What it is matched by, and the key of the dataset.")
    raw_before: str | None = Field(description="The raw record it was made of before: partition:offset.")
    raw_after: str | None = Field(description="The raw record it was made of after.")
    columns: list[DiffValue] = Field(description="Of a changed row the columns that differ; of another all.")


class DiffPart(Answer):
    """A line of the answer. Which members there are depends on `part`."""

    part: Literal["progress", "report", "failure"]
    code: str | None = Field(
        None, description="Why there is no report: `diff-too-long`, `diff-too-large`, `failed-query`."
    )
    message: str | None = Field(None, description="What happened, and what to do.")
    of: int | None = Field(None, description="How many rows there are to read, about, where `rows` were read.")
    dataset: str | None = None
    rows: int | None = None
    before: DiffSide | None = None
    after: DiffSide | None = None
    matched_by: Literal["key", "identity"] | None = Field(
        None, description="`identity`: rows made of the same raw record are the same."
    )
    key: list[str] | None = Field(None, description="The columns by which rows are matched.")
    ingested_from: datetime | None = Field(
        None, description="Only rows that were ingested then or later are compared: what a generation of a range holds."
    )
    ingested_to: datetime | None = Field(
        None, description="Only rows that were ingested before are compared, and of no key with a newer one."
    )
    upto: list[DiffBound] | None = None
    added: int | None = None
    removed: int | None = None
    changed: int | None = None
    added_quarantined_before: int | None = Field(
        None, description="Of the added rows, those of whose raw record the generation before set a row aside."
    )
    removed_quarantined_after: int | None = Field(
        None, description="Of the removed rows, those of whose raw record the generation after set a row aside."
    )
    columns: list[DiffColumn] | None = None
    columns_added: list[str] | None = None
    columns_removed: list[str] | None = None
    sums: list[DiffSum] | None = None
    quarantine: list[DiffCause] | None = None
    filtered: list[DiffFilter] | None = None
    samples: list[DiffSample] | None = None

"""What differs between two generations of a dataset."""

from datetime import datetime

from headrace.client.results.base import Result


class DiffSide(Result):
    """One of the two generations: its rows that were compared, and those that were left out."""

    generation: int = 0
    version: int = 0
    rows: int = 0
    left_out: int = 0


class DiffBound(Result):
    """How far a partition was compared, in offsets of the raw topic."""

    partition: int
    offset: int | None = None
    reached_before: int | None = None
    reached_after: int | None = None


class DiffColumn(Result):
    """A column of both, and in how many changed rows it differs. `compared_by`: value, number, float, moment or text."""

    column: str
    rows: int
    type_before: str
    type_after: str
    compared_by: str


class DiffSum(Result):
    """The sum of a column of numbers, with all its digits."""

    column: str
    before: str
    after: str
    exact: bool = True


class DiffCause(Result):
    """Rows that each generation set aside by one cause."""

    stage: str
    reason: str
    rule: str | None = None
    column: str | None = None
    before: int
    after: int


class DiffFilter(Result):
    """Rows that each generation filtered by a rule, as its books have it."""

    rule: str
    before: int
    after: int


class DiffValue(Result):
    """The values of a column, as text."""

    column: str
    before: str | None = None
    after: str | None = None


class DiffSample(Result):
    """A row that is `added`, `removed` or `changed`, with the raw records it was made of, as partition:offset."""

    kind: str
    key: dict[str, str | None]
    raw_before: str | None = None
    raw_after: str | None = None
    columns: tuple[DiffValue, ...] = ()


class DiffPart(Result):
    """A part of the answer: `progress`, then `report` or `failure`. Which members are filled depends on it."""

    part: str
    code: str = ""
    message: str = ""
    rows: int = 0
    of: int = 0
    dataset: str = ""
    before: DiffSide = DiffSide()
    after: DiffSide = DiffSide()
    matched_by: str = ""
    key: tuple[str, ...] = ()
    ingested_from: datetime | None = None  # only rows that were ingested then or later are compared,
    ingested_to: datetime | None = None  # ... and before
    upto: tuple[DiffBound, ...] = ()
    added: int = 0
    removed: int = 0
    changed: int = 0
    added_quarantined_before: int = 0
    removed_quarantined_after: int = 0
    columns: tuple[DiffColumn, ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    sums: tuple[DiffSum, ...] = ()
    quarantine: tuple[DiffCause, ...] = ()
    filtered: tuple[DiffFilter, ...] = ()
    samples: tuple[DiffSample, ...] = ()

"""What another version of a dataset file would make of the newest rows."""

from datetime import datetime

from headrace.client.results.base import Result


class RowFate(Result):
    """What becomes of a row: `loaded`, or `filtered` or `quarantined` by a rule."""

    fate: str
    rule: str = ""

    def __str__(self) -> str:
        return " by ".join(filter(None, (self.fate, self.rule)))


class BackTestSample(Result):
    """One row, by its place in the raw topic, and what each version makes of it."""

    partition: int
    offset: int
    before: str
    after: str
    row: str = ""


class FateCount(RowFate):
    """How many rows have a fate by each version."""

    before: int
    after: int


class FateMove(Result):
    """Rows that would get another fate."""

    before: RowFate
    after: RowFate
    rows: int
    samples: tuple[BackTestSample, ...] = ()


class FlagCount(Result):
    """How many published rows a check flags by each version."""

    flag: str
    before: int
    after: int


class Published(Result):
    """How many rows each version publishes of those that were put to it: one may become several."""

    before: int = 0
    after: int = 0


class ColumnChange(Result):
    """A column whose values would be others."""

    column: str
    rows: int
    samples: tuple[BackTestSample, ...] = ()


class BackTestPart(Result):
    """A part of the answer: `progress`, then `report` or `failure`. Which members are filled depends on it."""

    part: str
    rows: int = 0
    of: int = 0
    message: str = ""
    version: int = 0
    left_out: int = 0  # rows of the hours asked for that were too many, about
    first: datetime | None = None
    last: datetime | None = None
    fates: tuple[FateCount, ...] = ()
    moves: tuple[FateMove, ...] = ()
    flags: tuple[FlagCount, ...] = ()
    published: Published = Published()
    compared: int = 0
    columns: tuple[ColumnChange, ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()

"""What people decide by hand, and the rows that wait for it."""

from datetime import datetime

from headrace.client.results.base import Result


class HeldRow(Result):
    """A row that fails a check of severity hold: its dataset is stopped in front of it. Its place is that in the raw topic."""

    dataset: str
    partition: int
    offset: int
    rule: str
    reason: str
    detail: str
    since: datetime


class Override(Result):
    """A decision that stands: `skip`, `pass`, `quarantine` or `pin`. Of rows, `to_offset` is the last."""

    id: str
    dataset: str
    act: str
    partition: int | None = None
    from_offset: int | None = None
    to_offset: int | None = None
    rule: str = ""
    at: datetime
    by: str
    because: str

"""Tests that are made of rows."""

from typing import Any

from headrace.client.results.base import Result


class MaskedColumn(Result):
    """A column whose values have stand-ins, and why."""

    column: str
    why: str


class MadeTest(Result):
    """A test that is made of a row, and passes by the version that is live. `test` may stand in the list `tests` of its file."""

    dataset: str
    id: str  # of the raw record, partition:offset
    version: int
    outcome: str  # loaded, or filtered or quarantined by a rule
    recorded: str = ""  # what became of the row when it passed
    masked: tuple[MaskedColumn, ...] = ()
    notes: tuple[str, ...] = ()
    test: dict[str, Any]

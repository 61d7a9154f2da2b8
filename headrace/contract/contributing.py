"""What a source that reads other datasets tells of the rows of those that one of its rows was made of."""

from dataclasses import dataclass
from typing import Final

COORDINATES: Final = ("_partition", "_offset", "_seq", "_version", "_ingested_at")
"""What a query for contributing rows gives: which row it is, which version of the file made it, since when it is there."""


@dataclass(frozen=True, slots=True)
class Contributing:
    """The rows of a dataset that contributed to a row: a query in the warehouse's SQL, which gives their `COORDINATES`.

    `notes` say what it could not be narrowed by: then it also gives rows that did not contribute, or what it leaves out.
    """

    dataset: str
    sql: str
    notes: tuple[str, ...] = ()
    domains: frozenset[str] = frozenset()  # of all datasets that the query reads

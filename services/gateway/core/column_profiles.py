"""Decides what the columns of a dataset look like in all, from the profiles that quality makes of each batch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import sqrt
from typing import Any, Final, NamedTuple

_NUMBERS: Final = ("int", "uint", "float", "double", "halffloat", "decimal")


@dataclass(frozen=True, slots=True)
class BatchProfile:
    """A profile of one batch. Fields: `schemas/profile.avsc`."""

    dataset: str
    generation: int
    version: int
    rows: int
    profiled_at: datetime
    columns: list[dict[str, Any]]


class ProfileKey(NamedTuple):
    """Whose profile."""

    dataset: str
    generation: int
    name: str


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What a column looks like over all rows that passed the checks. `type` is Arrow's; `least` and `greatest` are text.

    How many values are distinct is known within a batch only: there are at least as many as in the batch with the most.
    `counted` rows are those that `mean` and `m2`, the sum of squared deviations from it, are of.
    """

    version: int
    position: int
    type: str
    rows: int
    nulls: int
    flagged: int
    distinct_at_least: int | None
    least: str | None
    greatest: str | None
    counted: int
    mean: float | None
    m2: float | None
    profiled_at: datetime

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the values; None where it is not a column of numbers."""
        return None if self.m2 is None or self.counted == 0 else sqrt(self.m2 / self.counted)


def columns_of(batch: BatchProfile) -> Iterable[tuple[ProfileKey, ColumnProfile]]:
    """The profile of each column of a batch."""
    for position, column in enumerate(batch.columns):
        counted = batch.rows - column["nulls"] if column.get("m2") is not None else 0
        yield (
            ProfileKey(batch.dataset, batch.generation, column["name"]),
            ColumnProfile(
                version=batch.version,
                position=position,
                type=column["type"],
                rows=batch.rows,
                nulls=column["nulls"],
                flagged=column["flagged"],
                distinct_at_least=column.get("distinct"),
                least=column.get("min"),
                greatest=column.get("max"),
                counted=counted,
                mean=column.get("mean"),
                m2=column.get("m2"),
                profiled_at=batch.profiled_at,
            ),
        )


def merged(one: ColumnProfile | None, other: ColumnProfile) -> ColumnProfile:
    """The profile of the rows of both; where the column's type changed, of the newer version's rows only."""
    if one is None or (one.type != other.type and other.version >= one.version):
        return other
    if one.type != other.type:
        return one
    latest = max(one, other, key=lambda each: (each.version, each.profiled_at))
    counted, mean, m2 = _moments(one, other)
    return ColumnProfile(
        version=latest.version,
        position=latest.position,
        type=latest.type,
        rows=one.rows + other.rows,
        nulls=one.nulls + other.nulls,
        flagged=one.flagged + other.flagged,
        distinct_at_least=max(
            (n for n in (one.distinct_at_least, other.distinct_at_least) if n is not None), default=None
        ),
        least=_end(one.type, one.least, other.least, -1),
        greatest=_end(one.type, one.greatest, other.greatest, 1),
        counted=counted,
        mean=mean,
        m2=m2,
        profiled_at=latest.profiled_at,
    )


def _moments(one: ColumnProfile, other: ColumnProfile) -> tuple[int, float | None, float | None]:
    """Source: Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (1979)."""
    if one.mean is None or one.m2 is None or one.counted == 0:
        return other.counted, other.mean, other.m2
    if other.mean is None or other.m2 is None or other.counted == 0:
        return one.counted, one.mean, one.m2
    counted = one.counted + other.counted
    apart = other.mean - one.mean
    mean = one.mean + apart * other.counted / counted
    return counted, mean, one.m2 + other.m2 + apart * apart * one.counted * other.counted / counted


def _end(kind: str, one: str | None, other: str | None, sign: int) -> str | None:
    """The least (-1) or the greatest (1) of two values of a type."""
    if one is None or one == "nan":  # Arrow gives it only where no value is a number
        return other
    if other is None or other == "nan":
        return one
    if kind.startswith(_NUMBERS):
        return (min if sign < 0 else max)(one, other, key=Decimal)
    return (min if sign < 0 else max)(one, other)


def shares(profile: ColumnProfile) -> Mapping[str, float]:
    """Which share of the rows has no value, and which was flagged by a check."""
    rows = profile.rows or 1
    return {"null_share": profile.nulls / rows, "flagged_share": profile.flagged / rows}

"""Decides how far a generation has got: by the sums of its stages, against those of the live one."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from services.gateway.core.folding import Sums

#: The stages that each generation has of its own, in the order of data.
OWN: Final = ("transformer", "quality", "loader")

SumsOf = Mapping[tuple[str, int], Sums]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a generation has got.

    `behind` counts rows that the live one has read, or its own stages have, and that have not reached its loader.
    """

    read: int
    loaded: int
    quarantined: int
    filtered: int
    behind: int


@dataclass(frozen=True, slots=True)
class Goal:
    """How many rows of each partition a stage is to have read."""

    stage: str
    rows: Mapping[int, int]


def reach(live: SumsOf, mine: SumsOf) -> Reach:
    """How far `mine` has got."""
    first = first_goal(live)
    behind = _short(first, mine)
    for before, stage in pairwise(OWN):
        behind += _short(Goal(stage, _written(before, mine)), mine)
    own = [sums for (stage, _), sums in mine.items() if stage in OWN]
    return Reach(
        read=sum(sums.rows_in for (stage, _), sums in mine.items() if stage == OWN[0]),
        loaded=sum(sums.emitted for (stage, _), sums in mine.items() if stage == OWN[-1]),
        quarantined=sum(sums.quarantined_rows for sums in own),
        filtered=sum(sums.filtered_rows for sums in own),
        behind=behind,
    )


def first_goal(live: SumsOf) -> Goal:
    """What a generation has to read to have caught up with the live one as it is now."""
    return Goal(OWN[0], {number: sums.rows_in for (stage, number), sums in live.items() if stage == OWN[0]})


def reached(goal: Goal, mine: SumsOf) -> bool:
    """Whether a stage has read that much."""
    return _short(goal, mine) == 0


def next_goal(goal: Goal, mine: SumsOf) -> Goal | None:
    """What the stage behind it has to read once a goal is reached; None when there is none."""
    following = dict(pairwise(OWN)).get(goal.stage)
    return None if following is None else Goal(following, _written(goal.stage, mine))


def _written(stage: str, sums: SumsOf) -> dict[int, int]:
    return {number: each.rows_out for (name, number), each in sums.items() if name == stage}


def _short(goal: Goal, mine: SumsOf) -> int:
    nothing = Sums()
    return sum(max(rows - mine.get((goal.stage, number), nothing).rows_in, 0) for number, rows in goal.rows.items())

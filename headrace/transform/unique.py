"""Decides which rows have values that a row before them has: in their order, as a row that is set aside takes no values up.

Only rows with company need a look: the others are neither like a row that went on before nor like one of their batch.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from headrace.transform.parents import Int64s


class Place(NamedTuple):
    """Where a raw record stands."""

    partition: int
    offset: int


class Contested(NamedTuple):
    """A published row of a batch with values that another one has. `values` is a number for them, among those of the batch.

    `holder` is the row that had them before the batch, if one had.
    """

    row: int
    values: int
    holder: Place | None


class Repeat(NamedTuple):
    """A row that has the values of one before it. `check` is the place of the check among those of its kind."""

    row: int
    check: int
    holder: Place


#: Whether an input row with these repeats goes on all the same. Called in the order of rows.
GoesOn = Callable[[int, Sequence[Repeat]], bool]


def repeats(
    contested: Sequence[Sequence[Contested]], parent: Int64s, place: Sequence[Place], goes_on: GoesOn
) -> dict[int, list[Repeat]]:
    """The repeats of each input row that has any: rows whose values were there before them, in the batch or in front of it.

    Shapes: `contested` has an entry for each check; `parent` and `place` one for each published row: the input row it came
    from, which ascends, and where that stands. An input row that does not go on leaves its values to those after it.
    """
    found: dict[int, list[Repeat]] = {}
    taken: dict[tuple[int, int], Place] = {}
    entries = sorted((each.row, check, each) for check, rows in enumerate(contested) for each in rows)
    for of, group in groupby(entries, lambda entry: int(parent[entry[0]])):
        fresh: dict[tuple[int, int], Place] = {}
        mine: list[Repeat] = []
        for row, check, each in group:
            key = check, each.values
            holder = each.holder or taken.get(key) or fresh.get(key)
            if holder is None:
                fresh[key] = place[row]
            else:
                mine.append(Repeat(row, check, holder))
        if mine:
            found[of] = mine
        if not mine or goes_on(of, mine):
            taken |= fresh
    return found


def told(repeat: Repeat, values: Mapping[str, str], place: Place) -> str:
    """What a user reads of a row with the values of another."""
    shown = ", ".join(f"{name} = {value}" for name, value in values.items())
    if repeat.holder == place:
        return f"{shown}: twice in what the SQL makes of the record"
    partition, offset = repeat.holder
    return f"{shown}, as in the row before it of raw partition {partition}, offset {offset}"

"""Decides how complete rows are that are read from the warehouse, by the books of their dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_REASONS: Final = 3


@dataclass(frozen=True, slots=True)
class Completeness:
    """What can be said of the rows of a dataset before they are read.

    `through`: all that its source had by then is among them; None while something is under way. `loaded_at`: when the newest
    rows were loaded. `in_flight`: rows that were read and had not reached their fate.
    """

    through: datetime | None
    loaded_at: datetime | None
    in_flight: int
    waiting_for: tuple[str, ...]


def completeness(
    asked_at: datetime, waiting_for: Sequence[str], loaded_at: datetime | None, in_flight: int
) -> Completeness:
    """What the books as they were at `asked_at`, or later, say. Of several reasons to wait, the first are told."""
    return Completeness(None if waiting_for else asked_at, loaded_at, in_flight, tuple(waiting_for[:_REASONS]))


def combined(states: Mapping[str, Completeness]) -> Completeness:
    """What can be said of the rows of several datasets together, by the name of each."""
    through = [state.through for state in states.values()]
    known = [at for at in through if at is not None]
    loaded = [state.loaded_at for state in states.values() if state.loaded_at is not None]
    waiting = [f"{name}: {reason}" for name, state in states.items() for reason in state.waiting_for]
    return Completeness(
        min(known) if known and len(known) == len(through) else None,
        min(loaded, default=None),
        sum(state.in_flight for state in states.values()),
        tuple(waiting[:_REASONS]),
    )

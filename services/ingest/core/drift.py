"""What becomes of columns that a source has and its schema has not, as `schema.evolution` says."""

from collections.abc import Sequence
from typing import Literal

from headrace.errors import Fatal

Evolution = Literal["evolve", "freeze", "discard", "quarantine"]


class Frozen(Fatal):
    """A column is new where no column may be. What was read before it stands; reading goes on with its first row."""


def policy_for(fresh: Sequence[str], evolution: Evolution) -> Literal["evolve", "discard", "quarantine"]:
    """What to do about columns that are new. Errors: Frozen."""
    if evolution == "freeze":
        names = ", ".join(repr(name) for name in dict.fromkeys(fresh))
        raise Frozen(
            f"the source has new columns ({names}), and schema.evolution is freeze: declare them in schema.fields, or "
            "choose what becomes of them (evolve, discard, quarantine); nothing is lost, reading goes on with them"
        )
    return evolution


def unknown(column: str) -> str:
    """What is said of a row that was set aside for such a column."""
    return f"the column {column!r} is not declared, and schema.evolution is quarantine"

"""How long to leave a source alone that is not there."""

from typing import Final

SHORTEST_S: Final = 0.5
LONGEST_S: Final = 60.0


def delay_s(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row, from 1. `chance` is from 0 to 1: it keeps many from coming at once."""
    return min(LONGEST_S, SHORTEST_S * 2.0 ** min(failures - 1, 20)) * (0.5 + chance)

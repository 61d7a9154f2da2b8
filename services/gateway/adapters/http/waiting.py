"""Lets who wrote something read it: until the fold has seen it, or for a few seconds. It stands in its topic by then."""

import time
from collections.abc import Callable
from typing import Final

_SEEN_S: Final = 5.0
_POLL_S: Final = 0.02


def wait_until(seen: Callable[[], bool]) -> None:
    """Wait until the projection shows what was written. A fold that is behind changes nothing of what stands."""
    deadline = time.monotonic() + _SEEN_S
    while not seen() and time.monotonic() < deadline:
        time.sleep(_POLL_S)

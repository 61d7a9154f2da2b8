"""Decides who goes first in a service: work for generations that are not live takes its turn while live work has a backlog.

Others are held back, never stopped: they get a small batch at least once a second, so that they stay members of their groups and
come to an end even beside a stream that is never read to its end.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from headrace.stream.pump import Delivery, Source

#: How often what is held back may work, and at most how many rows of each batch.
TURN_S: Final = 1.0
TURN_ROWS: Final = 2_000
_NAP_S: Final = 0.05


class RightOfWay:
    """Who of a process's live work has a backlog. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = threading.Lock()
        self._backlogs: set[int] = set()

    def leading(self, source: Source) -> Source:
        """The source of live work: what it says of its backlog holds the others back."""
        return _Leading(source, self._note)

    def yielding(self, source: Source) -> Source:
        """The source of work that is held back."""
        return _Yielding(source, lambda: bool(self._backlogs), self._clock)

    def _note(self, who: int, backlog: bool) -> None:
        with self._turn:
            (self._backlogs.add if backlog else self._backlogs.discard)(who)


class _Passed:
    """A source that another stands behind."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def epoch(self) -> int:
        return self._source.epoch

    def rewind(self) -> None:
        self._source.rewind()

    def before_handover(self, finish: Callable[[], None]) -> None:
        self._source.before_handover(finish)


class _Leading(_Passed):
    def __init__(self, source: Source, note: Callable[[int, bool], None]) -> None:
        super().__init__(source)
        self._note = note

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        """See `Source.poll`."""
        delivery = self._source.poll(max_rows, timeout_s)
        self._note(id(self), delivery is not None and delivery.backlog)
        return delivery

    def close(self) -> None:
        """See `Source.close`."""
        self._note(id(self), False)
        self._source.close()


class _Yielding(_Passed):
    def __init__(self, source: Source, held_back: Callable[[], bool], clock: Callable[[], float]) -> None:
        super().__init__(source)
        self._held_back = held_back
        self._clock = clock
        self._last_s = -TURN_S

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        """See `Source.poll`. Waits for its turn as long as it may wait for a record."""
        deadline_s = self._clock() + timeout_s
        while self._held_back() and self._clock() < self._last_s + TURN_S:
            if self._clock() >= deadline_s:
                return None
            time.sleep(min(_NAP_S, timeout_s))
        self._last_s = self._clock()
        return self._source.poll(min(max_rows, TURN_ROWS) if self._held_back() else max_rows, timeout_s)

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()

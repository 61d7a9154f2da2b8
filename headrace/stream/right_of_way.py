"""Decides who goes first in a service: work for generations that are not live takes its turn beside live work.

While live work has a backlog, others get a small batch once a second: so they stay members of their groups, and come to an end
even beside a stream that is never read to its end. While it has none but rows come, others take small batches, and rest after
each for a multiple of the time that it took: what is live comes to the processor when it has something to do.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Final

from headrace.stream.pump import Delivery, Source

#: How often what is held back may work, and at most how many rows of each batch.
TURN_S: Final = 1.0
TURN_ROWS: Final = 2_000
#: For so long after rows came to live work, others leave it room: batches of at most so many rows, and after each a rest of so
#: many times the time that it took, but none that tries the patience of the group.
MOVING_S: Final = 2.0
ROOM_ROWS: Final = 5_000
ROOM: Final = 10.0
MOST_ROOM_S: Final = 5.0
_NAP_S: Final = 0.05


class RightOfWay:
    """Who of a process's live work has a backlog, and when rows came to it last. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = threading.Lock()
        self._backlogs: set[int] = set()
        self._moved_s = -MOVING_S

    def leading(self, source: Source) -> Source:
        """The source of live work: what it says of its backlog holds the others back."""
        return _Leading(source, self.note)

    def yielding(self, source: Source) -> Source:
        """The source of work that is held back."""
        return _Yielding(source, self, self._clock)

    @property
    def held_back(self) -> bool:
        """Whether live work has a backlog."""
        return bool(self._backlogs)

    @property
    def moving(self) -> bool:
        """Whether rows have just come to live work."""
        return self._clock() < self._moved_s + MOVING_S

    def note(self, who: int, delivery: Delivery | None) -> None:
        """What a source of live work gave."""
        with self._turn:
            backlog = delivery is not None and delivery.backlog
            (self._backlogs.add if backlog else self._backlogs.discard)(who)
            if delivery is not None and len(delivery.records):
                self._moved_s = self._clock()


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
    def __init__(self, source: Source, note: Callable[[int, Delivery | None], None]) -> None:
        super().__init__(source)
        self._note = note

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        """See `Source.poll`."""
        delivery = self._source.poll(max_rows, timeout_s)
        self._note(id(self), delivery)
        return delivery

    def close(self) -> None:
        """See `Source.close`."""
        self._note(id(self), None)
        self._source.close()


class _Yielding(_Passed):
    def __init__(self, source: Source, way: RightOfWay, clock: Callable[[], float]) -> None:
        super().__init__(source)
        self._way = way
        self._clock = clock
        self._last_s = -TURN_S
        self._given_s: float | None = None  # when the batch was given that is worked on
        self._rests_until_s = 0.0

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        """See `Source.poll`. Waits for its turn as long as it may wait for a record."""
        deadline_s = self._clock() + timeout_s
        if self._given_s is not None:
            took_s = self._clock() - self._given_s
            self._rests_until_s, self._given_s = self._clock() + min(ROOM * took_s, MOST_ROOM_S), None
        while self._clock() < self._turn_s:
            if self._clock() >= deadline_s:
                return None
            time.sleep(min(_NAP_S, timeout_s))
        self._last_s = self._clock()
        most = TURN_ROWS if self._way.held_back else ROOM_ROWS if self._way.moving else max_rows
        delivery = self._source.poll(min(max_rows, most), timeout_s)
        if delivery is not None and len(delivery.records):
            self._given_s = self._clock()
        return delivery

    @property
    def _turn_s(self) -> float:
        """When it may work again, as things are."""
        if self._way.held_back:
            return self._last_s + TURN_S
        return self._rests_until_s if self._way.moving else -math.inf

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()

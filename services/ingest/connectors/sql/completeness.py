"""Up to which row everything is there, although transactions write at the same time.

Values such as `now()` or those of a sequence are taken when a transaction begins or inserts, but are seen when it commits:
whoever reads up to the largest value seen misses what commits later with a smaller one. So the last row is noted first, then the
transactions that are open; when those have ended, all up to that row is there.
"""

from collections.abc import Set
from dataclasses import dataclass, replace

from services.ingest.connectors.sql.places import Place


@dataclass(frozen=True, slots=True)
class Noted:
    """The last row in order at some moment (seconds), and who may have been about to write one in front of it."""

    last: Place
    writers: Set[str]
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known: `complete` is the last row of which it is certain that none will come in front of it."""

    complete: Place | None = None
    noted: Noted | None = None

    def looked(self, last: Place, writers: Set[str]) -> "Seen":
        """What is known after a look. `last` was the last row before it was asked who the writers are."""
        if not writers:
            return Seen(last)
        if self.noted is None:
            return replace(self, noted=Noted(last, writers))
        if self.noted.writers & writers:
            return self
        return Seen(self.noted.last, Noted(last, writers))

    def waited(self, last: Place, now_s: float, lag_s: float) -> "Seen":
        """What is known when no transaction is open for longer than `lag_s`."""
        if lag_s == 0:
            return Seen(last)
        if self.noted is None:
            return replace(self, noted=Noted(last, frozenset(), now_s))
        if now_s - self.noted.at_s < lag_s:
            return self
        return Seen(self.noted.last, Noted(last, frozenset(), now_s))

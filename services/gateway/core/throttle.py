"""Decides how long whoever has failed to sign in has to wait: longer each time, never for good.

Three things are counted: failures for a name from an address, from an address for any name, and for a name from anywhere. The
last one could keep somebody out of their account whom others attack; so it does not hold where they have signed in before.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

Kind = Literal["pair", "address", "name"]

_FORGOTTEN: Final = timedelta(hours=1)
_KNOWN: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Rule:
    """So many failures cost nothing; from then on the wait doubles from one second to the longest."""

    free: int
    longest: timedelta

    def wait(self, failures: int) -> timedelta:
        """How long the next attempt has to wait."""
        if failures < self.free:
            return timedelta()
        return min(timedelta(seconds=2 ** min(failures - self.free, 20)), self.longest)


RULES: Final[dict[Kind, Rule]] = {
    "pair": Rule(5, timedelta(minutes=15)),
    "address": Rule(30, timedelta(minutes=15)),
    "name": Rule(30, timedelta(minutes=1)),
}


@dataclass(frozen=True, slots=True)
class Count:
    """What is known of one of the three. Until `blocked_until` nothing is tried."""

    failures: int
    blocked_until: datetime
    succeeded_at: datetime | None = None

    def forget_at(self) -> datetime:
        """From when on nothing of it counts any more."""
        failed = self.blocked_until + _FORGOTTEN
        return failed if self.succeeded_at is None else max(failed, self.succeeded_at + _KNOWN)


Counts = dict[Kind, Count]


def wait_of(counts: Counts, now: datetime) -> timedelta:
    """How long an attempt has to wait; zero when it may go on."""
    succeeded = counts["pair"].succeeded_at
    known = succeeded is not None and now < succeeded + _KNOWN
    waits = [count.blocked_until - now for kind, count in counts.items() if not (known and kind == "name")]
    return max(timedelta(), *waits)


def tried(counts: Counts, now: datetime) -> Counts:
    """What is known once an attempt goes on: it counts as failed until it succeeds, so that many at once are no way around."""
    return {kind: _failed(RULES[kind], count, now) for kind, count in counts.items()}


def succeeded(counts: Counts, now: datetime) -> Counts:
    """What is known when it has succeeded. The address only gets its own attempt back: else an account of one's own would
    make any number of attempts on others free.
    """
    address = counts["address"]
    return {
        "pair": Count(0, now, now),
        "name": Count(0, now),
        "address": Count(max(address.failures - 1, 0), now, address.succeeded_at),
    }


def _failed(rule: Rule, count: Count, now: datetime) -> Count:
    failures = 1 if count.blocked_until + _FORGOTTEN <= now else count.failures + 1
    return Count(failures, now + rule.wait(failures), count.succeeded_at)

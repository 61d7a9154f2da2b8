"""Decides how long a session lives, and what asks for another cookie of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from headrace.access.policy import Grant

_SEEN_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A session ends when nobody used it for `idle`, and at the latest `absolute` after the sign-in."""

    idle: timedelta
    absolute: timedelta

    def ends_at(self, opened_at: datetime, seen_at: datetime) -> datetime:
        """When it ends if nobody uses it any more."""
        return min(opened_at + self.absolute, seen_at + self.idle)


@dataclass(frozen=True, slots=True)
class SignInTimes:
    """How long sessions and links count."""

    session: Lifetime
    link: timedelta


def to_note(seen_at: datetime, now: datetime) -> bool:
    """Whether it is to be written down that a session was used: once a minute is enough."""
    return now - seen_at >= _SEEN_EVERY


def powers(grants: Iterable[Grant]) -> frozenset[str]:
    """What somebody may do, to compare with what they could do before."""
    return frozenset(f"{grant.role} {grant.scope}" for grant in grants)

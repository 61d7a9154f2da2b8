"""Token buckets: how much is taken over time."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from services.ingest.connectors.http_push.problem import too_fast
from services.ingest.connectors.http_push.settings import Limits

Clock = Callable[[], float]


class TokenBucket:
    """Lets `per_second` through over time, and one second's worth at once.

    What is larger than the bucket would never pass, so it may go into debt: the next waits until that is paid.
    """

    def __init__(self, per_second: int, clock: Clock = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._level = float(per_second)
        self._at = clock()

    def wait_s(self) -> float:
        """How long until something may pass; 0 when it may now."""
        now = self._clock()
        self._level = min(self._per_second, self._level + (now - self._at) * self._per_second)
        self._at = now
        return max(0.0, -self._level / self._per_second)

    def charge(self, amount: int) -> None:
        """Take `amount` out."""
        self._level -= amount


@dataclass(frozen=True, slots=True)
class Rate:
    """The rows and bytes a second of one dataset, under the limits it has now."""

    limits: Limits
    rows: TokenBucket | None
    bytes: TokenBucket | None

    @classmethod
    def of(cls, limits: Limits, clock: Clock) -> "Rate":
        """Full buckets."""
        rows, size = limits.rows_per_second, limits.bytes_per_second
        return cls(limits, TokenBucket(rows, clock) if rows else None, TokenBucket(size, clock) if size else None)

    def wait_s(self) -> float:
        """How long until something may pass."""
        return max(bucket.wait_s() if bucket else 0.0 for bucket in (self.rows, self.bytes))

    def check(self) -> None:
        """Errors: Problem (429) when nothing may pass now."""
        if self.rows and (wait_s := self.rows.wait_s()):
            raise too_fast(f"over limits.rows_per_second, {self.limits.rows_per_second}", wait_s)
        if self.bytes and (wait_s := self.bytes.wait_s()):
            raise too_fast(f"over limits.bytes_per_second, {self.limits.bytes_per_second}", wait_s)

    def charge(self, rows: int, size_bytes: int) -> None:
        """Count what passes."""
        if self.rows:
            self.rows.charge(rows)
        if self.bytes:
            self.bytes.charge(size_bytes)


class Rates:
    """The rates of all datasets; one whose limits were changed starts anew."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._rates: dict[str, Rate] = {}

    def of(self, dataset: str, limits: Limits) -> Rate:
        """The rate of a dataset."""
        found = self._rates.get(dataset)
        if found is None or found.limits != limits:
            found = self._rates[dataset] = Rate.of(limits, self._clock)
        return found

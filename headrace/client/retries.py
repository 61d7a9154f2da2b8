"""Which calls are sent again, and after how long: what fails in a way that passes, and cannot be done twice."""

from dataclasses import dataclass
from typing import Final

import httpx

from headrace.client.call import Request

#: The gateway asks for patience (429), restarts, or a proxy before it has lost it.
PASSING: Final = frozenset({429, 502, 503, 504})
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is sent again, and how patiently.

    A write is sent again only when it never left: a second answer could hide what the first attempt did. With `writes` it is
    sent again like a read, under the same `Idempotency-Key`: safe with a gateway that honours that, and only then.
    """

    most: int = 4
    first_pause_s: float = 0.2
    longest_pause_s: float = 30
    writes: bool = False

    def pause_s(
        self,
        attempt: int,
        request: Request,
        outcome: httpx.Response | httpx.TransportError,
        *,
        asked_s: float | None,
        draw: float,
    ) -> float | None:
        """How long to wait after this attempt (0 is the first), or None when its outcome stands.

        The pauses double, and `draw` (0 to 1) spreads them, so that many clients do not come back at once. `asked_s` is how long
        the gateway asks to be left alone: longer than the longest pause is not waited for.
        """
        if attempt >= self.most or not self._again(request, outcome):
            return None
        own_s = min(self.longest_pause_s, self.first_pause_s * 2.0**attempt) * (1 + draw) / 2
        if asked_s is None:
            return own_s
        return asked_s + own_s * draw if asked_s <= self.longest_pause_s else None

    def _again(self, request: Request, outcome: httpx.Response | httpx.TransportError) -> bool:
        if isinstance(outcome, _NEVER_SENT):
            return True
        repeatable = self.writes or not request.changes
        if isinstance(outcome, httpx.TransportError):
            return repeatable and not isinstance(outcome, httpx.TimeoutException)  # a slow answer is slow again
        return repeatable and outcome.status_code in PASSING

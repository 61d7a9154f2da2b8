"""Answers that are not 2xx, as RFC 9457 has them."""

from collections.abc import Mapping
from math import ceil
from typing import Any, Final

RETRY_AFTER_S: Final = 2
PAUSED_RETRY_S: Final = 30
MEDIA_TYPE: Final = "application/problem+json"


class Problem(Exception):
    """Why a request is refused. `next_step` says what the caller can do."""

    def __init__(
        self, status: int, title: str, detail: str, next_step: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": detail,
            "next": next_step,
        }


def unauthorised(detail: str, next_step: str) -> Problem:
    """Who sends this has not shown that they may."""
    return Problem(401, "Not authorised", detail, next_step, {"WWW-Authenticate": "Bearer"})


def later(why: str) -> Problem:
    """Nothing is wrong with the request: it was not written, or is not known to be."""
    next_step = "Send it again; with an Idempotency-Key nothing is written twice."
    return Problem(503, "Not written", why, next_step, {"Retry-After": str(RETRY_AFTER_S)})


def paused(dataset: str, told: str) -> Problem:
    """Somebody wants no rows to be taken for now: the sender keeps them."""
    next_step = f"Keep the rows and send them again later: nothing of them was taken. `headrace source resume {dataset}` ends it."
    return Problem(503, "Paused", f"{dataset} is {told}", next_step, {"Retry-After": str(PAUSED_RETRY_S)})


def too_fast(what: str, wait_s: float) -> Problem:
    """More was sent than a limit allows over time."""
    wait = max(1, ceil(wait_s))
    return Problem(429, "Too many rows", what, f"Send it again after {wait} s.", {"Retry-After": str(wait)})


def too_large(what: str) -> Problem:
    """A limit of one request."""
    return Problem(413, "Body too large", what, "Send the rows in several requests.")

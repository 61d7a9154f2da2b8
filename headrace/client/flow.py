"""What is done in several steps, sending among them, written once for both clients.

A flow is a generator that yields steps and is given what they came to, so that it neither sends nor waits itself: `Wire` and
`AsyncWire` do that. Source: decision 42.
"""

import random
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeAlias, TypeVar

import httpx

from headrace.client.answers import checked, retry_after_s
from headrace.client.call import Call, Request
from headrace.client.errors import BrokenOff, Unreachable
from headrace.client.retries import Retries

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request once; comes to its response. With `streamed` the answer of a success is left to be read."""

    request: Request
    key: str | None
    streamed: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait; comes to nothing."""

    pause_s: float


Flow: TypeAlias = Generator[Send | Pause | Call[Any], Any, T]


def done(call: Call[T]) -> Flow[T]:
    """A call as a step of a flow."""
    result: T = yield call
    return result


def answered(url: str, request: Request, retries: Retries, *, streamed: bool = False) -> Flow[httpx.Response]:
    """Send, and send again what failed in a way that passes. Errors: ApiError, Unreachable."""
    key = str(uuid.uuid4()) if request.changes else None  # one for the write, however often it is sent
    for attempt in count():
        outcome: httpx.Response | httpx.TransportError
        try:
            outcome = yield Send(request, key, streamed)
        except httpx.TransportError as error:
            outcome = error
        asked_s = retry_after_s(outcome.headers, datetime.now(UTC)) if isinstance(outcome, httpx.Response) else None
        pause_s = retries.pause_s(attempt, request, outcome, asked_s=asked_s, draw=random.random())  # noqa: S311 - no secret
        if pause_s is not None:
            yield Pause(pause_s)
        elif isinstance(outcome, httpx.Response):
            return checked(outcome)
        else:
            raise unreachable(url, request, outcome) from outcome
    raise AssertionError("attempts end with an outcome")


def unreachable(url: str, request: Request, error: httpx.TransportError) -> Unreachable:
    """What to say when nobody answered."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return Unreachable(f"The gateway at {url} did not answer {request.method} {request.path} in time.")
    return Unreachable(f"No gateway answers at {url} ({error}).")


@contextmanager
def reading(url: str, request: Request) -> Iterator[None]:
    """Around the reading of an answer that comes line by line. Errors: BrokenOff, Unreachable when it stalls."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise unreachable(url, request, error) from error
    except httpx.TransportError as error:
        raise BrokenOff(
            f"The answer of {url} to {request.method} {request.path} broke off; its log tells why."
        ) from error

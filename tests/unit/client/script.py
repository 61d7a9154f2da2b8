"""A double of the gateway: a transport's handler that answers from a script, no network."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from headrace.client import AsyncClient, Client

Answer = httpx.Response | Exception


class Script:
    """Gives one answer after the other, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def connect(handler: Callable[[httpx.Request], httpx.Response], **options: Any) -> Client:
    return Client(
        "http://gateway.test", "s3cret", transport=httpx.MockTransport(handler), **({"backoff_s": 0} | options)
    )


def connect_async(handler: Callable[[httpx.Request], httpx.Response | Awaitable[Any]], **options: Any) -> AsyncClient:
    transport = httpx.MockTransport(handler)  # type: ignore[arg-type]
    return AsyncClient("http://gateway.test", "s3cret", transport=transport, **({"backoff_s": 0} | options))


def ledger(settled: bool, **books: Any) -> httpx.Response:
    return httpx.Response(200, json={"dataset": "nyc.flights", "settled": settled, **books})

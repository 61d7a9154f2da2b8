"""A connection to one gateway, for a caller that waits, and for one that awaits: the only code that is written twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import httpx

from headrace.client import answers
from headrace.client.call import Call, Lines, Pages, Pieces, Request
from headrace.client.flow import Flow, Pause, Send, answered, reading
from headrace.client.retries import Retries
from headrace.errors import HeadraceError

DEFAULT_URL: Final = "http://127.0.0.1:8080"
_CONNECT_S: Final = 5.0

T = TypeVar("T")


class Wire:
    """Does steps and waits for them."""

    def __init__(
        self, url: str, token: str | None, timeout_s: float, retries: Retries, transport: httpx.BaseTransport | None
    ) -> None:
        self.url = url
        self._retries = retries
        self.http = httpx.Client(**_options(url, token, timeout_s), transport=transport)

    def run(self, call: Call[T]) -> T:
        """What a call comes to. Errors: ApiError, Unreachable, UnexpectedAnswer."""
        return call.read(self.drive(answered(self.url, call.request, self._retries)))

    def lines(self, lines: Lines[Any]) -> Iterator[Any]:
        """The values of an answer, as they come."""
        response = self.drive(answered(self.url, lines.request, self._retries, streamed=True))
        try:
            with reading(self.url, lines.request):
                for text in response.iter_lines():
                    yield answers.line(lines.kind, text, response)
        finally:
            response.close()

    @contextmanager
    def opened(self, request: Request) -> Generator[httpx.Response]:
        """An answer that is read as it comes. Errors: ApiError, Unreachable; while it is read BrokenOff."""
        response = self.drive(answered(self.url, request, self._retries, streamed=True))
        try:
            with reading(self.url, request):
                yield response
        finally:
            response.close()

    def pieces(self, pieces: Pieces[Any]) -> Iterator[Any]:
        """The pieces of a file, as they come."""
        with self.opened(pieces.request) as response:
            yield from response.iter_text() if pieces.kind is str else response.iter_bytes()

    def pages(self, pages: Pages[Any]) -> Iterator[Any]:
        """The values of all pages; each page is asked for when the one before is used up."""
        call: Call[Any] | None = _page(pages, None)
        while call is not None:
            items, cursor = self.run(call)
            yield from items
            call = _page(pages, cursor) if cursor else None

    def drive(self, flow: Flow[T]) -> T:
        """What a flow comes to, its steps done one after the other."""
        resume: Callable[[], Any] = lambda: next(flow)  # noqa: E731
        while True:
            try:
                step = resume()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                resume = _sending(flow, self._do(step))
            except (HeadraceError, httpx.TransportError) as error:
                resume = _throwing(flow, error)

    def _do(self, step: Send | Pause | Call[Any]) -> Any:
        match step:
            case Call():
                return self.run(step)
            case Pause():
                return time.sleep(step.pause_s)
            case Send():
                response = self.http.send(_built(self.http, step), stream=step.streamed)
                if not response.is_success:
                    response.read()
                return response


class AsyncWire:
    """Does steps and awaits them."""

    def __init__(
        self,
        url: str,
        token: str | None,
        timeout_s: float,
        retries: Retries,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self.url = url
        self._retries = retries
        self.http = httpx.AsyncClient(**_options(url, token, timeout_s), transport=transport)

    async def run(self, call: Call[T]) -> T:
        """See `Wire`."""
        return call.read(await self.drive(answered(self.url, call.request, self._retries)))

    async def lines(self, lines: Lines[Any]) -> AsyncIterator[Any]:
        """See `Wire`."""
        response = await self.drive(answered(self.url, lines.request, self._retries, streamed=True))
        try:
            with reading(self.url, lines.request):
                async for text in response.aiter_lines():
                    yield answers.line(lines.kind, text, response)
        finally:
            await response.aclose()

    async def pieces(self, pieces: Pieces[Any]) -> AsyncIterator[Any]:
        """See `Wire`."""
        response = await self.drive(answered(self.url, pieces.request, self._retries, streamed=True))
        try:
            with reading(self.url, pieces.request):
                async for piece in response.aiter_text() if pieces.kind is str else response.aiter_bytes():
                    yield piece
        finally:
            await response.aclose()

    async def pages(self, pages: Pages[Any]) -> AsyncIterator[Any]:
        """See `Wire`."""
        call: Call[Any] | None = _page(pages, None)
        while call is not None:
            items, cursor = await self.run(call)
            for item in items:
                yield item
            call = _page(pages, cursor) if cursor else None

    async def drive(self, flow: Flow[T]) -> T:
        """See `Wire`."""
        resume: Callable[[], Any] = lambda: next(flow)  # noqa: E731
        while True:
            try:
                step = resume()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                resume = _sending(flow, await self._do(step))
            except (HeadraceError, httpx.TransportError) as error:
                resume = _throwing(flow, error)

    async def _do(self, step: Send | Pause | Call[Any]) -> Any:
        match step:
            case Call():
                return await self.run(step)
            case Pause():
                return await asyncio.sleep(step.pause_s)
            case Send():
                response = await self.http.send(_built(self.http, step), stream=step.streamed)
                if not response.is_success:
                    await response.aread()
                return response


def _sending(flow: Flow[Any], value: Any) -> Callable[[], Any]:
    return lambda: flow.send(value)


def _throwing(flow: Flow[Any], error: Exception) -> Callable[[], Any]:
    return lambda: flow.throw(error)


def _page(pages: Pages[Any], cursor: str | None) -> Call[Any]:
    request = pages.request
    params = {**(request.params or {}), **({"cursor": cursor} if cursor else {})}
    return Call(replace(request, params=params), lambda response: answers.page(pages.kind, response))


def _built(http: httpx.Client | httpx.AsyncClient, step: Send) -> httpx.Request:
    request = step.request
    timeout: dict[str, Any] = {} if request.timeout_s is None else {"timeout": _timeout(request.timeout_s)}
    headers = {**(request.headers or {}), **({"Idempotency-Key": step.key} if step.key else {})}
    return http.build_request(
        request.method, request.path, params=request.params, json=request.body, headers=headers, **timeout
    )


def _options(url: str, token: str | None, timeout_s: float) -> dict[str, Any]:
    return {
        "base_url": _address(url),
        "headers": {"Authorization": f"Bearer {token}"} if token else {},
        "timeout": _timeout(timeout_s),
    }


def _timeout(timeout_s: float) -> httpx.Timeout:
    return httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S))


def _address(url: str) -> httpx.URL:
    """Where the API of the gateway at `url` lives. Errors: HeadraceError when it is no address."""
    try:
        address = httpx.URL(f"{url}/api/v1")
    except httpx.InvalidURL as error:
        raise HeadraceError(f"{url!r} is not an address: {error}.") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise HeadraceError(f"{url!r} is not an address of a gateway: it must look like {DEFAULT_URL}.")
    return address

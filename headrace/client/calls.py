"""How a gateway is asked: which calls are tried again, and how an answer becomes a value or an error."""

import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from headrace.client.errors import ApiError, Unreachable
from headrace.errors import HeadraceError

DEFAULT_URL: Final = "http://127.0.0.1:8080"
UNAVAILABLE: Final = frozenset({502, 503})  # a gateway that restarts, or a proxy before one
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout)

ResultT = TypeVar("ResultT", bound=BaseModel)


class Calls:
    """A connection to one gateway. Errors: ApiError when the gateway says no, Unreachable when it does not answer."""

    def __init__(
        self,
        url: str,
        token: str | None,
        timeout_s: float,
        retries: int,
        backoff_s: float,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self.url = url
        self._retries = retries
        self._backoff_s = backoff_s
        self._http = httpx.Client(
            base_url=_address(self.url),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 5)),
            transport=transport,
        )

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def send(self, method: str, path: str, *, safe: bool = True, **options: Any) -> httpx.Response:
        """Send, and send again what failed in a way that passes.

        A call that changes something is sent again only when it never left: a second answer could hide what the
        first attempt did.
        """
        attempt = 0
        while True:
            last_try = attempt >= self._retries
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                again = isinstance(error, _NEVER_SENT) or (safe and not isinstance(error, httpx.TimeoutException))
                if last_try or not again:
                    raise self._unreachable(method, path, error) from error
            else:
                if last_try or not (safe and response.status_code in UNAVAILABLE):
                    return _checked(response)
            time.sleep(self._backoff_s * 2**attempt)
            attempt += 1

    @contextmanager
    def opened(self, path: str, **options: Any) -> Generator[httpx.Response]:
        """An answer whose body is read as it comes. One that breaks off is a HeadraceError, never a short answer."""
        begun = False
        try:
            with self._http.stream("GET", path, **options) as response:
                if not response.is_success:
                    response.read()
                _checked(response)
                begun = True
                yield response
        except httpx.TransportError as error:
            if begun:
                raise HeadraceError(
                    f"The answer of {self.url} to GET {path} broke off: what came is not whole. Its log tells why."
                ) from error
            raise self._unreachable("GET", path, error) from error

    def lines(self, kind: type[ResultT], path: str, *, method: str = "POST", **options: Any) -> Iterator[ResultT]:
        """The values of an answer that has one on each line, as they come."""
        begun = False
        try:
            with self._http.stream(method, path, **options) as response:
                if not response.is_success:
                    response.read()
                _checked(response)
                for line in response.iter_lines():
                    begun = True
                    yield self._valid(kind, json.loads(line))
        except httpx.TransportError as error:
            if begun and not isinstance(error, httpx.TimeoutException):
                raise HeadraceError(
                    f"The answer of {self.url} to {method} {path} broke off; its log tells why."
                ) from error
            raise self._unreachable(method, path, error) from error

    def read(self, kind: type[ResultT], response: httpx.Response) -> ResultT:
        """The value that an answer is. Errors: HeadraceError when it is none."""
        return self._valid(kind, self._json(response))

    def items(self, kind: type[ResultT], response: httpx.Response) -> list[ResultT]:
        """The values that an answer lists. Errors: HeadraceError when it lists none."""
        body = self._json(response)
        items = body.get("items") if isinstance(body, dict) else None
        if not isinstance(items, list):
            raise self._not_ours(response)
        return [self._valid(kind, item) for item in items]

    def _unreachable(self, method: str, path: str, error: httpx.TransportError) -> Unreachable:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return Unreachable(f"The gateway at {self.url} did not answer {method} {path} in time.")
        return Unreachable(f"No gateway answers at {self.url} ({error}).")

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise self._not_ours(response) from error

    def _valid(self, kind: type[ResultT], body: Any) -> ResultT:
        try:
            return kind.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise HeadraceError(
                f"The gateway at {self.url} sent a {kind.__name__} this client cannot read ({where}: {first['msg']}). "
                "Compare versions with: headrace version"
            ) from error

    def _not_ours(self, response: httpx.Response) -> HeadraceError:
        return HeadraceError(f"{response.url} did not answer like a Headrace gateway. Check the address.")


def _address(url: str) -> httpx.URL:
    """Where the API of the gateway at `url` lives. Errors: HeadraceError when it is no address."""
    try:
        address = httpx.URL(f"{url}/api/v1")
    except httpx.InvalidURL as error:
        raise HeadraceError(f"{url!r} is not an address: {error}.") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise HeadraceError(f"{url!r} is not an address of a gateway: it must look like {DEFAULT_URL}.")
    return address


def _checked(response: httpx.Response) -> httpx.Response:
    """The response, when it is a success. Errors: ApiError."""
    if response.is_success:
        return response
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    problems = body.get("problems")
    raise ApiError(
        status=response.status_code,
        title=str(body.get("title") or response.reason_phrase or f"HTTP {response.status_code}"),
        detail=str(body.get("detail") or ""),
        problems=[p for p in problems if isinstance(p, dict)] if isinstance(problems, list) else (),
        where=f"{response.request.method} {response.request.url.path}",
    )

"""The two clients of a gateway: one that waits for its answers, and one whose answers are awaited."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Generic, Self

import httpx
from pydantic import SecretStr

from headrace.client.call import Call, ask, get
from headrace.client.contexts import target
from headrace.client.groups.access import Access, Tokens
from headrace.client.groups.audit import Audit
from headrace.client.groups.catalog import Catalog
from headrace.client.groups.datasets import Datasets
from headrace.client.groups.drift import DriftCalls
from headrace.client.groups.exports import Exports
from headrace.client.groups.generations import Generations
from headrace.client.groups.overrides import Overrides
from headrace.client.groups.quarantine import QuarantineCalls
from headrace.client.groups.rows import Rows
from headrace.client.groups.runs import Runs
from headrace.client.groups.secrets import Secrets
from headrace.client.groups.sources import Sources
from headrace.client.method import Group, WireT, call
from headrace.client.results import QueryEstimate, QueryResult, Version
from headrace.client.retries import Retries
from headrace.client.wire import DEFAULT_URL, AsyncWire, Wire


class _Calls(Group[WireT], Generic[WireT]):
    """What a gateway can be asked."""

    def __init__(self, wire: WireT) -> None:
        super().__init__(wire)
        self.url = wire.url
        self.access = Access(wire)
        self.audit = Audit(wire)
        self.catalog = Catalog(wire)
        self.datasets = Datasets(wire)
        self.drift = DriftCalls(wire)
        self.exports = Exports(wire)
        self.generations = Generations(wire)
        self.overrides = Overrides(wire)
        self.quarantine = QuarantineCalls(wire)
        self.rows = Rows(wire)
        self.runs = Runs(wire)
        self.secrets = Secrets(wire)
        self.sources = Sources(wire)
        self.tokens = Tokens(wire)

    @call
    def version(self) -> Call[Version]:
        """Which version the gateway runs."""
        return get("/version").one(Version)

    @call
    def query(self, sql: str, limit: int = 1000, parameters: Mapping[str, Any] | None = None) -> Call[QueryResult]:
        """Run a read-only query in the warehouse; at most `limit` rows come back.

        `parameters`: values for `{name:Type}` in it.
        """
        return ask("/query").with_body(sql=sql, limit=limit, parameters=parameters).one(QueryResult)

    @call
    def estimate(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Call[QueryEstimate]:
        """What a query would read at most. Reads nothing."""
        return ask("/query/estimate").with_body(sql=sql, parameters=parameters).one(QueryEstimate)


class Client(_Calls[Wire]):
    """A connection to one gateway. Use it as a context manager, or call `close`.

    `retries` and `backoff_s`: see `Retries`. Errors: ApiError when the gateway says no, Unreachable when it does not answer.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | SecretStr | None = None,
        *,
        timeout_s: float = 30,
        retries: int = 4,
        backoff_s: float = 0.2,
        retry_writes: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        again = Retries(retries, backoff_s, writes=retry_writes)
        super().__init__(Wire(url.rstrip("/"), _shown(token), timeout_s, again, transport))

    @classmethod
    def from_context(cls, name: str | None = None, **options: Any) -> Self:
        """To the gateway that HEADRACE_URL and HEADRACE_TOKEN name, else that of a context (`docs/sdk.md`)."""
        url, token = target(name)
        return cls(url or DEFAULT_URL, token, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._wire.http.close()

    @property
    def wire(self) -> Wire:
        """The connection, for answers that are read in another way."""
        return self._wire


class AsyncClient(_Calls[AsyncWire]):
    """The same for asyncio: calls are awaited, iterators are for `async for`. Use it as a context manager, or await `close`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | SecretStr | None = None,
        *,
        timeout_s: float = 30,
        retries: int = 4,
        backoff_s: float = 0.2,
        retry_writes: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        again = Retries(retries, backoff_s, writes=retry_writes)
        super().__init__(AsyncWire(url.rstrip("/"), _shown(token), timeout_s, again, transport))

    @classmethod
    def from_context(cls, name: str | None = None, **options: Any) -> Self:
        """See `Client`."""
        url, token = target(name)
        return cls(url or DEFAULT_URL, token, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connection back."""
        await self._wire.http.aclose()


def _shown(token: str | SecretStr | None) -> str | None:
    return token.get_secret_value() if isinstance(token, SecretStr) else token

"""Guards `requests`, which airbyte-cdk asks with, in sessions of many makers: what a manifest asks goes through `Guard`.

airbyte-cdk takes no session of ours, and for tokens it calls `requests.post` itself. So the class of all sessions is taught,
once, to use the guard of the code that is running, if there is one; whoever else uses requests in this process goes on as before.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from airbyte_cdk.sources.streams.call_rate import LimiterMixin
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from headrace.connector import Targets
from headrace.connector.http import Clock, Limits, Throttled, retry_after_s
from headrace.errors import Fatal, Transient

_ACTIVE: Final[ContextVar["Guard | None"]] = ContextVar("guard", default=None)
_INSTALLING: Final = threading.Lock()
_LIMITS: Final = Limits(wait_s=60.0)  # for a shorter wait, what was read of a slice is not given up
_MOST_TRIES: Final = 5
_BUSY: Final = (429, 503)
_KEPT: Final = ("accept", "accept-encoding", "connection", "user-agent")


class Guard(HTTPAdapter):
    """Connects only to what `targets` allows, directly; takes answers within `_LIMITS`; waits as long as a server asks.

    What is decoded as it comes (`stream`) has no bound but that on the time without a byte.
    """

    def __init__(self, targets: Targets, clock: Clock) -> None:
        self._targets = targets
        self._clock = clock
        self._limits = _LIMITS
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """See `HTTPAdapter.init_poolmanager`."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._targets)

    def send(self, request: Any, stream: bool = False, timeout: Any = None, verify: Any = True,
             cert: Any = None, proxies: Any = None) -> Any:  # fmt: skip
        """See `HTTPAdapter.send`. Errors: Transient, Throttled; Fatal for a host that may not be reached, or a large answer."""
        del proxies, verify
        timeout = timeout or (self._limits.connect_s, self._limits.idle_s)
        authorities = os.environ.get("SSL_CERT_FILE") or True  # as httpx has it, for all other sources
        for tried in count(1):
            answer = super().send(request, stream=True, timeout=timeout, verify=authorities, cert=cert)
            wait_s = self._asked_to_wait(answer)
            if wait_s is None:
                break
            answer.close()
            if tried == _MOST_TRIES or wait_s > self._limits.wait_s:
                where = f"{_host(request.url)} answered {answer.status_code} and asks to wait {wait_s:.0f} s"
                raise Throttled(where, wait_s)
            self._clock.sleep(wait_s)
        if not stream:
            answer._content, answer._content_consumed = self._body(answer), True
        return answer

    def _asked_to_wait(self, answer: Any) -> float | None:
        if answer.status_code not in _BUSY:
            return None
        return retry_after_s(answer.headers.get("retry-after", ""), datetime.fromtimestamp(self._clock.now(), UTC))

    def _body(self, answer: Any) -> bytes:
        """The whole of an answer. Errors: Fatal when it is too large, Transient when it takes too long."""
        most, until = self._limits.most_bytes, self._clock.monotonic() + self._limits.answer_s
        body = bytearray()
        for part in answer.iter_content(1 << 16):
            body += part
            if len(body) > most:
                answer.close()
                raise Fatal(f"an answer of {_host(answer.url)} is larger than {most} bytes; ask for smaller pages")
            if self._clock.monotonic() > until:
                answer.close()
                raise Transient(f"an answer of {_host(answer.url)} was not whole after {self._limits.answer_s:g} s")
        return bytes(body)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Everything that is asked by the code in the block goes through this guard."""
        _install()
        token = _ACTIVE.set(self)
        try:
            yield
        finally:
            _ACTIVE.reset(token)


def _host(url: str | None) -> str:
    """What of a URL can be shown: its path and query may hold credentials."""
    return urlsplit(url or "").hostname or "a host"


def _pools(targets: Targets) -> dict[str, type[HTTPConnectionPool]]:
    """Pools whose connections go to the address that was looked at. TLS still checks the name of the host."""

    class Looked(HTTPConnection):
        def connect(self) -> None:
            host = self.host
            address = targets.resolve(host, self.port or self.default_port)
            self.host = str(address)
            try:
                super().connect()
            finally:
                self.host = host
            peer = str(self.sock.getpeername()[0]).partition("%")[0]
            if ip_address(peer) != address:  # urllib3 has its own way to a host, which is not guarded
                self.close()
                raise Fatal(
                    f"{host} was looked up as {address}, but urllib3 connected to {peer}: use the locked versions"
                )

    class Plain(HTTPConnectionPool):
        ConnectionCls = Looked

    class LookedSecure(Looked, HTTPSConnection):
        def connect(self) -> None:
            self.server_hostname = self.server_hostname or self.host
            super().connect()

    class Secure(HTTPSConnectionPool):
        ConnectionCls = LookedSecure

    return {"http": Plain, "https": Secure}


def _install() -> None:
    with _INSTALLING:
        _installed()


@cache
def _installed() -> None:
    """Teach the class of all sessions to use the guard that is active."""
    session: Any = requests.Session
    usual_adapter, usual_auth = session.get_adapter, session.rebuild_auth

    def get_adapter(self: Any, url: str) -> Any:
        guard = _ACTIVE.get()
        if guard is None and isinstance(self, LimiterMixin):
            raise Fatal(
                "airbyte-cdk asked for something outside of the guard; this is a defect of the airbyte connector"
            )
        return guard or usual_adapter(self, url)

    def rebuild_auth(self: Any, request: Any, answer: Any) -> None:
        """To another host go neither headers, which may be credentials, nor a body."""
        if _ACTIVE.get() is not None and self.should_strip_auth(answer.request.url, request.url):
            hosts = f"{_host(answer.request.url)} redirects to {_host(request.url)}"
            if request.body or (not request.url.startswith("https:") and answer.request.url.startswith("https:")):
                raise Fatal(f"{hosts}, to which neither a body is sent nor from https to http is gone; correct the URL")
            for name in [name for name in request.headers if name.lower() not in _KEPT]:
                del request.headers[name]
            return
        usual_auth(self, request, answer)

    def trusts(self: Any) -> bool:
        """Proxies and credentials (.netrc) of the environment are not for manifests."""
        return _ACTIVE.get() is None and bool(self.__dict__.get("trust_env", True))

    session.get_adapter, session.rebuild_auth = get_adapter, rebuild_auth
    session.trust_env = property(trusts, lambda self, value: self.__dict__.__setitem__("trust_env", value))

"""How HTTP connects: to the address that was looked at when a name was resolved. TLS checks the name of the host."""

import logging
import ssl
from collections.abc import Iterable

import httpcore
import httpx

from headrace.connector.targets import Targets


class Resolved(httpcore.NetworkBackend):
    """Connects to the address that was looked at when a name was resolved."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """See `NetworkBackend.connect_tcp`. Errors: those of `Targets.resolve`, and httpcore's."""
        address = self._targets.resolve(host, port)
        return self._tcp.connect_tcp(str(address), port, timeout, local_address, socket_options)


class GuardedTransport(httpx.HTTPTransport):
    """A transport of httpx that reaches only what `targets` allows, redirects and all, for it asks at each connection.

    The authorities of `ca_file`, if any, are the only ones that are trusted.
    """

    def __init__(self, targets: Targets, ca_file: str | None = None) -> None:
        # Its debug log has the headers of answers, where servers repeat what they were asked with.
        logging.getLogger("httpcore").setLevel(logging.INFO)
        super().__init__(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        self._targets = targets
        self._ca_file = ca_file
        self._trusts = False
        self._pool = self._connections(None)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport.handle_request`. The authorities are read, which takes a while, when TLS is first needed."""
        if request.url.scheme == "https" and not self._trusts:
            self._pool.close()
            self._pool, self._trusts = self._connections(self._authorities()), True
        return super().handle_request(request)

    def _authorities(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._ca_file) if self._ca_file else httpx.create_ssl_context()

    def _connections(self, context: ssl.SSLContext | None) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(
            ssl_context=context,
            network_backend=Resolved(self._targets),
            max_keepalive_connections=4,
            keepalive_expiry=5.0,
        )

"""Lets the client of a storage connect only where sources may: each socket is looked at before it is opened."""

import socket
from ipaddress import ip_address
from typing import Any

from headrace.connector import Targets
from headrace.errors import Fatal


class Guard:
    """Makes the sockets of an HTTP client. `refused` is what it last would not do, as clients hide errors in their own.

    It sees the address itself, after names were resolved and redirects followed.
    """

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self.refused: Fatal | None = None

    def socket(self, where: Any) -> socket.socket:
        """A socket for an entry of `getaddrinfo`. Errors: OSError when it may not be reached."""
        family, kind, protocol, _, address = where
        try:
            plain = ip_address(str(address[0]).partition("%")[0])
            self._targets.check(plain, str(address[0]))
        except Fatal as error:
            self.refused = error
            raise OSError(str(error)) from error
        return socket.socket(family, kind, protocol)

    def check(self) -> None:
        """Errors: Fatal when it has refused something since."""
        refused, self.refused = self.refused, None
        if refused is not None:
            raise refused

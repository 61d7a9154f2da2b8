"""Which hosts a source may reach, so that a dataset file cannot turn ingest against the network it stands in (SSRF)."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from headrace.errors import Fatal, Transient

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NEVER: Final = "link-local addresses are never reached: those of cloud providers give away a machine's credentials"


@dataclass(frozen=True, slots=True)
class Targets:
    """Global addresses, and those of the networks that were allowed.

    A name is resolved once, and the connection goes to the address that was looked at: a second answer of the name
    server may be another one.
    """

    allowed: Sequence[Network] = ()

    def resolve(self, host: str, port: int) -> Address:
        """The address to connect to for a host. Errors: Fatal when it may not be reached; Transient when it is not found."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise Transient(f"the host {host} is not found: {error.strerror}") from error
        except UnicodeError as error:
            raise Fatal(f"{host!r} is no name of a host") from error
        addresses = [ip_address(str(where[0]).partition("%")[0]) for *_, where in found]
        for address in addresses:
            self.check(address, host)
        return addresses[0]

    def check(self, address: Address, host: str) -> None:
        """Errors: Fatal when the address of a host may not be reached."""
        plain = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
        if plain.is_link_local:
            raise Fatal(f"{host} ({plain}) may not be reached: {_NEVER}")
        if any(plain in network for network in self.allowed):
            return
        if not plain.is_global or plain.is_multicast:
            raise Fatal(
                f"{host} ({plain}) is in a private network, which sources may not reach unless it is allowed: "
                f'name it in HEADRACE_SOURCE_NETWORKS of ingest, such as ["{plain}/{plain.max_prefixlen}"]'
            )

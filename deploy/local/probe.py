"""Whether a component answers over HTTP."""

import ssl
from typing import Final

import httpx

#: Everything is on loopback, in plain HTTP. Reading the machine's certificates for each question takes 60 ms of a core.
PLAIN: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def answers(url: str) -> bool:
    """Whether there is a server at the URL, and it is well."""
    try:
        return httpx.get(url, timeout=2, verify=PLAIN).is_success
    except httpx.HTTPError:
        return False

"""Decides whether a request comes from a page of ours. Source: OWASP, Cross-Site Request Forgery Prevention.

A browser says from where a request comes (Sec-Fetch-Site, Origin), and no page can make it say otherwise.
"""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS: Final = frozenset({"same-origin", "none"})  # none: the user typed the address
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def foreign(origin: str | None, site: str | None, host: str, origins: Collection[str] = ()) -> str | None:
    """Why a request is not from a page of ours; None when it is, or when it is from no browser.

    `site` is Sec-Fetch-Site, `host` what the request was sent to, `origins` are further ones that are ours.
    """
    if site is not None and site not in _OURS:
        return f"the browser says that it comes from another site (Sec-Fetch-Site: {site[:40]!r})"
    if origin is not None and origin not in origins and not _of_host(origin, host):
        return f"it comes from {origin[:200]!r}, not from {host[:200]!r}"
    return None


def _of_host(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
        default = _DEFAULT_PORTS[parts.scheme]
        asked = urlsplit(f"//{host}")
        return (parts.hostname, parts.port or default) == (asked.hostname, asked.port or default) and bool(
            parts.hostname
        )
    except (KeyError, ValueError):
        return False

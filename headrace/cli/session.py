"""Which gateway a command talks to, and as whom."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import typer

from headrace.cli import stack
from headrace.client import Client

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Session:
    """The global options of one run of the program."""

    url: str | None = None
    token: str | None = None
    transport: httpx.BaseTransport | None = None  # how to reach the gateway, when not over the network

    def client(self, **options: Any) -> Client:
        """A connection; what the user has not said is taken from the local stack, when there is one.

        The local administrator's token goes to this machine only.
        """
        url = self.url or stack.settings().gateway_url
        token = self.token or (stack.admin_token() if urlsplit(url).hostname in _THIS_MACHINE else None)
        return Client(url, token, transport=self.transport, **options)


def session_of(context: typer.Context) -> Session:
    """The global options this command was given."""
    return context.find_object(Session) or Session()

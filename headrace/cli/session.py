"""Which gateway a command talks to, and as whom."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import typer

from headrace.cli import stack
from headrace.client import Client
from headrace.client.contexts import ContextFile

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Session:
    """The global options of one run of the program."""

    url: str | None = None
    token: str | None = None
    context: str | None = None
    transport: httpx.BaseTransport | None = None  # how to reach the gateway, when not over the network

    def client(self, **options: Any) -> Client:
        """A connection. What the user has not said is taken from a context, or from the local stack.

        A token goes only where it belongs: that of a context to the context's gateway, the local administrator's to this machine.
        """
        if self.url is None:
            contexts = ContextFile.of_user()
            context = contexts.get(self.context or contexts.current)
            if context is not None:
                return Client(context.url, self.token or context.found_token(), transport=self.transport, **options)
        url = self.url or stack.settings().gateway_url
        token = self.token or (stack.admin_token() if urlsplit(url).hostname in _THIS_MACHINE else None)
        return Client(url, token, transport=self.transport, **options)


def session_of(context: typer.Context) -> Session:
    """The global options this command was given."""
    return context.find_object(Session) or Session()

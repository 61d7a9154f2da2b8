"""Links with which people sign in."""

from datetime import datetime

from headrace.client.results.base import Result


class OneTimeLink(Result):
    """A link for one person and one use; `path` stands after the address of the gateway."""

    path: str
    expires_at: datetime

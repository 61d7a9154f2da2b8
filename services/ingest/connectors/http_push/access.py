"""Who may push to a dataset: those with one of its tokens, or with the platform's where the dataset has none, and accounts."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from pydantic import SecretStr

from headrace.errors import HeadraceError
from headrace.secrets.reference import resolved
from services.ingest.connectors.http_push.problem import Problem, later, unauthorised
from services.ingest.connectors.http_push.settings import HttpPushSource

MaySend = Callable[[str, str], bool | None]


def no_accounts(*_: str) -> bool | None:
    """Where there are no accounts, nobody sends as one."""
    return False


_KEPT_S: Final = 1.0
"""How long a secret is believed: one that was revoked or replaced is refused after that."""


class Secrets:
    """Looks secrets up in threads, so that a slow store holds up nobody else, and remembers each for a second."""

    def __init__(self, find: Callable[[str], SecretStr], clock: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self._clock = clock
        self._found: dict[str, tuple[float, asyncio.Task[SecretStr]]] = {}

    async def value(self, reference: str) -> SecretStr:
        """The secret that a setting names. Errors: Fatal when nobody has set it; whatever the store raises."""
        now = self._clock()
        at, lookup = self._found.get(reference, (0.0, None))
        if lookup is None or now - at >= _KEPT_S:
            lookup = asyncio.create_task(asyncio.to_thread(resolved, reference, self._find))
            self._found[reference] = now, lookup
        return await asyncio.shield(lookup)  # others wait for it too

    async def known(self, references: Sequence[str]) -> list[SecretStr | None]:
        """The secrets that settings name, None for those that are not to be had now."""
        found = await asyncio.gather(*map(self.value, references), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException) and not isinstance(each, HeadraceError):
                raise each
        return [each if isinstance(each, SecretStr) else None for each in found]


class Access:
    """Compares bearer tokens. `platform` is the token of HEADRACE_PUSH_TOKEN.

    `may_send` says whether a bearer token is one of an account that may send rows to a dataset; None: it cannot tell yet.
    """

    def __init__(self, platform: SecretStr | None, known: Secrets, may_send: MaySend) -> None:
        self._platform = platform
        self._secrets = known
        self._may_send = may_send

    def is_platform(self, authorization: str | None) -> bool:
        """Whether a request comes with the platform's token."""
        return self._platform is not None and _same(_bearer(authorization), self._platform)

    async def allow(self, name: str, source: HttpPushSource, authorization: str | None) -> None:
        """Errors: Problem (401, or 503 when a token of the dataset is not to be had, which may be the one that was sent)."""
        given = _bearer(authorization)
        account = self._may_send(given, name)
        if account:
            return
        if account is None:
            raise later("who may send rows is not known yet: this ingest has not reached Kafka since it started")
        if not source.tokens and self._platform is None:
            detail = "this ingest has no push token, and the dataset none of its own"
            raise unauthorised(detail, "Set HEADRACE_PUSH_TOKEN and restart it, or give the dataset `tokens`.")
        own = await self._secrets.known(source.tokens)
        platform = [self._platform] if self._platform and (source.platform_token or not source.tokens) else []
        matches = [_same(given, token) for token in [*own, *platform] if token is not None]
        if any(matches):
            return
        if given and None in own:
            missing = [name for name, value in zip(source.tokens, own, strict=True) if value is None]
            raise unknown_secret(f"a token of the dataset is not to be had: {', '.join(missing)}")
        raise unauthorised(
            "the bearer token is missing or wrong",
            f"Send {'a token of the dataset' if source.tokens else 'the push token'} as `Authorization: Bearer ...`.",
        )

    async def webhook_secret(self, reference: str) -> SecretStr:
        """What the requests of a webhook are signed with. Errors: Problem (503)."""
        (found,) = await self._secrets.known([reference])
        if found is None:
            raise unknown_secret(f"the secret of the webhook is not to be had: {reference}")
        return found


def unknown_secret(detail: str) -> Problem:
    """Nobody is let in by a credential that is not known."""
    problem = later(detail)
    problem.body["next"] = "Set it with `headrace secret set NAME`; the request can be sent again then."
    return problem


def _bearer(authorization: str | None) -> str:
    scheme, _, given = (authorization or "").partition(" ")
    return given if scheme.lower() == "bearer" else ""


def _same(given: str, token: SecretStr) -> bool:
    return bool(given) and secrets.compare_digest(given.encode(), token.get_secret_value().encode())

"""Decides who has signed in at an OpenID provider: begun by one gateway, ended by any, once."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qs

from pydantic import SecretStr

from headrace.access.book import AccessBook
from headrace.access.topic import AccessChange
from headrace.connector.oauth import Authorization, code_of
from headrace.errors import Fatal
from services.gateway.adapters.access_desk import AccessDesk
from services.gateway.adapters.oidc import Provider
from services.gateway.adapters.oidc_attempts import Attempt, OidcAttempts
from services.gateway.core.oidc import (
    Account,
    GroupRole,
    RefusedSignInError,
    account,
    browser_secret,
    changes,
    check_admitted,
    check_issuer,
    local_path,
    verifier_of,
)

PATIENCE: Final = timedelta(minutes=10)  # for a person at the provider's form
_BY: Final = "sign-in"
_OVER: Final = "this sign-in was begun in another browser or too long ago, or it is done with: begin anew"


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun: where to send the browser, and the secret it keeps meanwhile."""

    url: str
    browser: SecretStr


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who has shown who they are, and where they wanted to go (a path of this gateway)."""

    principal_id: str
    after: str


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may sign in, and what groups may do."""

    groups_claim: str
    roles: Sequence[GroupRole]
    only_mapped: bool


class OidcSignIn:
    """Sign-in at one OpenID provider. Safe to share between threads."""

    def __init__(self, provider: Provider, attempts: OidcAttempts, access: AccessDesk, admission: Admission) -> None:
        self.provider = provider
        self._attempts = attempts
        self._access = access
        self._admission = admission

    def begin(self, after: str | None, cookie: str | None) -> Begun:
        """Send somebody to the provider; `cookie` is what their browser may keep already.

        Errors: Transient, Fatal; those of SQLAlchemy.
        """
        browser, now = browser_secret(cookie, secrets.token_urlsafe(32)), datetime.now(UTC)
        asked = self.provider.begun(browser)
        attempt = Attempt(asked.nonce, local_path(after))
        self._attempts.begin(asked.authorization.state.get_secret_value(), browser, attempt, now, now + PATIENCE)
        return Begun(asked.authorization.url, SecretStr(browser))

    def finish(self, query: str, browser: str) -> SignedIn:
        """Who has come back with this query, in the browser that keeps this secret.

        Errors: RefusedSignInError; Transient, Fatal; those of SQLAlchemy.
        """
        now = datetime.now(UTC)
        given = parse_qs(query)
        state = given.get("state", [""])[0]
        attempt = self._attempts.take(state, browser, now)
        if attempt is None:
            raise RefusedSignInError("sign-in-over", _OVER)
        settings = self.provider.settings
        check_issuer(given.get("iss", []), settings.issuer, self.provider.offer().tells_issuer)
        verifier = SecretStr(verifier_of(browser, attempt.nonce))
        authorization = Authorization("", settings.redirect_uri, SecretStr(state), verifier)
        claims = self.provider.claims(authorization, _code(authorization, query), attempt.nonce, int(now.timestamp()))
        somebody = account(claims, self._admission.groups_claim)
        self._admit(somebody, now)
        return SignedIn(somebody.principal_id, attempt.after)

    def _admit(self, somebody: Account, now: datetime) -> None:
        """See to it that they stand as the provider knows them. Nothing is written when they do already."""
        roles, only_mapped = self._admission.roles, self._admission.only_mapped

        def decide(book: AccessBook) -> Sequence[AccessChange]:
            check_admitted(somebody, roles, only_mapped, book)
            return changes(somebody, roles, book)

        if decide(self._access.book):
            self._access.change(_BY, now, decide)


def _code(authorization: Authorization, query: str) -> SecretStr:
    try:
        return code_of(authorization, f"{authorization.redirect_uri}?{query}")
    except Fatal as error:
        raise RefusedSignInError("sign-in-declined", str(error)) from error

"""What proves to an API who asks: a credential that stands, or a token that is asked for and replaced in time."""

import threading
from base64 import b64encode
from collections.abc import Callable
from typing import Final, Protocol

import httpx
from pydantic import SecretStr

from headrace.connector import Surroundings
from headrace.connector.http import Http, Signature
from headrace.connector.oauth import Client, Tokens, tokens
from headrace.errors import Transient
from headrace.secrets.reference import name_of, resolved
from services.ingest.connectors.rest.settings import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    ClientCredentialsAuth,
    NoAuth,
    OAuth2Client,
    RefreshTokenAuth,
)

_EARLY_S: Final = 30.0  # a token is replaced so long before it expires
_KEEPING_TRIES: Final = 5

_ROTATING: Final[dict[str, threading.Lock]] = {}
"""A refresh token is good once: of those in this process that have the same one, one at a time replaces it."""


class Authenticator(Protocol):
    """Signs requests."""

    def signature(self) -> Signature:
        """What goes with a request. Errors: Transient, Throttled, Fatal, Refused."""
        ...

    def renew(self) -> bool:
        """After the server took none of it: whether the next signature is another one."""
        ...


class Standing:
    """A credential that is good until a person replaces it."""

    def __init__(self, made: Callable[[], Signature]) -> None:
        self._made = made
        self._signature: Signature | None = None

    def signature(self) -> Signature:
        """See `Authenticator.signature`."""
        if self._signature is None:
            self._signature = self._made()
        return self._signature

    def renew(self) -> bool:
        """See `Authenticator.renew`."""
        before, self._signature = self._signature, self._made()
        return self._signature != before


class Token:
    """An access token, asked for when there is none, when it is about to expire, and when the server does not take it."""

    def __init__(self, http: Http, ask: Callable[[], Tokens]) -> None:
        self._http = http
        self._ask = ask
        self._signature: Signature | None = None
        self._until: float | None = None

    def signature(self) -> Signature:
        """See `Authenticator.signature`."""
        now = self._http.clock.monotonic()
        if self._signature is None or (self._until is not None and now >= self._until):
            found = self._ask()
            access = found.access.get_secret_value()
            lifetime = found.expires_in_s
            self._until = None if lifetime is None else now + max(lifetime - _EARLY_S, lifetime / 2)
            self._signature = _bearer(access)
        return self._signature

    def renew(self) -> bool:
        """See `Authenticator.renew`."""
        self._signature = None
        return True


def authenticator(auth: Auth, http: Http, surroundings: Surroundings) -> Authenticator:
    """The authenticator that a source is set to."""

    def value(reference: str) -> str:
        return resolved(reference, surroundings.secret).get_secret_value()

    match auth:
        case NoAuth():
            return Standing(Signature)
        case BasicAuth():
            return Standing(lambda: _basic(auth.user, value(auth.password)))
        case BearerAuth():
            return Standing(lambda: _bearer(value(auth.token)))
        case ApiKeyAuth():
            return Standing(lambda: _key(auth, value(auth.key)))
        case ClientCredentialsAuth():
            return Token(http, lambda: _by_client_credentials(auth, http, surroundings))
        case RefreshTokenAuth():
            return Token(http, lambda: _by_refresh_token(auth, http, surroundings))


def _basic(user: str, password: str) -> Signature:
    code = b64encode(f"{user}:{password}".encode()).decode()
    return Signature({"Authorization": f"Basic {code}"}, hidden=frozenset({code, password}))


def _bearer(token: str) -> Signature:
    return Signature({"Authorization": f"Bearer {token}"}, hidden=frozenset({token}))


def _key(auth: ApiKeyAuth, key: str) -> Signature:
    return Signature({auth.header: key}) if auth.header is not None else Signature(params={auth.param or "": key})


def _by_client_credentials(auth: ClientCredentialsAuth, http: Http, surroundings: Surroundings) -> Tokens:
    client = _client(auth, auth.client_secret, surroundings)
    return tokens(http, httpx.URL(auth.token_url), client, "client_credentials", {**_scope(auth), **auth.token_params})


def _by_refresh_token(auth: RefreshTokenAuth, http: Http, surroundings: Surroundings) -> Tokens:
    """New tokens for the refresh token. When it was replaced, that is durable before the access token is known to anybody.

    Who dies in between has lost nothing: whoever comes next finds the refresh token that is good by then.
    """
    name = name_of(auth.refresh_token) or ""
    with _ROTATING.setdefault(name, threading.Lock()):
        old = resolved(auth.refresh_token, surroundings.secret)
        client = _client(auth, auth.client_secret, surroundings)
        parameters = {"refresh_token": old.get_secret_value(), **_scope(auth)}
        found = tokens(http, httpx.URL(auth.token_url), client, "refresh_token", parameters)
        if found.refresh is not None and found.refresh != old:
            _keep(name, found.refresh, http, surroundings)
        return found


def _keep(name: str, value: SecretStr, http: Http, surroundings: Surroundings) -> None:
    """Replace a secret. The old value is good for nothing any more, so a store that cannot be reached is tried again."""
    for tried in range(_KEEPING_TRIES):
        try:
            return surroundings.keep_secret(name, value)
        except Transient:
            if tried + 1 == _KEEPING_TRIES:
                raise
            http.clock.sleep(2.0**tried)
    return None


def _client(auth: OAuth2Client, secret: str | None, surroundings: Surroundings) -> Client:
    found = resolved(secret, surroundings.secret) if secret is not None else None
    return Client(auth.client_id, found, auth.client_auth)


def _scope(auth: OAuth2Client) -> dict[str, str]:
    return {"scope": " ".join(auth.scopes)} if auth.scopes else {}

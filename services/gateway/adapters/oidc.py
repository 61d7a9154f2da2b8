"""Asks an OpenID provider: what it offers, for whom a code was made, and with which keys it signs."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import httpx
from authlib.common.security import generate_token  # type: ignore[import-untyped]
from authlib.oidc.discovery import get_well_known_url  # type: ignore[import-untyped]
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet, OctKey
from pydantic import SecretStr

from headrace.connector.http import Http, Limits, Refused
from headrace.connector.oauth import Authorization, Client, ClientMethod, begun, exchanged
from headrace.connector.targets import Targets
from headrace.errors import Fatal, Transient
from services.gateway.core.oidc import Algorithm, RefusedSignInError, checked, refused_token, trusted_url, verifier_of

T = TypeVar("T")

_EVERYWHERE: Final = Targets(
    tuple(map(ip_network, ("0.0.0.0/0", "::/0")))
)  # whoever runs the gateway names the provider
_LIMITS: Final = Limits(connect_s=5, idle_s=10, answer_s=15, wait_s=0, most_bytes=1_000_000)
_KEPT_S: Final = 3600  # what the provider offers, and its keys
_TURN_S: Final = 3
_PAUSE_S: Final = 2
_ASKED_EVERY_S: Final = 10  # at most, for a key that is not known: whoever sends tokens must not make us ask


@dataclass(frozen=True, slots=True)
class Offer:
    """What a provider offers, as its discovery document has it. `end_session`: where people sign out; empty when nowhere."""

    authorize: str
    token: str
    keys: str
    end_session: str
    tells_issuer: bool
    client_method: ClientMethod


@dataclass(frozen=True, slots=True)
class Asked:
    """A sign-in that was begun at the provider. A person opens the URL; the nonce comes back in their ID token."""

    authorization: Authorization
    nonce: str


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """How the gateway is known at the provider."""

    issuer: str
    client_id: str
    client_secret: SecretStr | None
    scopes: Sequence[str]
    algorithms: Sequence[Algorithm]
    redirect_uri: str


class Provider:
    """An OpenID provider. What it offers and its keys are asked for when they are needed. Safe to share between threads."""

    def __init__(self, settings: ProviderSettings, clock_s: Callable[[], float]) -> None:
        self.settings = settings
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._offer: tuple[float, Offer] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._failed: tuple[float, Transient] | None = None

    def begun(self, browser: str) -> Asked:
        """Begin a sign-in in a browser. Errors: Transient when the provider does not answer; Fatal when it is none."""
        settings, nonce = self.settings, generate_token(32)
        authorization = begun(
            self.offer().authorize,
            settings.client_id,
            settings.redirect_uri,
            settings.scopes,
            {"nonce": nonce},
            SecretStr(verifier_of(browser, nonce)),
        )
        return Asked(authorization, nonce)

    def claims(self, authorization: Authorization, code: SecretStr, nonce: str, now_s: int) -> Mapping[str, Any]:
        """The claims of the ID token that a code is good for. Errors: RefusedSignInError; Transient, Fatal."""
        offer = self.offer()
        client = Client(self.settings.client_id, self.settings.client_secret, offer.client_method)
        try:
            tokens = exchanged(_http(), httpx.URL(offer.token), client, authorization, code)
        except Refused as error:
            raise RefusedSignInError(
                "sign-in-code", f"the provider does not take the code: {error}; begin anew"
            ) from error
        if tokens.id is None:
            raise Fatal(f"{self.settings.issuer} gives no ID token; put openid into HEADRACE_OIDC_SCOPES")
        header, claims = self._signed(tokens.id.get_secret_value())
        return checked(
            claims,
            header,
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            nonce=nonce,
            access=tokens.access.get_secret_value(),
            now_s=now_s,
        )

    def offer(self) -> Offer:
        """What the provider offers. Errors: Transient, Fatal."""
        with self._turn():
            if self._offer is None or self._clock_s() - self._offer[0] > _KEPT_S:
                self._offer = (self._clock_s(), self._asked(lambda: _offer(self.settings.issuer)))
            return self._offer[1]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One asks at a time; the others do not wait for long: they would take all of the gateway's threads meanwhile."""
        if not self._lock.acquire(timeout=_TURN_S):
            raise Transient(f"{self.settings.issuer} does not answer yet: try again in a few seconds")
        try:
            yield
        finally:
            self._lock.release()

    def _asked(self, ask: Callable[[], T]) -> T:
        """The provider's answer. One that has just failed is not asked again at once: each who waited would wait once more."""
        if self._failed is not None and self._clock_s() < self._failed[0] + _PAUSE_S:
            raise Transient(str(self._failed[1]))
        try:
            answer = ask()
        except Transient as error:
            self._failed = (self._clock_s(), error)
            raise
        self._failed = None
        return answer

    def sign_out_url(self, back_to: str) -> str | None:
        """Where somebody ends their session at the provider, too; None when it has no such place. Errors: Transient, Fatal."""
        end = self.offer().end_session
        query = urlencode({"client_id": self.settings.client_id, "post_logout_redirect_uri": back_to})
        return f"{end}{'&' if '?' in end else '?'}{query}" if end else None

    def _signed(self, token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Header and claims of a token that the provider has signed. Errors: RefusedSignInError; Transient, Fatal."""
        allowed = self.settings.algorithms
        registry = jws.JWSRegistry(algorithms=list(allowed), strict_check_header=False)
        try:
            header = jws.extract_compact(token.encode()).headers()
            if header.get("alg") not in allowed:
                raise refused_token(
                    f"it is signed with {header.get('alg')!r}, and only {', '.join(allowed)} counts here"
                )
            found = jws.deserialize_compact(token, self._key(header), registry=registry)
            claims = json.loads(found.payload)
        except (JoseError, ValueError) as error:
            raise refused_token(str(error)) from error
        if not isinstance(claims, dict):
            raise refused_token("it holds no claims")
        return header, claims

    def _key(self, header: Mapping[str, Any]) -> Key:
        """The key that a token says it is signed with. Errors: RefusedSignInError; Transient, Fatal."""
        wanted = {"alg": header["alg"], "use": "sig"}
        for newest in (False, True):
            try:
                return self._known_keys(newest).get_by_kid(header.get("kid"), wanted)  # type: ignore[arg-type]
            except (JoseError, ValueError):
                continue
        raise refused_token(f"the provider has no key {header.get('kid')!r}")

    def _known_keys(self, newest: bool) -> KeySet:
        url = self.offer().keys
        with self._turn():
            most_s = _ASKED_EVERY_S if newest else _KEPT_S
            if self._keys is None or self._clock_s() - self._keys[0] > most_s:
                self._keys = (self._clock_s(), self._asked(lambda: _keys(url)))
            return self._keys[1]


def _offer(issuer: str) -> Offer:
    """Source: OpenID Connect Discovery 1.0. Errors: Transient, Fatal."""
    found = _object(get_well_known_url(issuer, external=True))
    if found.get("issuer") != issuer:
        raise Fatal(f"the provider calls itself {found.get('issuer')!r}, not {issuer!r}: correct HEADRACE_OIDC_ISSUER")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not trusted_url(str(found.get(name, ""))):
            raise Fatal(f"the provider {issuer} names no {name} that is asked by https")
    end = str(found.get("end_session_endpoint") or "")
    methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Offer(
        found["authorization_endpoint"],
        found["token_endpoint"],
        found["jwks_uri"],
        end if trusted_url(end) else "",
        found.get("authorization_response_iss_parameter_supported") is True,
        "basic" if "client_secret_basic" in methods else "post",
    )


def _keys(url: str) -> KeySet:
    """The provider's public keys, without what is no public key or is damaged. Errors: Transient, Fatal."""
    listed = _object(url).get("keys")
    keys: list[Key] = []
    for each in listed if isinstance(listed, list) else []:
        try:
            key = JWKRegistry.import_key(each)
        except (JoseError, ValueError, TypeError):
            continue  # a kind of key that nobody here knows
        if not isinstance(key, OctKey):
            keys.append(key)
    if not keys:
        raise Fatal(f"{url} has no public key")
    return KeySet(keys)


def _object(url: str) -> dict[str, Any]:
    answer = _http().ask("GET", httpx.URL(url))
    try:
        found = json.loads(answer.body)
    except ValueError as error:
        raise Transient(f"{url} answers with what is no JSON") from error
    if not isinstance(found, dict):
        raise Transient(f"{url} answers with what is no JSON object")
    return found


def _http() -> Http:
    """One for each question, for it belongs to a thread."""
    return Http(_EVERYWHERE, _LIMITS)

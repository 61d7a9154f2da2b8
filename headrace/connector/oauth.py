"""OAuth2 as a client: tokens from a token endpoint, and the authorization code flow with PKCE.

Source: RFC 6749, RFC 7636 (PKCE, S256 only), RFC 8252 (loopback redirects).
"""

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

import httpx
from authlib.common.security import generate_token  # type: ignore[import-untyped]
from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped]
    prepare_grant_uri,
    prepare_token_request,
)
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from pydantic import SecretStr

from headrace.connector.http import Answer, Http, Refused, Signature, granted, shown
from headrace.errors import Fatal

ClientMethod = Literal["basic", "post"]
_METHODS: Final = {"basic": "client_secret_basic", "post": "client_secret_post"}
_VERIFIER_CHARACTERS: Final = 64  # RFC 7636 wants 43 to 128


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks for tokens. Without a secret it is a public client, which only names itself."""

    id: str
    secret: SecretStr | None = None
    method: ClientMethod = "basic"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint gave; `id` is an ID token of OpenID Connect, which nobody has looked at. Units: seconds."""

    access: SecretStr
    expires_in_s: float | None = None
    refresh: SecretStr | None = None
    id: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Authorization:
    """An authorization that was begun. A person opens `url`; the rest is kept until they come back to `redirect_uri`."""

    url: str = field(repr=False)
    redirect_uri: str
    state: SecretStr
    verifier: SecretStr


def tokens(http: Http, token_url: httpx.URL, client: Client, grant: str, parameters: Mapping[str, str]) -> Tokens:
    """Tokens for a grant. Redirects are not followed. Errors: Transient, Throttled; Fatal, Refused when it is not granted."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body: str = prepare_token_request(grant, **parameters)
    secret = client.secret.get_secret_value() if client.secret is not None else None
    method = "none" if secret is None else _METHODS[client.method]
    try:
        _, headers, body = ClientAuth(client.id, secret, method).prepare("POST", str(token_url), headers, body)
    except UnicodeEncodeError:
        raise Fatal("the client secret has a character that HTTP Basic does not allow; set client_auth: post") from None
    authorization = {name: value for name, value in headers.items() if name == "Authorization"}
    hidden = {secret, *(parameters.get(name) for name in ("refresh_token", "code", "code_verifier"))}
    signature = Signature(authorization, hidden=frozenset(text for text in hidden if text))
    answer = http.exchange(
        "POST",
        token_url,
        headers={"Content-Type": headers["Content-Type"]},
        content=body.encode(),
        signature=signature,
        redirects=0,
    )
    return _tokens(answer, signature)


def begun(
    authorize_url: str,
    client_id: str,
    redirect_uri: str,
    scopes: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
    verifier: SecretStr | None = None,
) -> Authorization:
    """Begin an authorization: the URL for a person's browser, with a state and an S256 challenge made for it alone.

    `verifier` is one that was made for it elsewhere, of 43 to 128 characters.
    """
    state, verifier = SecretStr(generate_token(32)), verifier or SecretStr(generate_token(_VERIFIER_CHARACTERS))
    url = prepare_grant_uri(
        authorize_url,
        client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=" ".join(scopes),
        state=state.get_secret_value(),
        code_challenge=create_s256_code_challenge(verifier.get_secret_value()),
        code_challenge_method="S256",
        **(parameters or {}),
    )
    return Authorization(url, redirect_uri, state, verifier)


def belongs(authorization: Authorization, callback: str) -> bool:
    """Whether a URL that a browser was sent back to answers this authorization, and not another one."""
    state = _answered(callback).get("state", "")
    return hmac.compare_digest(state.encode(), authorization.state.get_secret_value().encode())


def code_of(authorization: Authorization, callback: str) -> SecretStr:
    """The code in the URL that the person's browser was sent back to.

    Errors: Fatal when it answers another authorization than this, or the person or the server declined.
    """
    found = _answered(callback)
    if not belongs(authorization, callback):
        raise Fatal("the answer does not belong to this authorization (its state is another): begin anew")
    if error := found.get("error"):
        raise Fatal(f"the authorization was declined: {error[:60]} {found.get('error_description', '')[:300]}".rstrip())
    if not (code := found.get("code")):
        raise Fatal("the answer has no code: begin anew")
    return SecretStr(code)


def _answered(callback: str) -> dict[str, str]:
    """What a callback says; what it says twice, it does not say."""
    found = parse_qs(urlsplit(callback).query)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def exchanged(
    http: Http, token_url: httpx.URL, client: Client, authorization: Authorization, code: SecretStr
) -> Tokens:
    """The tokens for a code. A code is good once. Errors: Transient, Throttled; Fatal, Refused when it is not granted."""
    parameters = {
        "code": code.get_secret_value(),
        "redirect_uri": authorization.redirect_uri,
        "code_verifier": authorization.verifier.get_secret_value(),
    }
    return tokens(http, token_url, client, "authorization_code", parameters)


def _tokens(answer: Answer, signature: Signature) -> Tokens:
    at = shown(answer.url)
    found = _object(answer.body)
    if error := found.get("error"):
        said = signature.hide(f"{str(error)[:60]} {str(found.get('error_description') or '')[:300]}").rstrip()
        if answer.status < 500:
            raise Refused(f"{at} gives no token: {said}", answer.status)
    granted(answer, signature)
    access, kind = found.get("access_token"), str(found.get("token_type", "bearer"))
    if not isinstance(access, str) or not access:
        has = (
            f"only {', '.join(sorted(found))[:200]}" if found else "no JSON object"
        )  # never values: one may be a token
        raise Fatal(f"{at} answers without an access_token, {has}; correct the token URL")
    if kind.lower() != "bearer":
        raise Fatal(f"{at} gives a token of type {kind[:30]!r}; only bearer tokens can be used")
    lifetime = str(found.get("expires_in"))
    return Tokens(
        SecretStr(access),
        float(lifetime) if re.fullmatch(r"\d{1,12}(\.\d+)?", lifetime) else None,
        _secret(found.get("refresh_token")),
        _secret(found.get("id_token")),
    )


def _secret(value: object) -> SecretStr | None:
    return SecretStr(value) if isinstance(value, str) and value else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

"""An OAuth2 server on loopback, authlib's: it checks PKCE and clients, and a refresh token is good once."""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from authlib.common.security import generate_token  # type: ignore[import-untyped]
from authlib.oauth2 import AuthorizationServer, OAuth2Request  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749 import (  # type: ignore[import-untyped]
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    ClientMixin,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload  # type: ignore[import-untyped]
from authlib.oauth2.rfc6750 import BearerTokenGenerator  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import CodeChallenge  # type: ignore[import-untyped]

from tests.unit.ingest.rest_api import Reply, Request

CLIENT, CLIENT_SECRET, PUBLIC = "headrace", "client-secret-canary", "headrace-public"
REDIRECT = "http://127.0.0.1:8765/callback"


@dataclass(frozen=True)
class Client(ClientMixin):  # type: ignore[misc]
    """A registered client; without a secret a public one."""

    client_id: str
    secret: str = ""

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return REDIRECT

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whatever its port is: RFC 8252, section 7.3."""
        return re.sub(r":\d+/", ":8765/", redirect_uri, count=1) == REDIRECT

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(self.secret) and client_secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in (("client_secret_basic", "client_secret_post") if self.secret else ("none",))

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type != "client_credentials" or bool(self.secret)


@dataclass
class Code:
    """An authorization code, or a refresh token, and what it is bound to."""

    text: str
    client_id: str
    scope: str
    redirect_uri: str = ""
    code_challenge: str | None = None
    code_challenge_method: str | None = None

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, request: Request, base: str) -> None:
        super().__init__(request.method, f"{base}{request.path}?{urlencode(request.query)}", headers=None)
        self.headers = {name.title(): value for name, value in request.headers.items()}
        self._query, self._form = dict(request.query), request.form
        self.payload = BasicOAuth2Payload({**self._query, **self._form})

    @property
    def args(self) -> dict[str, str]:
        return self._query

    @property
    def form(self) -> dict[str, str]:
        return self._form


@dataclass
class State:
    """What the server has given out."""

    codes: dict[str, Code] = field(default_factory=dict)
    refresh_tokens: dict[str, Code] = field(default_factory=dict)
    spent: set[str] = field(default_factory=set)
    access_tokens: set[str] = field(default_factory=set)
    asked: int = 0


class OAuthServer(AuthorizationServer):  # type: ignore[misc]
    """`token` and `authorize` are the two endpoints. `lifetime_s` is that of access tokens."""

    def __init__(self, lifetime_s: int = 3600) -> None:
        super().__init__()
        self.state = State()
        self.base = "http://127.0.0.1"
        state = self.state

        class Codes(AuthorizationCodeGrant):  # type: ignore[misc]
            TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")

            def save_authorization_code(self, code: str, request: Any) -> None:
                data = request.payload.data
                state.codes[code] = Code(
                    code,
                    request.client.client_id,
                    data.get("scope", ""),
                    data.get("redirect_uri", ""),
                    data.get("code_challenge"),
                    data.get("code_challenge_method"),
                )

            def query_authorization_code(self, code: str, client: Client) -> Code | None:
                found = state.codes.get(code)
                return found if found and found.check_client(client) else None

            def delete_authorization_code(self, authorization_code: Code) -> None:
                del state.codes[authorization_code.text]

            def authenticate_user(self, authorization_code: Code) -> str:
                return "a person"

        class Refreshes(RefreshTokenGrant):  # type: ignore[misc]
            TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")
            INCLUDE_NEW_REFRESH_TOKEN = True

            def authenticate_refresh_token(self, refresh_token: str) -> Code | None:
                return state.refresh_tokens.get(refresh_token)

            def authenticate_user(self, refresh_token: Code) -> str:
                return "a person"

            def revoke_old_credential(self, refresh_token: Code) -> None:
                state.spent.add(refresh_token.text)
                del state.refresh_tokens[refresh_token.text]

        self.register_grant(Codes, [CodeChallenge(required=True)])
        self.register_grant(Refreshes)
        self.register_grant(
            type("Own", (ClientCredentialsGrant,), {"TOKEN_ENDPOINT_AUTH_METHODS": Codes.TOKEN_ENDPOINT_AUTH_METHODS})
        )
        self.register_token_generator(
            "default",
            BearerTokenGenerator(
                lambda **_: f"access-canary-{generate_token(12)}",
                lambda **_: f"refresh-canary-{generate_token(12)}",
                lambda *_: lifetime_s,
            ),
        )  # fmt: skip

    def query_client(self, client_id: str) -> Client | None:
        return {CLIENT: Client(CLIENT, CLIENT_SECRET), PUBLIC: Client(PUBLIC)}.get(client_id)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        self.state.access_tokens.add(token["access_token"])
        if refresh := token.get("refresh_token"):
            self.state.refresh_tokens[refresh] = Code(refresh, request.client.client_id, token.get("scope", ""))

    def create_oauth2_request(self, request: Request) -> _Request:
        return _Request(request, self.base)

    def handle_response(self, status: int, body: Any, headers: Any) -> Reply:
        content = (
            body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        )
        return Reply(content, status, dict(headers))

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def token(self, request: Request) -> Reply:
        """The token endpoint."""
        self.state.asked += 1
        reply: Reply = self.create_token_response(request)
        return reply

    def authorize(self, request: Request) -> Reply:
        """The authorization endpoint, of a person who agrees."""
        asked = self.create_oauth2_request(request)
        grant = self.get_authorization_grant(asked)
        reply: Reply = self.create_authorization_response(asked, "a person", grant)
        return reply

    def first_refresh_token(self, client_id: str = CLIENT) -> str:
        """One that was given out."""
        text = f"refresh-canary-{generate_token(12)}"
        self.state.refresh_tokens[text] = Code(text, client_id, "")
        return text

    def takes(self, request: Request) -> bool:
        """Whether an API may answer."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return kind == "Bearer" and token in self.state.access_tokens

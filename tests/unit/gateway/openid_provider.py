"""An OpenID provider on loopback that does as it is told: it signs whatever claims a test wants, with whatever key."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

CLIENT = "headrace"
SECRET = "the-secret-of-the-client"  # of a test
KEY = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
ED_KEY = OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"})
ALICE = {"sub": "alice-1", "name": "Alice", "email": "alice@example.org", "groups": ["/nyc"]}


def signed(claims: dict[str, Any], key: Key = KEY, alg: str = "RS256") -> str:
    """A token, as an honest provider makes it."""
    return jwt.encode({"alg": alg, "kid": key.kid}, claims, key, algorithms=[alg])


@dataclass
class OpenidProvider:
    """What it knows, and how it misbehaves. `sign` makes the ID token of its claims; `more` goes over the claims."""

    url: str = ""
    user: dict[str, Any] = field(default_factory=lambda: dict(ALICE))
    more: dict[str, Any] = field(default_factory=dict)
    sign: Callable[[dict[str, Any]], str] = signed
    keys: list[Key] = field(default_factory=lambda: [KEY])
    metadata: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def authorize(self, url: str, **more: str) -> str:
        """What a person's browser is sent back to when it has opened the URL and the person has agreed."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (query["response_type"], query["client_id"], query["code_challenge_method"]) == ("code", CLIENT, "S256")
        code = f"code-{next(self.numbers)}"
        self.codes[code] = query
        back = {"code": code, "state": query["state"], **more}
        return f"{query['redirect_uri']}?{urlencode(back)}"

    def answer(self, method: str, path: str, body: str) -> tuple[int, Any]:
        """Status and body."""
        self.asked.append(path)
        match method, path:
            case "GET", "/.well-known/openid-configuration":
                return 200, {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/jwks",
                    "end_session_endpoint": f"{self.url}/logout",
                } | self.metadata
            case "GET", "/jwks":
                return 200, {"keys": [key.as_dict(private=key.key_type == "oct") for key in self.keys]}
            case "POST", "/token":
                return self._token({name: values[0] for name, values in parse_qs(body).items()})
        return 404, {}

    def _token(self, form: dict[str, str]) -> tuple[int, Any]:
        asked = self.codes.pop(form["code"], None)
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        )
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": "the code is not good"}
        now = int(time.time())
        claims = (
            {"iss": self.url, "aud": CLIENT, "nonce": asked["nonce"], "iat": now, "exp": now + 300}
            | self.user
            | self.more
        )
        token = self.sign({name: value for name, value in claims.items() if value is not None})
        return 200, {"access_token": "an-access-token", "token_type": "Bearer", "id_token": token}


@contextmanager
def provided() -> Iterator[OpenidProvider]:
    """A provider while it is served."""
    provider = OpenidProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say("GET", "")

        def do_POST(self) -> None:
            self._say("POST", self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _say(self, method: str, body: str) -> None:
            status, found = provider.answer(method, self.path, body)
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

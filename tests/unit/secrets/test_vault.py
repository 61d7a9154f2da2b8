"""A master key in Vault's Transit engine, against a stand-in for Vault.

The stand-in speaks the three calls that are used (read the key, encrypt, decrypt) as Vault's documentation has them; it is not
Vault, and proves nothing of it.
"""

import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from headrace.errors import Fatal, HeadraceError, Transient
from headrace.secrets.cipher import decrypted, encrypted
from headrace.secrets.envelope import opened, rewrap, seal
from headrace.secrets.vault import Transit

TOKEN = "the-token-for-vault"
PLAIN = b"hunter2-hunter2"


class StandIn(ThreadingHTTPServer):
    """One key with versions that are made by `rotate`. `fails` is answered instead of all, when set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Call)
        self.versions = [b"1" * 32]
        self.fails: int | None = None
        self.bodies: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def rotate(self) -> None:
        self.versions.append(str(len(self.versions) + 1).encode() * 32)


class Call(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        if self.path == "/v1/transit/keys/headrace":
            self.answer(200, {"data": {"name": "headrace", "latest_version": len(self.server.versions)}})
        else:
            self.answer(404, {"errors": []})

    def do_PUT(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.bodies.append(text)
        body = json.loads(text)
        match self.path:
            case "/v1/transit/encrypt/headrace":
                version = body["key_version"]
                sealed = encrypted(self.server.versions[version - 1], b64decode(body["plaintext"]), b"")
                self.answer(200, {"data": {"ciphertext": f"vault:v{version}:{b64encode(sealed).decode()}"}})
            case "/v1/transit/decrypt/headrace":
                _, version, sealed = body["ciphertext"].split(":")
                try:
                    plain = decrypted(self.server.versions[int(version[1:]) - 1], b64decode(sealed), b"")
                except Fatal:
                    self.answer(400, {"errors": ["cipher: message authentication failed"]})
                else:
                    self.answer(200, {"data": {"plaintext": b64encode(plain).decode()}})
            case _:
                self.answer(404, {"errors": []})

    def answer(self, status: int, body: object) -> None:
        if self.server.fails is not None:
            status, body = self.server.fails, {"errors": ["as the test wants it"]}
        elif self.headers["X-Vault-Token"] != TOKEN:
            status, body = 403, {"errors": ["permission denied"]}
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def vault() -> Iterator[StandIn]:
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def transit(vault: StandIn, token: str = TOKEN, mount: str = "transit", key: str = "headrace") -> Transit:
    return Transit(vault.url, SecretStr(token), mount, key)


def test_what_was_sealed_opens_and_the_master_key_wraps_only_the_data_key(vault: StandIn) -> None:
    sealed = seal(transit(vault), "shop.password", 1, PLAIN)
    assert sealed.key_id == "headrace.v1"
    assert opened(transit(vault), "shop.password", sealed).get_secret_value() == PLAIN
    assert not any(b64encode(PLAIN).decode() in body or PLAIN.decode() in body for body in vault.bodies)


def test_a_key_rotated_in_vault_is_current_and_the_former_one_opens(vault: StandIn) -> None:
    keys = transit(vault)
    sealed = seal(keys, "shop.password", 1, PLAIN)
    assert rewrap(keys, sealed) is sealed
    vault.rotate()
    again = rewrap(keys, sealed)
    assert (again.key_id, again.payload) == ("headrace.v2", sealed.payload)
    assert {opened(keys, "shop.password", each).get_secret_value() for each in (sealed, again)} == {PLAIN}


def test_a_wrapped_key_is_bound_to_its_context(vault: StandIn) -> None:
    keys = transit(vault)
    wrapped = keys.wrap("headrace.v1", b"k" * 32, b"this")
    assert keys.unwrap("headrace.v1", wrapped, b"this") == b"k" * 32
    with pytest.raises(Fatal, match="another name or version"):
        keys.unwrap("headrace.v1", wrapped, b"that")


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_vault_that_fails_is_waited_for(vault: StandIn, status: int) -> None:
    vault.fails = status
    with pytest.raises(Transient, match="as the test wants it"):
        _ = transit(vault).current


def test_a_vault_that_is_not_there_is_waited_for() -> None:
    with pytest.raises(Transient, match="does not answer"):
        _ = Transit("http://127.0.0.1:1", SecretStr(TOKEN), "transit", "headrace").current


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"token": "wrong"}, "permission denied"),
        ({"mount": "elsewhere"}, "HEADRACE_VAULT"),
        ({"key": "other"}, "HEADRACE_VAULT"),
    ],
)
def test_what_a_person_has_to_correct_is_fatal(vault: StandIn, settings: dict[str, str], said: str) -> None:
    with pytest.raises(Fatal, match=said) as raised:
        _ = transit(vault, **settings).current
    assert_hides(raised.value, vault)


def test_a_damaged_key_is_fatal_and_shows_nothing(vault: StandIn) -> None:
    keys = transit(vault)
    wrapped = keys.wrap("headrace.v1", b"k" * 32, b"this")
    with pytest.raises(Fatal, match="authentication failed") as raised:
        keys.unwrap("headrace.v1", wrapped[:-8] + b"AAAAAAA=", b"this")
    assert_hides(raised.value, vault)


def test_a_secret_of_another_master_key_is_named_so(vault: StandIn) -> None:
    with pytest.raises(Fatal, match="2026-11"):
        transit(vault).unwrap("2026-11", b"x", b"this")


def assert_hides(error: HeadraceError, vault: StandIn) -> None:
    behind: BaseException | None = error
    while behind is not None:
        said = f"{behind} {behind!r} {vars(behind)}"
        assert TOKEN not in said
        assert b64encode(b"k" * 32).decode()[:20] not in said
        behind = behind.__cause__ or behind.__context__

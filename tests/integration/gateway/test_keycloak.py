"""Sign-in at Keycloak, whole: its form, its tokens, its groups, two gateways over one database, and the session after it."""

import html
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from deploy.local import keycloak, processes
from deploy.local.ports import free_port
from deploy.local.settings import HOST, StackSettings
from services.gateway.bootstrap import build, oidc_sign_in, serve
from services.gateway.gateway import Gateway
from services.gateway.settings import GatewaySettings
from tests.stack import eventually
from tests.unit.gateway.accesses import with_memory

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("HEADRACE_TEST_LONG"), reason="Keycloak takes a minute to start: HEADRACE_TEST_LONG=1"
    ),
    pytest.mark.timeout(600),
]

PASSWORD = SecretStr("the-administrator-of-keycloak")
SECRET = "the-secret-of-the-gateway"  # of a test
ADMIN = "an-admin-token-of-a-test"
GATEWAY = "https://gateway.test"
START = "/api/v1/sign-in/oidc"
REALM: dict[str, Any] = {
    "realm": "data",
    "enabled": True,
    "groups": [{"name": "nyc"}, {"name": "admins"}],
    "users": [
        {
            "username": name,
            "enabled": True,
            "firstName": name.title(),
            "lastName": "Example",
            "email": f"{name}@example.org",
            "emailVerified": True,
            "groups": groups,
            "credentials": [{"type": "password", "value": f"password-of-{name}"}],
        }
        for name, groups in (("alice", ["/nyc"]), ("bob", []), ("carol", ["/nyc"]))
    ],
    "clients": [
        {
            "clientId": "headrace",
            "secret": SECRET,
            "redirectUris": [f"{GATEWAY}/api/v1/sign-in/oidc/callback"],
            "attributes": {"pkce.code.challenge.method": "S256", "post.logout.redirect.uris": f"{GATEWAY}/sign-in"},
            "protocolMappers": [
                {
                    "name": "groups",
                    "protocol": "openid-connect",
                    "protocolMapper": "oidc-group-membership-mapper",
                    "config": {"claim.name": "groups", "full.path": "true", "id.token.claim": "true"},
                }
            ],
        }
    ],
}


class Keycloak:
    """A Keycloak that runs, asked as its administrator."""

    def __init__(self, url: str) -> None:
        self.issuer = f"{url}/realms/data"
        self._url = url
        form = {"client_id": "admin-cli", "grant_type": "password", "username": keycloak.ADMIN}
        token = httpx.post(
            f"{url}/realms/master/protocol/openid-connect/token",
            data=form | {"password": PASSWORD.get_secret_value()},
            timeout=60,
        )
        self._admin = httpx.Client(
            base_url=f"{url}/admin/realms",
            headers={"Authorization": f"Bearer {token.raise_for_status().json()['access_token']}"},
            timeout=60,
        )

    def make_realm(self) -> None:
        self._admin.post("", json=REALM).raise_for_status()

    def drop_group(self, user: str) -> None:
        """Take somebody out of their groups."""
        identity = self._admin.get("/data/users", params={"username": user}).json()[0]["id"]
        for group in self._admin.get(f"/data/users/{identity}/groups").json():
            self._admin.delete(f"/data/users/{identity}/groups/{group['id']}").raise_for_status()

    def close(self) -> None:
        self._admin.close()


@contextmanager
def running(home: Path) -> Iterator[str]:
    """A Keycloak of its own: its URL."""
    port = free_port()
    component = keycloak.component(StackSettings().cache, home, port, PASSWORD)
    component.prepare()
    started = processes.spawn(component)
    try:
        eventually(
            lambda: processes.alive(started) is None or component.ready(), 300, f"Keycloak is ready ({component.log})"
        )
        assert processes.alive(started), component.log.read_text()[-2000:]
        yield f"http://{HOST}:{port}"
    finally:
        processes.kill(started)  # it keeps nothing


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    with running(tmp_path_factory.mktemp("keycloak") / "home") as url:
        found = Keycloak(url)
        found.make_realm()
        yield found
        found.close()


def a_gateway(folder: Path, provider: Keycloak, **more: Any) -> Gateway:
    settings = {
        "gateway_admin_token": SecretStr(ADMIN),
        "data_dir": folder,
        "bootstrap_servers": f"{HOST}:1",
        "gateway_public_url": GATEWAY,
        "oidc_issuer": provider.issuer,
        "oidc_client_secret": SecretStr(SECRET),
        "oidc_group_roles": {"/nyc": ["analyst@domain:nyc"]},
    }
    told = GatewaySettings.model_validate(settings | more)
    gateway = with_memory(build(told), ADMIN)
    return replace(gateway, oidc=oidc_sign_in(told, gateway.engine, gateway.access))


@pytest.fixture
def gateway(tmp_path: Path, provider: Keycloak) -> Gateway:
    return a_gateway(tmp_path, provider)


def a_page() -> httpx.Client:
    """A person's browser as Keycloak sees it. On this machine browsers send `Secure` cookies over http, too."""
    client = httpx.Client(timeout=60)

    def send_all(request: httpx.Request) -> None:
        request.headers["Cookie"] = "; ".join(f"{each.name}={each.value}" for each in client.cookies.jar)

    client.event_hooks = {"request": [send_all], "response": []}
    return client


def browser_of(gateway: Gateway) -> TestClient:
    return TestClient(serve(gateway), base_url=GATEWAY, follow_redirects=False)


def fill_in(page: httpx.Client, url: str, name: str, password: str | None = None) -> str:
    """Open the form, fill it in and send it: where the browser is sent next; "" when the form comes again."""
    form = page.get(url)
    found = re.search(r'<form[^>]*id="kc-form-login"[^>]*action="([^"]+)"', form.text)
    assert found, form.text[:2000]
    filled = {"username": name, "password": password or f"password-of-{name}"}
    answer = page.post(html.unescape(found[1]), data=filled)
    assert "cookie not found" not in answer.text.lower()
    return str(answer.headers.get("location", ""))


@pytest.fixture
def page() -> Iterator[httpx.Client]:
    with a_page() as client:
        yield client


def test_somebody_signs_in_with_their_groups_at_one_gateway_and_comes_back_to_another(
    gateway: Gateway, provider: Keycloak, page: httpx.Client
) -> None:
    first, second = browser_of(gateway), browser_of(gateway)
    back = fill_in(page, first.get(START, params={"after": "/sign-in"}).headers["location"], "alice")
    assert parse_qs(urlsplit(back).query)["iss"] == [provider.issuer]  # Keycloak tells (RFC 9207)
    second.cookies = first.cookies
    ended = second.get(back)
    assert (ended.status_code, ended.headers["location"]) == (HTTPStatus.SEE_OTHER, "/sign-in"), ended.text
    who = second.get("/api/v1/session").json()
    assert (who["name"], who["email"], who["groups"]) == ("Alice Example", "alice@example.org", ["/nyc"])
    assert [(grant["role"], grant["scope"]) for grant in who["grants"]] == [("analyst", "domain:nyc")]
    assert first.get(back).status_code == HTTPStatus.BAD_REQUEST  # once


def test_the_answer_of_one_browser_is_worth_nothing_in_another(gateway: Gateway, page: httpx.Client) -> None:
    mine, theirs = browser_of(gateway), browser_of(gateway)
    back = fill_in(page, mine.get(START).headers["location"], "bob")
    theirs.get(START)
    assert theirs.get(back).json()["type"] == "urn:headrace:problem:sign-in-over"
    assert theirs.get("/api/v1/session").status_code == HTTPStatus.UNAUTHORIZED
    assert mine.get(back).status_code == HTTPStatus.SEE_OTHER
    assert mine.get("/api/v1/session").json()["grants"] == []


def test_a_wrong_password_does_not_come_back(gateway: Gateway, page: httpx.Client) -> None:
    browser = browser_of(gateway)
    assert fill_in(page, browser.get(START).headers["location"], "alice", "wrong") == ""


def test_another_algorithm_than_the_one_that_is_set_does_not_count(
    tmp_path: Path, provider: Keycloak, page: httpx.Client
) -> None:
    browser = browser_of(a_gateway(tmp_path, provider, oidc_algorithms=["ES256"]))
    refused = browser.get(fill_in(page, browser.get(START).headers["location"], "bob"))
    assert (refused.status_code, refused.json()["type"]) == (
        HTTPStatus.BAD_REQUEST,
        "urn:headrace:problem:sign-in-token",
    )


def test_a_wrong_client_secret_is_said(tmp_path: Path, provider: Keycloak, page: httpx.Client) -> None:
    browser = browser_of(a_gateway(tmp_path, provider, oidc_client_secret=SecretStr("wrong")))
    refused = browser.get(fill_in(page, browser.get(START).headers["location"], "bob"))
    assert refused.status_code == HTTPStatus.BAD_REQUEST
    assert "unauthorized_client" in refused.json()["detail"]


def test_only_groups_with_roles_when_it_is_set_so_and_a_group_that_is_left_counts_no_more(
    tmp_path: Path, provider: Keycloak, page: httpx.Client
) -> None:
    browser = browser_of(a_gateway(tmp_path, provider, oidc_who="mapped"))
    assert (
        browser.get(fill_in(page, browser.get(START).headers["location"], "carol")).status_code == HTTPStatus.SEE_OTHER
    )
    provider.drop_group("carol")
    with a_page() as later:
        refused = browser.get(fill_in(later, browser.get(START).headers["location"], "carol"))
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (
        HTTPStatus.FORBIDDEN,
        "sign-in-not-admitted",
    )


def test_one_signs_out_there_too(gateway: Gateway, page: httpx.Client) -> None:
    browser = browser_of(gateway)
    out = browser.get(f"{START}/sign-out").headers["location"]
    assert page.get(out).headers["location"] == f"{GATEWAY}/sign-in"  # nobody is signed in there: back at once
    fill_in(page, browser.get(START).headers["location"], "bob")
    assert page.get(out).status_code == HTTPStatus.OK  # it asks

"""A person authorizes a source: against a real OAuth2 server, which checks PKCE, by a browser that comes back."""

import json
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from typer.testing import Result

from tests.unit.cli.gateway_double import GatewayDouble
from tests.unit.ingest.oauth_server import CLIENT, CLIENT_SECRET, PUBLIC, OAuthServer
from tests.unit.ingest.rest_api import Api, Reply, Request, served

Program = Callable[..., Result]
NAME = "shop.refresh"


@pytest.fixture
def oauth() -> OAuthServer:
    return OAuthServer()


@pytest.fixture
def server(oauth: OAuthServer) -> Iterator[Api]:
    with served(Api()) as found:
        found.more = {"/token": oauth.token, "/authorize": oauth.authorize}
        oauth.base = found.url
        yield found


class Browser:
    """Goes where it is sent, once; `first` is where it goes before."""

    def __init__(self) -> None:
        self.visited: list[str] = []
        self.answers: list[httpx.Response] = []
        self.first: Callable[[str], str] | None = None

    def __call__(self, url: str) -> bool:
        self.visited.append(url)
        if self.first is not None:
            self.answers.append(httpx.get(self.first(url), timeout=30))
        self.answers.append(httpx.get(url, follow_redirects=True, timeout=30))
        return True


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    found = Browser()
    monkeypatch.setattr("headrace.cli.authorize.webbrowser.open", found)
    return found


def options(server: Api, client: str = PUBLIC, *more: str) -> list[str]:
    where = [
        "--authorization-url",
        f"{server.url}/authorize",
        "--token-url",
        f"{server.url}/token",
        "--client-id",
        client,
    ]
    return ["source", "authorize", NAME, *where, "--patience", "30", *more]


def test_the_refresh_token_becomes_a_secret_and_is_shown_nowhere(
    run: Program, gateway: GatewayDouble, oauth: OAuthServer, server: Api, browser: Browser
) -> None:
    result = run(*options(server, PUBLIC, "--scope", "read", "--scope", "more", "--open", "-o", "json"))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["name"] == NAME
    (kept,) = oauth.state.refresh_tokens
    assert gateway.secrets == {NAME: kept}
    assert "canary" not in result.output
    asked = parse_qs(urlsplit(browser.visited[0]).query)
    assert (asked["scope"], asked["code_challenge_method"]) == (["read more"], ["S256"])
    assert asked["redirect_uri"][0].startswith("http://127.0.0.1:")
    assert browser.answers[-1].status_code == 200
    assert browser.visited[0] in result.stderr, "it is printed, too, for another browser"


def test_without_open_no_browser_is_opened(
    run: Program, gateway: GatewayDouble, server: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand = Browser()
    monkeypatch.setattr("headrace.cli.authorize.typer.echo", lambda url, err: by_hand(url))
    assert run(*options(server)).exit_code == 0
    assert browser.visited == []
    assert list(gateway.secrets) == [NAME]


def test_a_client_with_a_secret_is_asked_for_it(
    run: Program, gateway: GatewayDouble, server: Api, browser: Browser
) -> None:
    for more in ([], ["--client-auth-post"]):
        result = run(*options(server, CLIENT, "--confidential", "--open", *more), input=f"{CLIENT_SECRET}\n")
        assert result.exit_code == 0, result.output
        assert CLIENT_SECRET not in result.output
    wrong = run(*options(server, CLIENT, "--confidential", "--open"), input="wrong\n")
    assert wrong.exit_code == 1
    assert "invalid_client" in wrong.stderr


def test_an_answer_to_another_authorization_is_refused_and_ours_is_still_taken(
    run: Program, gateway: GatewayDouble, server: Api, browser: Browser
) -> None:
    def forged(url: str) -> str:
        return parse_qs(urlsplit(url).query)["redirect_uri"][0] + "?code=stolen&state=guessed"

    browser.first = forged
    assert run(*options(server, PUBLIC, "--open")).exit_code == 0
    assert [answer.status_code for answer in browser.answers] == [400, 200]
    assert list(gateway.secrets) == [NAME]


def test_a_code_without_its_verifier_is_worth_nothing(
    run: Program, gateway: GatewayDouble, server: Api, oauth: OAuthServer, browser: Browser
) -> None:
    """The control of PKCE: the server gives nothing for a code whose challenge is another."""

    def changed(request: Request) -> Reply:
        reply = oauth.authorize(request)
        for code in oauth.state.codes.values():
            code.code_challenge = "another-challenge-than-that-of-the-program-which-asked"
        return reply

    server.more["/authorize"] = changed
    result = run(*options(server, PUBLIC, "--open"))
    assert result.exit_code == 1
    assert "invalid_grant" in result.stderr
    assert gateway.secrets == {}


def test_who_declines_is_told_so(run: Program, gateway: GatewayDouble, server: Api, browser: Browser) -> None:
    def declined(request: Request) -> Reply:
        back = f"{request.query['redirect_uri']}?error=access_denied&state={request.query['state']}"
        return Reply("", 302, {"Location": back})

    server.more["/authorize"] = declined
    result = run(*options(server, PUBLIC, "--open"))
    assert result.exit_code == 1
    assert "declined: access_denied" in result.stderr
    assert gateway.secrets == {}


def test_without_a_refresh_token_nothing_is_kept(
    run: Program, gateway: GatewayDouble, server: Api, browser: Browser
) -> None:
    server.more["/token"] = lambda _: Reply({"access_token": "access-canary", "token_type": "bearer"})
    result = run(*options(server, PUBLIC, "--open"))
    assert result.exit_code == 1
    assert "offline_access" in result.stderr
    assert "canary" not in result.output
    assert gateway.secrets == {}


@pytest.mark.parametrize("url", ["http://id.example/token", "id.example", "ftp://id.example"])
def test_a_code_does_not_go_over_a_network_in_the_clear(run: Program, browser: Browser, url: str) -> None:
    found = ["--authorization-url", "https://id.example/authorize", "--token-url", url, "--client-id", PUBLIC]
    refused = run("source", "authorize", NAME, *found, "--open")
    assert refused.exit_code == 1
    assert "--token-url" in refused.stderr
    assert browser.visited == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--param", "scope=offline_access"], "use --scope"),
        (["--param", "state=mine"], "made anew for each authorization"),
        (["--param", "broken"], "is not written as NAME=VALUE"),
    ],
)
def test_what_the_authorization_makes_itself_is_not_given(
    run: Program, server: Api, browser: Browser, given: list[str], said: str
) -> None:
    refused = run(*options(server, PUBLIC, *given))
    assert (refused.exit_code, browser.visited) == (1, [])
    assert said in refused.stderr


def test_a_name_that_no_secret_can_have_is_refused_before_the_browser(
    run: Program, server: Api, browser: Browser
) -> None:
    refused = run(*["Shop Refresh" if each == NAME else each for each in options(server)])
    assert (refused.exit_code, browser.visited) == (1, [])
    assert "is no name of a secret" in refused.stderr


def test_who_may_not_set_secrets_is_not_sent_to_a_browser(run: Program, server: Api, browser: Browser) -> None:
    refused = run("--token", "wrong", *options(server, PUBLIC, "--open"))
    assert refused.exit_code == 1
    assert browser.visited == []

"""Sign-in at an OpenID provider: what does not come from it, for this browser, now, signs nobody in."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from pydantic import SecretStr
from sqlalchemy import Engine, select

from headrace.access.book import AccessBook, Entry, Principal
from headrace.access.topic import AccessChange, AccessLog, KnownAccess
from headrace.errors import Transient
from services.gateway.adapters import oidc as oidc_adapter
from services.gateway.adapters.access_desk import AccessDesk
from services.gateway.adapters.database import open_database, upgrade
from services.gateway.adapters.http import problems, session_cookie, sign_in, sign_in_oidc
from services.gateway.adapters.http.middleware import Requests
from services.gateway.adapters.http.sign_in_oidc import CALLBACK, COOKIE, START
from services.gateway.adapters.oidc import Provider, ProviderSettings
from services.gateway.adapters.oidc_attempts import OidcAttempts
from services.gateway.adapters.oidc_tables import OIDC_ATTEMPTS
from services.gateway.bootstrap import serve
from services.gateway.core.oidc import Algorithm, GroupRole
from services.gateway.gateway import Gateway
from services.gateway.oidc_sign_in import Admission, OidcSignIn
from tests.unit.gateway.accesses import AT, MemoryAccess, quick_sign_in
from tests.unit.gateway.conftest import ADMIN
from tests.unit.gateway.openid_provider import (
    CLIENT,
    EC_KEY,
    ED_KEY,
    KEY,
    OTHER_KEY,
    SECRET,
    OpenidProvider,
    provided,
    signed,
)
from tests.unit.gateway.test_api_alone import problem

GATEWAY = "https://gateway.test"


@dataclass
class Signing:
    """A gateway people sign in to at a provider."""

    engine: Engine
    provider: OpenidProvider
    memory: MemoryAccess
    issuer: str
    now_s: float = 0
    roles: tuple[GroupRole, ...] = (GroupRole.parse("/nyc", "analyst@domain:nyc"),)
    only_mapped: bool = False
    algorithms: tuple[Algorithm, ...] = ("RS256",)

    @property
    def book(self) -> AccessBook:
        return self.memory.book or AccessBook()

    def put(self, entry: Entry) -> None:
        self.memory.change("a test", AT, lambda _: [AccessChange(entry)])

    def replica(self) -> TestClient:
        """A browser in front of a gateway of its own, which shares the database with the others."""
        settings = ProviderSettings(
            self.issuer, CLIENT, SecretStr(SECRET), ["openid"], self.algorithms, f"{GATEWAY}{CALLBACK}"
        )
        provider = Provider(settings, lambda: self.now_s)
        known, log = cast(KnownAccess, self.memory), cast(AccessLog, self.memory)
        desk = AccessDesk(self.engine, known, log, SecretStr("an-admin-token-of-a-test"), b"k" * 32)
        admission = Admission("groups", self.roles, self.only_mapped)
        oidc = OidcSignIn(provider, OidcAttempts(self.engine), desk, admission)
        app = FastAPI()
        app.include_router(sign_in_oidc.router)
        app.include_router(sign_in.router)
        app.add_middleware(Requests)
        problems.install(app)
        app.state.gateway = SimpleNamespace(
            oidc=oidc, sign_in=quick_sign_in(self.engine, desk), access=desk, public_url=GATEWAY
        )
        return TestClient(app, base_url=GATEWAY, follow_redirects=False, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Shared: a sign-in has a state of its own."""
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('sign-in') / 'gateway.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def provider() -> Iterator[OpenidProvider]:
    with provided() as served:
        yield served


@pytest.fixture
def signing(database: Engine, provider: OpenidProvider) -> Signing:
    return Signing(database, provider, MemoryAccess(), provider.url)


def come_back(signing: Signing, browser: TestClient, after: str | None = None, **more: str) -> str:
    """Begin, and agree at the provider: where the browser is sent back to."""
    begun = browser.get(START, params={} if after is None else {"after": after})
    assert begun.status_code == HTTPStatus.SEE_OTHER, begun.text
    return signing.provider.authorize(begun.headers["location"], **more)


def signed_in(browser: TestClient, url: str, to: str = "/", **params: str) -> str:
    """Who is signed in when the browser has come back and goes on."""
    browser.cookies.delete(session_cookie.COOKIE)
    response = browser.get(url, params=params or None)
    assert response.status_code == HTTPStatus.SEE_OTHER, response.text
    assert response.headers["location"] == to
    return str(browser.get("/api/v1/session").json()["id"])


def refused(response: Any, code: str, said: str = "") -> None:
    assert f"{session_cookie.COOKIE}=" not in response.headers.get("set-cookie", "")
    status = HTTPStatus.FORBIDDEN if code in ("sign-in-inactive", "sign-in-not-admitted") else HTTPStatus.BAD_REQUEST
    body = problem(response, status)
    assert body["type"] == f"urn:headrace:problem:{code}"
    assert said in body["detail"], body["detail"]


def test_somebody_signs_in_and_is_known_by_issuer_and_subject_alone(signing: Signing) -> None:
    browser = signing.replica()
    alice = signed_in(browser, come_back(signing, browser, "/datasets?tab=1"), "/datasets?tab=1")
    assert signing.book.principals[alice] == Principal(alice, "user", "Alice", "alice@example.org", ("/nyc",))
    caller = signing.book.caller(alice)
    assert caller is not None
    assert [(grant.role, str(grant.scope)) for grant in caller.access.grants] == [("analyst", "domain:nyc")]

    signing.provider.user |= {"name": "Alice Smith", "email": "smith@example.org", "groups": []}
    assert signed_in(browser, come_back(signing, browser)) == alice
    assert signing.book.principals[alice] == Principal(alice, "user", "Alice Smith", "smith@example.org")

    signing.provider.user |= {"sub": "mallory-2"}  # with the e-mail address of another
    assert signed_in(browser, come_back(signing, browser)) != alice


def test_it_is_audited_whoever_signs_in_and_whatever_stands_against_it_and_no_code_is_kept(
    lonely: Gateway, provider: OpenidProvider
) -> None:
    settings = ProviderSettings(provider.url, CLIENT, SecretStr(SECRET), ["openid"], ("RS256",), f"{GATEWAY}{CALLBACK}")
    admission = Admission("groups", (), only_mapped=False)
    oidc = OidcSignIn(Provider(settings, time.monotonic), OidcAttempts(lonely.engine), lonely.access, admission)
    app = serve(replace(lonely, oidc=oidc, public_url=GATEWAY))
    browser = TestClient(app, base_url=GATEWAY, follow_redirects=False)
    back = provider.authorize(browser.get(START).headers["location"])
    alice = signed_in(browser, back)
    again = browser.get(back, headers={"Accept": "text/html"})
    assert again.headers["location"] == "/sign-in#refused=sign-in-over"
    root = {"Authorization": f"Bearer {ADMIN}"}
    refused, done = browser.get("/api/v1/audit", params={"action": "callback"}, headers=root).json()["items"]
    assert (done["actor"], done["actor_id"], done["outcome"]) == ("Alice", alice, "done")
    assert done["details"]["query"] == {"code": "(redacted)", "state": "(redacted)"}
    assert (refused["actor"], refused["outcome"]) == ("", "refused")
    assert refused["details"]["noted"] == {"refused": "sign-in-over"}


def test_what_stands_already_is_not_written_again(signing: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = signing.replica()
    signed_in(browser, come_back(signing, browser))
    monkeypatch.setattr(signing.memory, "change", None)  # Kafka may even be away
    signed_in(browser, come_back(signing, browser))


def test_another_gateway_can_end_it(signing: Signing) -> None:
    first, second = signing.replica(), signing.replica()
    back = come_back(signing, first)
    second.cookies = first.cookies
    signed_in(second, back)


def test_two_tabs_of_a_browser_can_sign_in_at_a_time(signing: Signing) -> None:
    browser = signing.replica()
    backs = [come_back(signing, browser) for _ in range(2)]
    for back in backs:
        signed_in(browser, back)


def test_the_cookie_goes_to_this_host_alone_and_no_script_reads_it(signing: Signing) -> None:
    set_cookie = signing.replica().get(START).headers["set-cookie"]
    assert set_cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax", "Max-Age=600"} <= set(set_cookie.split("; "))
    assert "Domain" not in set_cookie


def test_the_database_holds_nothing_that_could_end_a_sign_in(signing: Signing) -> None:
    browser = signing.replica()
    begun = browser.get(START)
    with signing.engine.connect() as connection:
        kept = repr(connection.execute(select(OIDC_ATTEMPTS)).all())
    assert parse_qs(urlsplit(begun.headers["location"]).query)["nonce"][0] in kept
    assert browser.cookies[COOKIE] not in kept
    assert parse_qs(urlsplit(begun.headers["location"]).query)["state"][0] not in kept


class TestTheAnswerIsForThisBrowserOnce:
    def test_a_state_that_was_used(self, signing: Signing) -> None:
        browser = signing.replica()
        back = come_back(signing, browser)
        signed_in(browser, back)
        refused(browser.get(back), "sign-in-over")

    def test_a_code_that_was_used(self, signing: Signing) -> None:
        browser = signing.replica()
        used = parse_qs(urlsplit(come_back(signing, browser)).query)["code"][0]
        signing.provider.codes.pop(used)
        state = parse_qs(urlsplit(come_back(signing, browser)).query)["state"][0]
        refused(browser.get(CALLBACK, params={"code": used, "state": state}), "sign-in-code", "the code is not good")

    def test_a_code_of_another_sign_in_of_the_same_browser(self, signing: Signing) -> None:
        """PKCE: the code is bound to the sign-in it was made for."""
        browser = signing.replica()
        first, second = (parse_qs(urlsplit(come_back(signing, browser)).query) for _ in range(2))
        mixed = {"code": first["code"][0], "state": second["state"][0]}
        refused(browser.get(CALLBACK, params=mixed), "sign-in-code")
        again = {name: values[0] for name, values in parse_qs(urlsplit(come_back(signing, browser)).query).items()}
        signed_in(browser, CALLBACK, **again)

    def test_a_state_of_another_browser(self, signing: Signing) -> None:
        """Whoever sends somebody the end of their own sign-in does not sign them in as themselves."""
        mallory, victim = signing.replica(), signing.replica()
        back = come_back(signing, mallory)
        refused(victim.get(back), "sign-in-over", "another browser")
        victim.get(START)  # with a cookie of its own, too
        refused(victim.get(back), "sign-in-over")
        signed_in(mallory, back)  # and nothing was used up by it

    @pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "é" * 43])
    def test_a_made_up_cookie(self, signing: Signing, cookie: str) -> None:
        browser = signing.replica()
        back = come_back(signing, browser)
        refused(signing.replica().get(back, headers={b"Cookie": f"{COOKIE}={cookie}".encode()}), "sign-in-over")
        signed_in(browser, back)

    def test_a_sign_in_that_took_too_long(self, signing: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
        browser = signing.replica()
        in_time = come_back(signing, browser)
        signed_in(browser, in_time)
        monkeypatch.setattr("services.gateway.oidc_sign_in.PATIENCE", timedelta(seconds=-1))
        refused(browser.get(come_back(signing, browser)), "sign-in-over")

    @pytest.mark.parametrize("query", ["", "state=x&code=y", "code=y", "state=", "state=%00&code=%ff"])
    def test_an_answer_to_nothing(self, signing: Signing, query: str) -> None:
        refused(signing.replica().get(f"{CALLBACK}?{query}"), "sign-in-over")

    def test_a_person_who_declines(self, signing: Signing) -> None:
        browser = signing.replica()
        state = parse_qs(urlsplit(come_back(signing, browser)).query)["state"][0]
        answer = {"state": state, "error": "access_denied", "error_description": "no <b>thanks</b>"}
        refused(browser.get(CALLBACK, params=answer), "sign-in-declined", "access_denied")


class TestTheAnswerIsOfThisProvider:
    """RFC 9207: a provider that tells who it is must tell the right one."""

    def test_another_issuer(self, signing: Signing) -> None:
        browser = signing.replica()
        refused(browser.get(come_back(signing, browser, iss="https://evil.test")), "sign-in-issuer")
        signed_in(browser, come_back(signing, browser, iss=signing.provider.url))

    def test_none_where_one_was_announced(self, signing: Signing) -> None:
        signing.provider.metadata["authorization_response_iss_parameter_supported"] = True
        browser = signing.replica()
        refused(browser.get(come_back(signing, browser)), "sign-in-issuer")
        signed_in(browser, come_back(signing, browser, iss=signing.provider.url))


def test_a_provider_that_calls_itself_otherwise_is_not_used(signing: Signing) -> None:
    signing.provider.metadata["issuer"] = "https://evil.test"
    assert "HEADRACE_OIDC_ISSUER" in problem(signing.replica().get(START), HTTPStatus.CONFLICT)["detail"]
    del signing.provider.metadata["issuer"]
    assert signing.replica().get(START).status_code == HTTPStatus.SEE_OTHER


def test_a_provider_whose_endpoints_are_not_asked_by_https_is_not_used(signing: Signing) -> None:
    signing.provider.metadata["token_endpoint"] = "http://id.example.org/token"
    assert "token_endpoint" in problem(signing.replica().get(START), HTTPStatus.CONFLICT)["detail"]


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unsigned(claims: dict[str, Any]) -> str:
    return f"{encoded(json.dumps({'alg': 'none'}).encode())}.{encoded(json.dumps(claims).encode())}."


def with_public_key_as_secret(claims: dict[str, Any]) -> str:
    """RS256 to HS256: signed with what everybody knows. By hand, for the library refuses to."""
    header = json.dumps({"alg": "HS256", "kid": KEY.kid})
    text = f"{encoded(header.encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{text}.{encoded(hmac.digest(KEY.as_pem(private=False), text.encode(), 'sha256'))}"


def with_client_secret(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET), algorithms=["HS256"])


def by_another(claims: dict[str, Any]) -> str:
    return signed(claims, RSAKey.generate_key(2048, {"kid": "first"}))


def with_key_in_header(claims: dict[str, Any]) -> str:
    own = RSAKey.generate_key(2048, {"kid": "first"})
    header = {"alg": "RS256", "jwk": own.as_dict(private=False), "kid": KEY.kid}
    return jwt.encode(header, claims, own, algorithms=["RS256"])


def changed_afterwards(claims: dict[str, Any]) -> str:
    header, _, signature = signed(claims).split(".")
    return f"{header}.{encoded(json.dumps(claims | {'sub': 'root'}).encode())}.{signature}"


class TestTheTokenIsSignedByTheProvider:
    @pytest.mark.parametrize(
        "sign",
        [
            unsigned,
            with_public_key_as_secret,
            with_client_secret,
            by_another,
            with_key_in_header,
            changed_afterwards,
            lambda claims: signed(claims, KEY, "RS512"),
            lambda claims: signed(claims, OTHER_KEY),
            lambda claims: "no.token.at.all",
            lambda claims: "é",
        ],
        ids=[
            "none",
            "public key as secret",
            "client secret",
            "other key",
            "key in header",
            "changed",
            "algorithm not allowed",
            "unknown key",
            "no token",
            "no ASCII",
        ],
    )
    def test_a_token_that_is_not(self, signing: Signing, sign: Callable[[dict[str, Any]], str]) -> None:
        browser = signing.replica()
        signing.provider.sign = sign
        refused(browser.get(come_back(signing, browser)), "sign-in-token")
        assert signing.memory.entries == {}
        signing.provider.sign = signed
        signed_in(browser, come_back(signing, browser))

    def test_a_shared_secret_among_its_keys_is_none(self, signing: Signing) -> None:
        secret = OctKey.generate_key(256, {"kid": "shared"})
        signing.provider.keys.append(secret)
        signing.provider.sign = lambda claims: signed(claims, secret, "HS256")
        browser = signing.replica()
        refused(browser.get(come_back(signing, browser)), "sign-in-token")

    @pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # and yet it is what providers write
    @pytest.mark.parametrize(("key", "algorithm"), [(EC_KEY, "ES256"), (ED_KEY, "EdDSA"), (OTHER_KEY, "PS256")])
    def test_other_algorithms_when_they_are_set(self, signing: Signing, key: Any, algorithm: Algorithm) -> None:
        signing.provider.keys = [key]
        signing.provider.sign = lambda claims: signed(claims, key, algorithm)
        browser = signing.replica()
        refused(browser.get(come_back(signing, browser)), "sign-in-token", algorithm)
        signing.algorithms = (algorithm,)
        browser = signing.replica()
        signed_in(browser, come_back(signing, browser))

    def test_a_new_key_is_asked_for_when_a_token_names_it_but_not_at_every_token(self, signing: Signing) -> None:
        browser = signing.replica()
        signed_in(browser, come_back(signing, browser))
        signing.provider.sign = lambda claims: signed(claims, OTHER_KEY)
        for _ in range(3):
            refused(browser.get(come_back(signing, browser)), "sign-in-token", "second")
        assert signing.provider.asked.count("/jwks") == 1
        signing.now_s += 11
        refused(browser.get(come_back(signing, browser)), "sign-in-token", "second")
        assert signing.provider.asked.count("/jwks") == 2
        signing.provider.keys = [OTHER_KEY]
        signing.now_s += 11
        signed_in(browser, come_back(signing, browser))
        assert signing.provider.asked.count("/jwks") == 3
        assert signing.provider.asked.count("/.well-known/openid-configuration") == 1


NOW = time.time()


class TestTheTokenIsForThisSignIn:
    @pytest.mark.parametrize(
        "claims",
        [
            {"nonce": None},
            {"nonce": "of another sign-in"},
            {"aud": "another-client"},
            {"aud": ["another-client"]},
            {"aud": [CLIENT, "another-client"]},  # for several, and it is not said for whom it was made
            {"aud": None},
            {"azp": "another-client"},
            {"iss": "https://evil.test"},
            {"iss": None},
            {"exp": NOW - 3600},
            {"exp": None},
            {"exp": "never"},
            {"iat": NOW + 3600},
            {"iat": None},
            {"nbf": NOW + 3600},
            {"sub": None},
            {"sub": ""},
            {"sub": 1},
            {"at_hash": "of-another-access-token"},
        ],
        ids=lambda claims: str(next(iter(claims))),
    )
    def test_claims_that_are_not(self, signing: Signing, claims: dict[str, Any]) -> None:
        browser = signing.replica()
        signing.provider.more = claims
        refused(browser.get(come_back(signing, browser)), "sign-in-token")
        assert signing.memory.entries == {}
        signing.provider.more = {"azp": CLIENT, "aud": [CLIENT, "another-client"]}
        signed_in(browser, come_back(signing, browser))

    def test_a_clock_may_be_a_little_off(self, signing: Signing) -> None:
        browser = signing.replica()
        signing.provider.more = {"exp": int(time.time()) - 20, "iat": int(time.time()) + 20}
        signed_in(browser, come_back(signing, browser))

    def test_the_nonce_of_a_sign_in_before(self, signing: Signing) -> None:
        browser = signing.replica()
        first = browser.get(START).headers["location"]
        signing.provider.more = {"nonce": parse_qs(urlsplit(first).query)["nonce"][0]}
        refused(browser.get(come_back(signing, browser)), "sign-in-token", "nonce")
        signed_in(browser, signing.provider.authorize(first))  # in its own sign-in it is good


@pytest.mark.parametrize(
    "after",
    [
        "https://evil.test/",
        "//evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "/\t/evil.test",
        "/a\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "evil.test",
        "///evil.test",
        " //evil.test",
        "/" + "a" * 3000,
    ],
)
def test_nobody_is_sent_to_another_host_afterwards(signing: Signing, after: str) -> None:
    browser = signing.replica()
    signed_in(browser, come_back(signing, browser, after))


class TestWhoMaySignIn:
    def test_somebody_who_was_deactivated_stays_out_and_is_not_made_active_again(self, signing: Signing) -> None:
        browser = signing.replica()
        alice = signed_in(browser, come_back(signing, browser))
        known = signing.book.principals[alice]
        signing.put(replace(known, active=False))
        refused(browser.get(come_back(signing, browser)), "sign-in-inactive", "Alice")
        assert not signing.book.principals[alice].active

    def test_only_whoever_is_in_a_group_with_roles_when_it_is_set_so(self, signing: Signing) -> None:
        signing.only_mapped = True
        browser = signing.replica()
        signing.provider.user["groups"] = ["/others"]
        refused(browser.get(come_back(signing, browser)), "sign-in-not-admitted")
        assert signing.memory.entries == {}
        signing.provider.user["groups"] = ["/others", "/nyc"]
        signed_in(browser, come_back(signing, browser))

    def test_roles_that_are_set_no_more_are_taken_away_and_grants_of_people_stay(self, signing: Signing) -> None:
        by_hand = replace(GroupRole.parse("/nyc", "viewer@*").grant(), id="by-hand")
        signing.put(by_hand)
        browser = signing.replica()
        alice = signed_in(browser, come_back(signing, browser))
        signing.roles = (GroupRole.parse("/nyc", "engineer@dataset:nyc.flights"),)
        browser = signing.replica()
        signed_in(browser, come_back(signing, browser))
        caller = signing.book.caller(alice)
        assert caller is not None
        assert {grant.role for grant in caller.access.grants} == {"engineer", "viewer"}


class TestAPersonWithABrowser:
    def test_is_told_on_the_page_of_sign_in_what_stands_against_it(self, signing: Signing) -> None:
        """Only its kind: whoever makes up an address does not choose what the page says."""
        browser = signing.replica()
        state = parse_qs(urlsplit(come_back(signing, browser)).query)["state"][0]
        answer = {"state": state, "error": "call_this_number", "error_description": "555-0100"}
        said = browser.get(CALLBACK, params=answer, headers={"Accept": "text/html,*/*;q=0.8"})
        assert (said.status_code, said.headers["location"]) == (
            HTTPStatus.SEE_OTHER,
            "/sign-in#refused=sign-in-declined",
        )

    def test_is_offered_the_provider_and_to_sign_out_there(self, signing: Signing) -> None:
        browser = signing.replica()
        provider = browser.get("/api/v1/sign-in").json()["provider"]
        assert provider["issuer"] == signing.issuer
        assert provider["sign_in"] == START
        out = urlsplit(browser.get(provider["sign_out"]).headers["location"])
        assert f"{out.scheme}://{out.netloc}{out.path}" == f"{signing.provider.url}/logout"
        assert parse_qs(out.query) == {"client_id": [CLIENT], "post_logout_redirect_uri": [f"{GATEWAY}/sign-in"]}

    def test_is_not_offered_to_sign_out_where_the_provider_has_no_page_for_it(self, signing: Signing) -> None:
        signing.provider.metadata["end_session_endpoint"] = None
        problem(signing.replica().get(f"{START}/sign-out"), HTTPStatus.NOT_FOUND)


def test_without_a_provider_there_is_nothing_to_sign_in_at(client: TestClient) -> None:
    assert client.get("/api/v1/sign-in").json() == {"provider": None}
    for path in (START, CALLBACK, f"{START}/sign-out"):
        assert "HEADRACE_OIDC_ISSUER" in problem(client.get(path), HTTPStatus.NOT_FOUND)["detail"]


def test_a_provider_that_does_not_answer_is_named(signing: Signing) -> None:
    signing.issuer = "http://127.0.0.1:1"
    assert "127.0.0.1:1" in problem(signing.replica().get(START), HTTPStatus.SERVICE_UNAVAILABLE)["detail"]


def test_who_waits_for_a_provider_that_does_not_answer_waits_once_and_not_for_long(
    signing: Signing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them holds a thread of the gateway, and anybody may begin a sign-in."""
    signing.issuer = "http://127.0.0.1:1"
    asked: list[str] = []

    def away(issuer: str) -> oidc_adapter.Offer:
        asked.append(issuer)
        raise Transient(f"{issuer} does not answer")

    monkeypatch.setattr(oidc_adapter, "_offer", away)
    settings = ProviderSettings(signing.issuer, CLIENT, None, ["openid"], ("RS256",), f"{GATEWAY}{CALLBACK}")
    provider = Provider(settings, lambda: signing.now_s)
    for at_s, times in ((0, 1), (1.9, 1), (2.1, 2)):
        signing.now_s = at_s
        with pytest.raises(Transient, match=r"127\.0\.0\.1:1"):
            provider.offer()
        assert len(asked) == times

    monkeypatch.setattr(oidc_adapter, "_TURN_S", 0.01)
    with provider._lock, pytest.raises(Transient, match="does not answer yet"):  # as one who asks holds it
        provider.offer()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the provider
def test_at_a_provider_that_others_have_written(signing: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
    from oidc_provider_mock import run_server_in_thread  # type: ignore[import-untyped]

    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with run_server_in_thread() as server:
        signing.issuer = f"http://localhost:{server.server_port}"
        httpx.put(f"{signing.issuer}/users/bob", json={"name": "Bob", "groups": ["/nyc"]}).raise_for_status()
        browser = signing.replica()
        form = browser.get(START).headers["location"]
        back = httpx.post(form, data={"sub": "bob"}).headers["location"]
        bob = signed_in(browser, back)
        assert signing.book.principals[bob].groups == ("/nyc",)
        refused(browser.get(back), "sign-in-over")
        state = parse_qs(urlsplit(browser.get(START).headers["location"]).query)["state"][0]
        code = parse_qs(urlsplit(back).query)["code"][0]
        refused(browser.get(f"{CALLBACK}?{urlencode({'code': code, 'state': state})}"), "sign-in-code", "invalid_grant")

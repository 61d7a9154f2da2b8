"""Signing in, as a browser does it, and the attacks on it; beside each its control: what it is that refuses it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from headrace.access.book import AccessBook, Principal
from headrace.access.policy import EVERYTHING, Grant
from headrace.cli.main import app as program
from headrace.cli.session import Session
from services.gateway.adapters import attempt_store
from services.gateway.adapters.http import session_cookie
from services.gateway.adapters.http.session_cookie import COOKIE
from services.gateway.adapters.session_store import Sessions, Whence
from services.gateway.bootstrap import serve
from services.gateway.gateway import Gateway
from tests.unit.gateway.accesses import AT, bearer, headers
from tests.unit.gateway.conftest import ADMIN
from tests.unit.gateway.test_api_alone import problem

HOST = "headrace.test"
OURS = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
PASSWORD = "correct horse battery staple"
OTHER = "four quite different words"
ROOT = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def app(lonely: Gateway) -> FastAPI:
    return serve(lonely)


@pytest.fixture
def browse(app: FastAPI) -> Callable[..., TestClient]:
    """A new browser each time, on a page of ours unless it is said otherwise."""

    def browse(page: dict[str, str] = OURS) -> TestClient:
        return TestClient(app, f"https://{HOST}", headers=page, raise_server_exceptions=False)

    return browse


@pytest.fixture
def browser(browse: Callable[..., TestClient]) -> TestClient:
    return browse()


@pytest.fixture(autouse=True)
def people(lonely: Gateway) -> None:
    """Ada may administer everything, Bea sees everything; Old is switched off, and Robot is no person. All have a password."""
    for name, role in (("ada", "admin"), ("bea", "viewer")):
        bearer(lonely, name, role)  # type: ignore[arg-type]
    lonely.access.add_principal("a test", AT, Principal("u-old", "user", "old"))
    lonely.access.add_principal("a test", AT, Principal("s-robot", "service", "robot"))
    for person in ("u-ada", "u-bea", "u-old"):
        lonely.sign_in.reset(made(lonely, person), PASSWORD, now(), Whence("203.0.113.1"))
    lonely.access.change_principal("a test", AT, "u-old", active=False)
    with lonely.engine.begin() as connection:
        connection.execute(text("delete from sessions"))
        connection.execute(text("delete from sign_in_attempts"))


def now() -> datetime:
    return datetime.now(UTC)


def made(gateway: Gateway, principal_id: str) -> str:
    return gateway.sign_in.offer_reset(principal_id, "a test", now()).code


def sign_in(browser: TestClient, name: str = "ada", password: str = PASSWORD) -> Any:
    return browser.post("/api/v1/session", json={"name": name, "password": password})


def signed_in(browser: TestClient, name: str = "ada") -> dict[str, str]:
    """Sign in. Returns the header that what changes something needs."""
    response = sign_in(browser, name)
    assert response.status_code == HTTPStatus.CREATED, response.text
    return {"X-CSRF-Token": response.json()["csrf"]}


def who(browser: TestClient) -> str | None:
    """Who a browser is signed in as."""
    response = browser.get("/api/v1/session")
    return response.json()["name"] if response.status_code == HTTPStatus.OK else None


def later(gateway: Gateway, table: str, columns: str, by: timedelta) -> None:
    """Time goes by: for the gateway it is the same as if what it wrote down had been earlier."""
    with gateway.engine.begin() as connection:
        for column in columns.split():
            rows = connection.execute(text(f"select rowid, {column} as at from {table} where {column} is not null"))
            for row in rows.all():
                earlier = datetime.fromisoformat(row.at) - by
                change = text(f"update {table} set {column} = :at where rowid = :id")
                connection.execute(change, {"at": earlier.strftime("%Y-%m-%d %H:%M:%S.%f"), "id": row.rowid})


def test_a_browser_signs_in_sees_who_it_is_and_signs_out(browser: TestClient) -> None:
    response = sign_in(browser, " Ada")
    assert response.status_code == HTTPStatus.CREATED
    assert response.headers["cache-control"] == "no-store"
    (cookie,) = response.headers.get_list("set-cookie")
    name, _, rest = cookie.partition("=")
    assert name == "__Host-headrace"
    assert {part.strip().lower() for part in rest.split(";")[1:]} == {"secure", "httponly", "samesite=lax", "path=/"}
    assert len(rest.partition(";")[0]) == 43  # 256 bits
    me = browser.get("/api/v1/session").json()
    assert me == response.json()
    assert (me["name"], me["administrator"], me["grants"][0]["role"]) == ("ada", True, "admin")
    assert me["session"]["agent"] == "testclient"
    kept = browser.cookies[COOKIE]
    out = browser.delete("/api/v1/session", headers={"X-CSRF-Token": me["csrf"]})
    assert out.status_code == HTTPStatus.NO_CONTENT
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, kept)
    assert who(browser) is None


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "wrong"),
        ("nobody", PASSWORD),
        ("old", PASSWORD),
        ("robot", PASSWORD),
        ("admin", ADMIN),
        ("", ""),
        ("ada", ""),
    ],
)
def test_whoever_it_is_that_does_not_get_in_is_told_the_same(browser: TestClient, name: str, password: str) -> None:
    response = sign_in(browser, name, password)
    found = problem(response, HTTPStatus.UNAUTHORIZED)
    assert found["detail"] == "the name or the password is wrong"
    assert "set-cookie" not in response.headers
    assert who(browser) is None


def test_a_bearer_token_has_no_session_and_needs_no_token_against_forgery(client: TestClient) -> None:
    me = client.get("/api/v1/session").json()
    assert (me["name"], me["session"], me["csrf"], me["administrator"]) == ("admin", None, None, True)
    problem(client.delete("/api/v1/session"), HTTPStatus.CONFLICT)
    assert client.post("/api/v1/plan", json={"document": "x"}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_a_bearer_token_counts_before_a_cookie_even_when_it_is_worth_nothing(
    browser: TestClient, lonely: Gateway
) -> None:
    signed_in(browser)
    problem(browser.get("/api/v1/session", headers=headers("hr_9f86d081884c7d65_x")), HTTPStatus.UNAUTHORIZED)
    assert browser.get("/api/v1/session", headers=ROOT).json()["name"] == "admin"
    cookie = browser.cookies[COOKIE]
    browser.cookies.clear()
    problem(browser.get("/api/v1/session", headers=headers(cookie)), HTTPStatus.UNAUTHORIZED)
    browser.cookies.set(COOKIE, ADMIN)
    assert who(browser) is None


# Forged requests


def changing(browser: TestClient, **more: str) -> int:
    """The status of a request that changes something."""
    return browser.post("/api/v1/users", json={"name": "carl"}, headers=more).status_code


def test_what_changes_something_needs_the_token_of_the_session(
    browse: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, other = browse(), browse()
    token, others = signed_in(browser), signed_in(other)
    assert browser.get("/api/v1/users").status_code == HTTPStatus.OK
    for forged in ({}, others, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 64}):
        assert changing(browser, **forged) == HTTPStatus.FORBIDDEN
    assert changing(browser, **token) == HTTPStatus.CREATED
    monkeypatch.setattr(Sessions, "shows", lambda *_: True)
    assert browser.post("/api/v1/users", json={"name": "dora"}).status_code == HTTPStatus.CREATED


@pytest.mark.parametrize(
    "page",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{HOST}.evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
)
def test_another_page_changes_nothing_even_with_the_token(
    browse: Callable[..., TestClient], page: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = browse()
    token = signed_in(ours)
    theirs = browse(page)
    theirs.cookies = ours.cookies
    assert changing(theirs, **token) == HTTPStatus.FORBIDDEN
    monkeypatch.setattr(session_cookie, "of_ours", lambda *_, **__: None)
    assert changing(theirs, **token) == HTTPStatus.CREATED


def test_another_page_signs_nobody_in(browse: Callable[..., TestClient]) -> None:
    evil = browse({"Origin": "https://evil.example"})
    assert problem(sign_in(evil), HTTPStatus.FORBIDDEN)["type"].endswith("forged-request")
    assert sign_in(browse({})).status_code == HTTPStatus.CREATED  # no browser


# Fixation


def test_a_cookie_from_before_the_sign_in_is_worth_nothing_after_it(browse: Callable[..., TestClient]) -> None:
    victim, attacker = browse(), browse()
    victim.cookies.set(COOKIE, "chosen-by-somebody-else", domain=HOST, path="/")
    signed_in(victim)
    attacker.cookies.set(COOKIE, "chosen-by-somebody-else", domain=HOST, path="/")
    assert (who(victim), who(attacker)) == ("ada", None)


def test_a_session_that_was_put_into_a_browser_never_becomes_that_of_who_signs_in_there(
    browse: Callable[..., TestClient],
) -> None:
    victim, attacker = browse(), browse()
    signed_in(attacker, "bea")
    victim.cookies.set(COOKIE, attacker.cookies[COOKIE], domain=HOST, path="/")
    assert who(victim) == "bea"
    signed_in(victim, "ada")
    assert (who(victim), who(attacker)) == ("ada", None)


def test_whoever_may_do_more_than_before_gets_another_cookie_and_the_former_one_ends(
    browse: Callable[..., TestClient], lonely: Gateway
) -> None:
    browser, thief = browse(), browse()
    signed_in(browser, "bea")
    former = browser.cookies[COOKIE]
    thief.cookies.set(COOKIE, former)
    assert "set-cookie" not in browser.get("/api/v1/session").headers
    lonely.access.put("a test", AT, Grant("g-more", "user:u-bea", "admin", EVERYTHING))
    assert browser.get("/api/v1/datasets").headers["set-cookie"].startswith(f"{COOKIE}=")
    assert browser.cookies[COOKIE] != former
    assert (who(browser), who(thief)) == ("bea", "bea")
    later(lonely, "sessions", "former_until", timedelta(seconds=31))
    assert (who(browser), who(thief)) == ("bea", None)


# Expiry, ending, switching off


def test_whoever_signs_in_anew_in_a_browser_leaves_no_session_behind(browse: Callable[..., TestClient]) -> None:
    browser, other = browse(), browse()
    signed_in(other)
    for _ in range(3):
        signed_in(browser)
    listed = browser.get("/api/v1/sessions").json()["items"]
    assert [(each["user"], each["name"]) for each in listed] == [("u-ada", "ada")] * 2
    assert who(other) == "ada"


@pytest.mark.parametrize(
    ("columns", "by", "counts"),
    [
        ("seen_at", timedelta(minutes=29), True),
        ("seen_at", timedelta(minutes=30), False),
        ("opened_at", timedelta(hours=11, minutes=59), True),
        ("opened_at", timedelta(hours=12), False),
    ],
)
def test_a_session_ends_by_itself(
    browser: TestClient, lonely: Gateway, columns: str, by: timedelta, counts: bool
) -> None:
    signed_in(browser)
    later(lonely, "sessions", columns, by)
    assert who(browser) == ("ada" if counts else None)


def test_sessions_are_listed_and_ended_by_whose_they_are_and_by_administrators(
    browse: Callable[..., TestClient],
) -> None:
    desk, phone, boss = browse(), browse(), browse()
    token, _, admin = signed_in(desk, "bea"), signed_in(phone, "bea"), signed_in(boss, "ada")

    def listed(browser: TestClient, **asked: str) -> list[str]:
        return [each["user"] for each in browser.get("/api/v1/sessions", params=asked).json()["items"]]

    assert listed(desk) == ["u-bea", "u-bea"]
    assert listed(boss) == ["u-ada"]
    assert listed(boss, user="bea") == ["u-bea", "u-bea"]
    assert sorted(listed(boss, everybody="true")) == ["u-ada", "u-bea", "u-bea"]
    for asked in ({"user": "ada"}, {"everybody": "true"}):
        problem(desk.get("/api/v1/sessions", params=asked), HTTPStatus.FORBIDDEN)
    of_phone = phone.get("/api/v1/session").json()["session"]["id"]
    of_boss = boss.get("/api/v1/session").json()["session"]["id"]
    problem(desk.delete(f"/api/v1/sessions/{of_boss}", headers=token), HTTPStatus.NOT_FOUND)
    assert who(boss) == "ada"
    assert desk.delete(f"/api/v1/sessions/{of_phone}", headers=token).status_code == HTTPStatus.NO_CONTENT
    assert (who(phone), who(desk)) == (None, "bea")
    of_desk = desk.get("/api/v1/session").json()["session"]["id"]
    assert boss.delete(f"/api/v1/sessions/{of_desk}", headers=admin).status_code == HTTPStatus.NO_CONTENT
    assert who(desk) is None
    problem(boss.delete(f"/api/v1/sessions/{of_desk}", headers=admin), HTTPStatus.NOT_FOUND)


def test_who_is_switched_off_is_out_at_once_and_stays_out_when_switched_on(
    browser: TestClient, lonely: Gateway
) -> None:
    signed_in(browser, "bea")
    assert who(browser) == "bea"

    def switch(active: bool) -> None:
        change = {"active": active}
        assert browser.patch("/api/v1/users/u-bea", json=change, headers=ROOT).status_code == HTTPStatus.OK

    switch(False)
    switch(True)
    assert who(browser) is None
    assert sign_in(browser, "bea").status_code == HTTPStatus.CREATED
    later(lonely, "sessions", "opened_at", timedelta(seconds=20))
    lonely.access.change_principal("a test", AT, "u-bea", active=False)  # by another gateway, say
    assert who(browser) is None
    lonely.access.change_principal("a test", AT, "u-bea", active=True)
    assert who(browser) is None


def test_who_has_just_been_let_in_by_another_gateway_stays_in(browser: TestClient, lonely: Gateway) -> None:
    """That one has written of them, and this one has not read it yet."""
    signed_in(browser, "bea")
    known = lonely.known_access.book
    lonely.known_access.book = AccessBook()
    assert who(browser) is None
    lonely.known_access.book = known
    assert who(browser) == "bea"
    later(lonely, "sessions", "opened_at", timedelta(seconds=20))  # the control: by then it would have read it
    lonely.known_access.book = AccessBook()
    assert who(browser) is None
    lonely.known_access.book = known
    assert who(browser) is None


def test_who_is_removed_leaves_nothing_behind(
    browser: TestClient, lonely: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who signs in at a provider comes again under the same id."""
    signed_in(browser, "bea")
    code = made(lonely, "u-bea")
    with monkeypatch.context() as patched:
        patched.setattr(lonely.sign_in, "forget", lambda _: 1 / 0)
        failed = browser.delete("/api/v1/users/u-bea", headers=ROOT)
        assert failed.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert browser.delete("/api/v1/users/u-bea", headers=ROOT).status_code == HTTPStatus.NOT_FOUND
    assert who(browser) is None
    with lonely.engine.connect() as connection:
        kept = {row.principal for row in connection.execute(text("select principal from credentials"))}
    assert kept == {"u-ada", "u-old"}
    lonely.access.add_principal("a test", AT, Principal("u-bea", "user", "bea"))
    problem(reset(browser, code), HTTPStatus.FORBIDDEN)
    assert who(browser) is None


def test_while_it_is_not_known_who_may_do_what_only_the_administrators_token_works(
    browser: TestClient, lonely: Gateway
) -> None:
    signed_in(browser)
    lonely.known_access.book = None
    problem(browser.get("/api/v1/datasets"), HTTPStatus.SERVICE_UNAVAILABLE)
    problem(sign_in(browser), HTTPStatus.SERVICE_UNAVAILABLE)
    assert browser.get("/api/v1/datasets", headers=ROOT).status_code == HTTPStatus.OK


def test_who_signed_in_is_in_the_audit_and_who_only_tried_is_not_taken_for_them(browser: TestClient) -> None:
    sign_in(browser, "bea", "not her password at all")
    signed_in(browser, "bea")

    def acts(**wanted: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = browser.get("/api/v1/audit", params=wanted, headers=ROOT).json()["items"]
        return found

    done, refused = acts(action="/session")
    assert (done["actor"], done["actor_id"], done["outcome"]) == ("bea", "u-bea", "done")
    assert (refused["actor"], refused["details"]["body"], refused["outcome"]) == ("", {"name": "bea"}, "refused")
    assert [act["id"] for act in acts(actor="bea")] == [done["id"]]
    assert PASSWORD not in str(acts())


# Passwords and links


def change_password(browser: TestClient, token: dict[str, str], old: str, new: str) -> Any:
    return browser.put("/api/v1/password", json={"old": old, "new": new}, headers=token)


def test_a_changed_password_ends_all_other_sessions_and_gives_this_one_another_cookie(
    browse: Callable[..., TestClient],
) -> None:
    browser, other, thief = browse(), browse(), browse()
    token, _ = signed_in(browser), signed_in(other)
    thief.cookies.set(COOKIE, browser.cookies[COOKIE])
    problem(change_password(browser, token, "wrong", OTHER), HTTPStatus.UNAUTHORIZED)
    weak = problem(change_password(browser, token, PASSWORD, "ada-password-1"), HTTPStatus.UNPROCESSABLE_ENTITY)
    assert weak["type"].endswith("weak-password")
    assert (who(browser), who(other), who(thief)) == ("ada", "ada", "ada")
    assert change_password(browser, token, PASSWORD, OTHER).status_code == HTTPStatus.NO_CONTENT
    assert (who(browser), who(other), who(thief)) == ("ada", None, None)
    assert changing(browser, **token) == HTTPStatus.CREATED
    problem(sign_in(other), HTTPStatus.UNAUTHORIZED)
    assert sign_in(other, "ada", OTHER).status_code == HTTPStatus.CREATED


def test_the_old_password_is_not_to_be_guessed_in_a_session_that_was_left_open(browser: TestClient) -> None:
    token = signed_in(browser)
    for _ in range(5):
        problem(change_password(browser, token, "wrong", OTHER), HTTPStatus.UNAUTHORIZED)
    problem(change_password(browser, token, PASSWORD, OTHER), HTTPStatus.TOO_MANY_REQUESTS)


def link(client: TestClient, path: str, by: dict[str, str] = ROOT) -> str:
    """The code of a new link."""
    response = client.post(f"/api/v1/{path}", headers=by)
    assert response.status_code == HTTPStatus.CREATED, response.text
    assert datetime.fromisoformat(response.json()["expires_at"]) > now()
    page, _, code = response.json()["path"].partition("#")
    assert client.get(page).status_code == HTTPStatus.OK
    return str(code.partition("=")[2])


def reset(client: TestClient, code: str, password: str = OTHER) -> Any:
    return client.post("/api/v1/password-reset", json={"code": code, "password": password})


def test_a_link_sets_a_password_once_and_signs_in_and_everywhere_else_out(browse: Callable[..., TestClient]) -> None:
    browser, other = browse(), browse()
    signed_in(other, "bea")
    code = link(browser, "users/BEA/reset-link")
    weak = problem(reset(browser, code, "short"), HTTPStatus.UNPROCESSABLE_ENTITY)
    assert "short" not in weak["detail"]
    assert who(other) == "bea"
    assert reset(browser, code).status_code == HTTPStatus.CREATED
    assert (who(browser), who(other)) == ("bea", None)
    replayed = problem(reset(other, code, PASSWORD), HTTPStatus.FORBIDDEN)
    assert replayed["type"].endswith("worthless-code")
    problem(sign_in(other, "bea"), HTTPStatus.UNAUTHORIZED)
    assert sign_in(other, "bea", OTHER).status_code == HTTPStatus.CREATED


def test_a_link_is_worth_nothing_when_it_is_too_old_or_there_is_a_newer_one_or_it_is_for_something_else(
    browser: TestClient, lonely: Gateway
) -> None:
    first, second = link(browser, "users/bea/reset-link"), link(browser, "users/bea/reset-link")
    problem(reset(browser, first), HTTPStatus.FORBIDDEN)
    body = {"code": second, "name": "eve", "password": OTHER}
    problem(browser.post("/api/v1/setup", json=body), HTTPStatus.FORBIDDEN)
    later(lonely, "one_time_codes", "expires_at", timedelta(hours=24))
    problem(reset(browser, second), HTTPStatus.FORBIDDEN)
    third = link(browser, "users/bea/reset-link")
    later(lonely, "one_time_codes", "expires_at", timedelta(hours=23, minutes=59))
    assert reset(browser, third).status_code == HTTPStatus.CREATED


def test_the_code_of_a_link_is_not_kept(browser: TestClient, lonely: Gateway) -> None:
    code = link(browser, "users/bea/reset-link")
    with lonely.engine.connect() as connection:
        kept = connection.execute(text("select * from one_time_codes")).all()
    assert len(kept) == 1
    assert code not in repr(kept)


def test_links_are_made_by_administrators_for_people_who_are_there(browser: TestClient) -> None:
    token = signed_in(browser, "bea")
    for path in ("users/ada/reset-link", "setup-link"):
        problem(browser.post(f"/api/v1/{path}", headers=token), HTTPStatus.FORBIDDEN)
        problem(TestClient(browser.app).post(f"/api/v1/{path}"), HTTPStatus.UNAUTHORIZED)
    problem(browser.post("/api/v1/users/nobody/reset-link", headers=ROOT), HTTPStatus.NOT_FOUND)
    for name in ("robot", "old"):
        problem(browser.post(f"/api/v1/users/{name}/reset-link", headers=ROOT), HTTPStatus.CONFLICT)


def test_a_link_for_somebody_who_was_switched_off_since_sets_nothing(browser: TestClient, lonely: Gateway) -> None:
    code = link(browser, "users/bea/reset-link")
    lonely.access.change_principal("a test", AT, "u-bea", active=False)
    problem(reset(browser, code), HTTPStatus.FORBIDDEN)
    lonely.access.change_principal("a test", AT, "u-bea", active=True)
    assert reset(browser, code).status_code == HTTPStatus.CREATED


# The first administrator


@pytest.fixture
def nobody(lonely: Gateway) -> None:
    """There is no administrator yet: Ada may administer a domain only."""
    grant = lonely.access.book.grants["g-ada"]
    lonely.access.remove("a test", AT, grant)


def setup(client: TestClient, code: str, name: str = "zoe", password: str = OTHER) -> Any:
    return client.post("/api/v1/setup", json={"code": code, "name": name, "password": password})


@pytest.mark.usefixtures("nobody")
def test_the_first_administrator_is_made_by_a_link_that_works_once(browse: Callable[..., TestClient]) -> None:
    browser, other = browse(), browse()
    code = link(browser, "setup-link")
    problem(setup(browser, code, password="password1234"), HTTPStatus.UNPROCESSABLE_ENTITY)
    problem(setup(browser, code, name="BEA"), HTTPStatus.CONFLICT)
    problem(setup(browser, code, name="admin"), HTTPStatus.CONFLICT)
    problem(setup(browser, "x" + code[1:]), HTTPStatus.FORBIDDEN)
    response = setup(browser, code)
    assert response.status_code == HTTPStatus.CREATED
    assert (response.json()["name"], response.json()["administrator"]) == ("zoe", True)
    assert who(browser) == "zoe"
    assert changing(browser, **{"X-CSRF-Token": response.json()["csrf"]}) == HTTPStatus.CREATED
    problem(setup(other, code, "eve"), HTTPStatus.FORBIDDEN)
    there = problem(other.post("/api/v1/setup-link", headers=ROOT), HTTPStatus.CONFLICT)
    assert "zoe" in there["detail"]
    assert sign_in(other, "zoe", OTHER).status_code == HTTPStatus.CREATED


@pytest.mark.usefixtures("nobody")
def test_a_link_that_was_made_before_there_was_an_administrator_makes_no_second_one(
    browser: TestClient, lonely: Gateway
) -> None:
    code = link(browser, "setup-link")
    lonely.access.put("a test", AT, Grant("g-ada", "user:u-ada", "admin", EVERYTHING))
    problem(setup(browser, code), HTTPStatus.CONFLICT)
    assert "zoe" not in {each.name for each in lonely.access.book.principals.values()}
    problem(sign_in(browser, "zoe", OTHER), HTTPStatus.UNAUTHORIZED)


def test_a_switched_off_administrator_is_none_and_neither_is_a_service_account(
    browser: TestClient, lonely: Gateway
) -> None:
    lonely.access.put("a test", AT, Grant("g-robot", "user:s-robot", "admin", EVERYTHING))
    problem(browser.post("/api/v1/setup-link", headers=ROOT), HTTPStatus.CONFLICT)
    lonely.access.change_principal("a test", AT, "u-ada", active=False)
    assert setup(browser, link(browser, "setup-link")).status_code == HTTPStatus.CREATED


# Guessing


def test_a_name_is_not_to_be_guessed_at_without_waiting_and_its_owner_is_never_kept_out(
    browse: Callable[..., TestClient], lonely: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = browse()
    for _ in range(5):
        problem(sign_in(browser, "ada", "wrong"), HTTPStatus.UNAUTHORIZED)
    refused = sign_in(browser)
    assert "try again in 1 s" in problem(refused, HTTPStatus.TOO_MANY_REQUESTS)["detail"]
    assert refused.headers["retry-after"] == "1"
    assert sign_in(browse(), "bea").status_code == HTTPStatus.CREATED
    later(lonely, "sign_in_attempts", "blocked_until", timedelta(seconds=1))
    assert sign_in(browser).status_code == HTTPStatus.CREATED
    for _ in range(5):
        problem(sign_in(browser, "ada", "wrong"), HTTPStatus.UNAUTHORIZED)
    monkeypatch.setattr(attempt_store, "wait_of", lambda *_: timedelta())
    assert sign_in(browser).status_code == HTTPStatus.CREATED


def test_an_unknown_name_waits_like_a_known_one(browser: TestClient) -> None:
    for _ in range(5):
        problem(sign_in(browser, "nobody"), HTTPStatus.UNAUTHORIZED)
    problem(sign_in(browser, "nobody"), HTTPStatus.TOO_MANY_REQUESTS)


# Names that steer something


@pytest.mark.parametrize(
    "name", ["ada\r\nSet-Cookie: x=1", "ada\x00", "\u202eada", "\ud800", "<script>alert(1)</script>"]
)
@pytest.mark.usefixtures("nobody")
def test_a_name_steers_nothing(browser: TestClient, name: str) -> None:
    code = link(browser, "setup-link")
    for path, body in (("session", {"name": name}), ("setup", {"name": name, "code": code})):
        response = browser.post(f"/api/v1/{path}", content=json.dumps(body | {"password": OTHER}))
        assert response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY)
        assert "set-cookie" not in response.headers
        assert response.headers["content-type"] == "application/problem+json"
    assert setup(browser, code).status_code == HTTPStatus.CREATED


def test_the_page_runs_its_own_script_only_and_stands_in_no_frame(browser: TestClient) -> None:
    first, second = browser.get("/sign-in"), browser.get("/sign-in")
    allowed = first.headers["content-security-policy"]
    nonce = allowed.partition("script-src 'nonce-")[2].partition("'")[0]
    assert first.text.count(f'nonce="{nonce}"') == first.text.count("<script") + first.text.count("<style") == 2
    assert "frame-ancestors 'none'" in allowed
    assert allowed != second.headers["content-security-policy"]
    assert "innerHTML" not in first.text


@pytest.fixture
def printed(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command line, against this gateway."""
    monkeypatch.setenv("HEADRACE_TOKEN", ADMIN)
    monkeypatch.setenv("COLUMNS", "40")  # a link is printed in one piece all the same
    client = TestClient(app, f"https://{HOST}")

    def forward(request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        found = client.request(request.method, path, content=request.content, headers=dict(request.headers))
        return httpx.Response(found.status_code, content=found.content)

    session = Session(transport=httpx.MockTransport(forward))
    return lambda *args: CliRunner().invoke(program, ["--url", f"https://{HOST}", *args], obj=session)


@pytest.mark.usefixtures("nobody")
def test_the_command_line_prints_links_that_work(printed: Callable[..., Any], browser: TestClient) -> None:
    def code(*command: str) -> str:
        result = printed("access", *command)
        assert result.exit_code == 0, result.output
        address, _, fragment = result.stdout.strip().partition("#")
        assert address == f"https://{HOST}/sign-in"
        assert "works once" in result.stderr
        return str(fragment.partition("=")[2])

    assert setup(browser, code("first-admin")).status_code == HTTPStatus.CREATED
    assert reset(browser, code("reset-link", "bea")).status_code == HTTPStatus.CREATED
    told = json.loads(printed("access", "reset-link", "bea", "-o", "json").stdout)
    assert told["link"].startswith(f"https://{HOST}/sign-in#password=")
    again = printed("access", "first-admin")
    assert again.exit_code == 1
    assert "zoe" in again.stderr

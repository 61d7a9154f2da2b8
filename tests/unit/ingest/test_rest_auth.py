"""Credentials prove who asks, and show nowhere; a refresh token that is good once is not lost."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from headrace.connector import Connector, Surroundings, opened
from headrace.connector.conformance import LOOPBACK
from headrace.connector.http import Clock, Http, Limits
from headrace.connector.oauth import Client, Tokens, begun, code_of, exchanged
from headrace.connector.protocol import keeps_no_secrets
from headrace.contract import load
from headrace.errors import ContractError, Fatal, Transient
from services.ingest.connectors.rest.connector import RestConnector
from services.ingest.connectors.rest.settings import RestSource
from tests.unit.ingest.oauth_server import CLIENT, CLIENT_SECRET, PUBLIC, REDIRECT, OAuthServer
from tests.unit.ingest.rest_api import Api, Reply, Request, served

CANARY = 'canary-"s3cr&t"/ü'
ASCII_CANARY = "canary-s3cr&t+/=<x>"


@dataclass
class Secrets:
    """A store of secrets."""

    values: dict[str, str] = field(default_factory=dict, repr=False)
    kept: list[str] = field(default_factory=list)

    def find(self, name: str) -> SecretStr:
        return SecretStr(self.values[name])

    def keep(self, name: str, value: SecretStr) -> None:
        self.values[name] = value.get_secret_value()
        self.kept.append(name)


@pytest.fixture
def oauth() -> OAuthServer:
    return OAuthServer()


@pytest.fixture
def api(oauth: OAuthServer) -> Iterator[Api]:
    with served(Api([{"id": n} for n in range(20)])) as found:
        oauth.base = found.url
        found.more = {"/token": oauth.token, "/authorize": oauth.authorize}
        yield found


def source(api: Api, auth: dict[str, Any], **settings: Any) -> RestSource:
    rest = {"type": "rest", "url": f"{api.url}/link", "records": "$.data.items", "pagination": {"type": "link"}}
    return RestSource.model_validate({**rest, "auth": auth, **settings})


def surroundings(secrets: Secrets) -> Surroundings:
    return Surroundings("a.b", secret=secrets.find, keep_secret=secrets.keep, targets=LOOPBACK)


def connector(api: Api, auth: dict[str, Any], secrets: Secrets, **settings: Any) -> Connector:
    return opened(source(api, auth, **settings), surroundings(secrets))


def ids(found: Connector) -> list[int]:
    return [int(row["id"]) for fetched, _ in found.read(None) for row in fetched.rows.to_pylist()]


def by_refresh_token(api: Api, **more: Any) -> dict[str, Any]:
    return {
        "type": "oauth2_refresh_token",
        "token_url": f"{api.url}/token",
        "client_id": CLIENT,
        "client_secret": "secret://client",
        "refresh_token": "secret://refresh",
        **more,
    }


def by_client_credentials(api: Api, **more: Any) -> dict[str, Any]:
    return {
        "type": "oauth2_client_credentials",
        "token_url": f"{api.url}/token",
        "client_id": CLIENT,
        "client_secret": "secret://client",
        **more,
    }


# --- credentials that stand -------------------------------------------------------------------------------------------

STANDING: dict[str, tuple[dict[str, Any], str, Any]] = {
    "basic": (
        {"type": "basic", "user": "me", "password": "secret://s"},
        CANARY,
        lambda request: request.headers.get("authorization")
        == f"Basic {b64encode(f'me:{CANARY}'.encode()).decode()}",
    ),
    "bearer": (
        {"type": "bearer", "token": "secret://s"},
        ASCII_CANARY,
        lambda request: request.headers.get("authorization") == f"Bearer {ASCII_CANARY}",
    ),
    "key in a header": (
        {"type": "api_key", "key": "secret://s", "header": "X-My-Key"},
        ASCII_CANARY,
        lambda request: request.headers.get("x-my-key") == ASCII_CANARY,
    ),
    "key in the query": (
        {"type": "api_key", "key": "secret://s", "param": "my_key"},
        CANARY,
        lambda request: request.query.get("my_key") == CANARY,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", STANDING)
def test_every_request_is_signed(api: Api, kind: str) -> None:
    auth, secret, api.allows = STANDING[kind]
    assert ids(connector(api, auth, Secrets({"s": secret}))) == [*range(20)]


@pytest.mark.parametrize("kind", STANDING)
def test_the_control_a_wrong_credential_is_refused_in_the_servers_words(api: Api, kind: str) -> None:
    auth, _, api.allows = STANDING[kind]
    step = list(connector(api, auth, Secrets({"s": "another"})).check())[-1]
    assert (step.name, step.ok, step.field) == ("authenticate", False, "source.auth")
    assert "answered 401" in step.message
    assert "who are you?" in step.message


def test_a_credential_that_was_replaced_is_taken_up_in_the_middle(api: Api) -> None:
    secrets, good = Secrets({"s": "first"}), ["first"]
    api.allows = lambda request: request.headers.get("authorization") == f"Bearer {good[0]}"
    steps = connector(api, {"type": "bearer", "token": "secret://s"}, secrets).read(None)
    next(steps)
    secrets.values["s"] = good[0] = "second"
    assert sum(fetched.rows.num_rows for fetched, _ in steps) == 12


def test_a_credential_nobody_has_set_is_said_so(api: Api) -> None:
    auth, _, _ = STANDING["bearer"]
    step = list(connector(api, auth, Secrets()).check())[-1]
    assert (step.name, step.field) == ("authenticate", "source.auth")
    assert "headrace secret set s" in step.message


@pytest.mark.parametrize("kind", ["bearer", "key in a header"])
def test_a_credential_that_no_header_can_hold_is_not_shown(api: Api, kind: str) -> None:
    auth, _, _ = STANDING[kind]
    with pytest.raises(Fatal, match="line break") as raised:
        ids(connector(api, auth, Secrets({"s": "canary\n"})))
    assert "canary" not in "".join(_chain(raised.value))


# --- nothing shows ----------------------------------------------------------------------------------------------------


def _chain(error: BaseException | None) -> Iterator[str]:
    """What a log shows of an error and its causes."""
    while error is not None:
        yield f"{error!r} {error}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


MISBEHAVIOURS: dict[str, Any] = {
    "nothing": lambda request: None,
    "echo refused": lambda request: Reply({"you": dict(request.headers), "q": dict(request.query), "p": request.path}, 403),
    "echo broken": lambda request: Reply(str(request).encode(), 500),
    "echo as html": lambda request: Reply(f"<p>{request.headers} {request.query}".encode()),
    "echo asks to wait": lambda request: Reply(str(request).encode(), 429, {"Retry-After": "1000"}),
    "echo as records": lambda request: Reply({"data": {"rows": []}, **dict(request.query), **dict(request.headers)}),
    "redirect with the query": lambda request: Reply(b"", 302, {"Location": f"ftp://x/?{'&'.join(request.query.values())}"}),
}  # fmt: skip


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
@pytest.mark.parametrize("kind", STANDING)
def test_no_credential_shows_whatever_the_server_does(
    api: Api, kind: str, misbehaviour: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    auth, secret, api.allows = STANDING[kind]
    shown = everything_shown(api, auth, Secrets({"s": secret}), MISBEHAVIOURS[misbehaviour])
    assert "canary" not in shown + caplog.text
    assert len(api.requests) > 1
    assert any(api.allows(request) for request in api.requests), "the control: it was sent"


def everything_shown(api: Api, auth: dict[str, Any], secrets: Secrets, misbehaviour: Any) -> str:
    """Messages, positions and reprs of a check and a read."""
    found = connector(api, auth, secrets)
    answer = api.answer

    def misbehaving(request: Request) -> Reply:
        reply = misbehaviour(request)
        if reply is not None:
            api.requests.append(request)
        return reply or answer(request)

    api.answer = misbehaving  # type: ignore[method-assign]
    shown: list[str] = [repr(step) for step in found.check()]
    try:
        shown += [f"{fetched!r} {position}" for fetched, position in found.read(None)]
    except (Fatal, Transient) as error:
        shown += _chain(error)
    inside = [repr(vars(part)) for part in (found, found._auth, found._http)]  # type: ignore[attr-defined]
    return "\n".join([*shown, *inside, repr(found)])


@pytest.mark.parametrize("bad", ["http://me:canary@host/x", "https://host/x?api_key=canary"])
def test_a_url_with_a_credential_is_refused_without_it(bad: str) -> None:
    with pytest.raises(ValueError, match="credential in it") as raised:
        RestSource.model_validate({"type": "rest", "url": bad})
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    "settings", [{"headers": {"Authorization": "canary"}}, {"params": {"api_key": "canary"}}], ids=["header", "param"]
)
def test_a_credential_among_headers_and_parameters_is_refused_without_it(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"source\.auth") as raised:
        RestSource.model_validate({"type": "rest", "url": "https://host/x", **settings})
    assert "canary" not in str(raised.value)


def test_a_dataset_file_says_all_that_is_wrong_and_shows_no_credential() -> None:
    file = """\
dataset: shop.orders
description: d
owner: {team: t}
source:
  type: rest
  url: https://me:canary@api.example.com/orders
  records: $.data[
  pagination: {type: curser, path: $.next}
  auth: {type: bearer, token: canary}
  headers: {Authorization: canary}
  params: {access_token: canary}
"""
    with pytest.raises(ContractError) as raised:
        load(file)
    found = [(problem.line, problem.path) for problem in raised.value.problems]
    assert found == [
        (6, "source.url"),
        (7, "source.records"),
        (8, "source.pagination.type"),
        (9, "source.auth.token"),
        (10, "source.headers"),
        (11, "source.params"),
    ]
    assert "canary" not in str(raised.value)
    assert "Did you mean cursor?" in str(raised.value)


# --- client credentials -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["basic", "post"])
def test_client_credentials_become_a_token_that_is_used_while_it_is_good(
    api: Api, oauth: OAuthServer, where: str
) -> None:
    api.allows = oauth.takes
    found = connector(
        api, by_client_credentials(api, client_auth=where, scopes=["read", "list"]), Secrets({"client": CLIENT_SECRET})
    )
    assert ids(found) == [*range(20)]
    assert ids(found) == [*range(20)]
    assert oauth.state.asked == 1
    assert next(r for r in api.requests if r.path == "/token").form["scope"] == "read list"


def test_a_token_that_is_revoked_in_the_middle_is_replaced_once(api: Api, oauth: OAuthServer) -> None:
    api.allows = oauth.takes
    steps = connector(api, by_client_credentials(api), Secrets({"client": CLIENT_SECRET})).read(None)
    next(steps)
    oauth.state.access_tokens.clear()
    assert sum(fetched.rows.num_rows for fetched, _ in steps) == 12
    assert oauth.state.asked == 2


def test_a_token_that_is_never_taken_is_asked_for_twice_and_no_more(api: Api, oauth: OAuthServer) -> None:
    api.allows = lambda _: False
    with pytest.raises(Fatal, match="answered 401"):
        ids(connector(api, by_client_credentials(api), Secrets({"client": CLIENT_SECRET})))
    assert oauth.state.asked == 2


def test_a_token_is_replaced_before_it_expires(api: Api, oauth: OAuthServer) -> None:
    api.allows = oauth.takes
    now = [0.0]
    clock = Clock(monotonic=lambda: now[0])
    found = RestConnector(
        source(api, by_client_credentials(api)), surroundings(Secrets({"client": CLIENT_SECRET})), clock
    )
    ids(found)
    now[0] = 3500.0
    ids(found)
    now[0] = 3580.0
    ids(found)
    assert oauth.state.asked == 2
    assert not any(request.path == "/token" and api.allows(request) for request in api.requests)


def test_a_client_that_is_not_known_is_refused_in_the_servers_words(api: Api) -> None:
    step = list(connector(api, by_client_credentials(api), Secrets({"client": "wrong-canary"})).check())[-1]
    assert (step.name, step.ok, step.field) == ("authenticate", False, "source.auth")
    assert "invalid_client" in step.message
    assert "canary" not in step.message


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply({"token": "t-canary"}), Fatal, "without an access_token, only token"),
        (Reply(b"access_token=t-canary"), Fatal, "no JSON object"),
        (Reply({"access_token": "t-canary", "token_type": "mac"}), Fatal, "type 'mac'"),
        (Reply({"error": "server_error"}, 500), Transient, "answered 500"),
        (Reply(b"", 302, {"Location": "http://127.0.0.2/token"}), Fatal, "answered 302"),
    ],
)
def test_a_token_endpoint_that_gives_none_is_said_so(api: Api, reply: Reply, error: type[Exception], said: str) -> None:
    api.more["/token"] = lambda _: reply
    with pytest.raises(error, match=said) as raised:
        ids(connector(api, by_client_credentials(api), Secrets({"client": CLIENT_SECRET})))
    assert "canary" not in "".join(_chain(raised.value))
    assert {request.path for request in api.requests} == {"/token"}


# --- refresh tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [CLIENT, PUBLIC])
def test_a_refresh_token_that_is_replaced_is_kept_before_the_access_token_is_used(
    api: Api, oauth: OAuthServer, client: str
) -> None:
    secrets = Secrets({"refresh": oauth.first_refresh_token(client), "client": CLIENT_SECRET})
    first, good = secrets.values["refresh"], []

    def takes(request: Request) -> bool:
        good.append(secrets.values["refresh"] in oauth.state.refresh_tokens)
        return oauth.takes(request)

    api.allows = takes
    own = {"client_secret": "secret://client"} if client == CLIENT else {"client_secret": None}
    assert ids(connector(api, by_refresh_token(api, client_id=client, **own), secrets)) == [*range(20)]
    assert first in oauth.state.spent
    assert secrets.kept == ["refresh"]
    assert good
    assert all(good), "whenever the API was asked, the token that was kept was good"


def test_a_server_that_replaces_no_token_leaves_the_secret_alone(api: Api, oauth: OAuthServer) -> None:
    def token(request: Request) -> Reply:
        oauth.state.access_tokens.add("t")
        return Reply({"access_token": "t", "token_type": "bearer", "refresh_token": request.form["refresh_token"]})

    api.more["/token"] = token
    secrets = Secrets({"refresh": "r", "client": CLIENT_SECRET})
    assert ids(connector(api, by_refresh_token(api), secrets)) == [*range(20)]
    assert secrets.kept == []


def test_an_access_token_is_not_used_when_the_refresh_token_cannot_be_kept(api: Api, oauth: OAuthServer) -> None:
    secrets = Secrets({"refresh": oauth.first_refresh_token(), "client": CLIENT_SECRET})
    found = Surroundings("a.b", secret=secrets.find, keep_secret=keeps_no_secrets, targets=LOOPBACK)
    with pytest.raises(Fatal, match="cannot be kept"):
        ids(opened(source(api, by_refresh_token(api)), found))
    assert {request.path for request in api.requests} == {"/token"}


def test_a_store_that_cannot_be_reached_is_tried_again(api: Api, oauth: OAuthServer) -> None:
    secrets, fails = Secrets({"refresh": oauth.first_refresh_token(), "client": CLIENT_SECRET}), [1, 1, 1]
    slept: list[float] = []

    def keep(name: str, value: SecretStr) -> None:
        if fails:
            fails.pop()
            raise Transient("the store is away")
        secrets.keep(name, value)

    around = Surroundings("a.b", secret=secrets.find, keep_secret=keep, targets=LOOPBACK)
    assert ids(RestConnector(source(api, by_refresh_token(api)), around, Clock(sleep=slept.append))) == [*range(20)]
    assert slept == [1, 2, 4]
    assert secrets.values["refresh"] in oauth.state.refresh_tokens


def test_a_refresh_token_that_is_spent_is_said_so(api: Api) -> None:
    step = list(
        connector(api, by_refresh_token(api), Secrets({"refresh": "spent-canary", "client": CLIENT_SECRET})).check()
    )[-1]
    assert (step.name, step.field) == ("authenticate", "source.auth")
    assert "invalid_grant" in step.message
    assert "canary" not in step.message


def test_two_connectors_of_one_refresh_token_spend_it_one_after_the_other(api: Api, oauth: OAuthServer) -> None:
    secrets = Secrets({"refresh": oauth.first_refresh_token(), "client": CLIENT_SECRET})
    api.allows = oauth.takes
    start, found, failed = threading.Barrier(4), [], []

    def run() -> None:
        one = connector(api, by_refresh_token(api), secrets)
        start.wait()
        try:
            found.append(ids(one))
        except Fatal as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert found == [[*range(20)]] * 4
    assert oauth.state.asked == 4


CHILD = textwrap.dedent("""
    import pathlib, sys
    from pydantic import SecretStr
    from headrace.connector import Surroundings, opened
    from headrace.connector.conformance import LOOPBACK
    from services.ingest.connectors.rest.settings import RestSource

    folder, late, text = pathlib.Path(sys.argv[1]), sys.argv[2] == "late", sys.argv[3]
    kept = []

    def keep(name, value):
        kept.append((name, value))
        if not late:
            flush()

    def flush():
        while kept:
            name, value = kept.pop()
            (folder / name).write_text(value.get_secret_value())

    find = lambda name: SecretStr((folder / name).read_text())
    around = Surroundings("a.b", secret=find, keep_secret=keep, targets=LOOPBACK)
    steps = opened(RestSource.model_validate_json(text), around).read(None)
    rows = sum(fetched.rows.num_rows for fetched, _ in steps)
    flush()
    print(rows)
""")


@pytest.mark.parametrize("late", ["first", "late"], ids=["kept first", "the control: kept after it was used"])
def test_who_dies_between_replacing_a_token_and_using_it_loses_nothing(
    api: Api, oauth: OAuthServer, tmp_path: Path, late: str
) -> None:
    (tmp_path / "refresh").write_text(oauth.first_refresh_token())
    (tmp_path / "client").write_text(CLIENT_SECRET)
    text = source(api, by_refresh_token(api)).model_dump_json()
    child: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, str(tmp_path), late, text]
        root = Path(__file__).parents[3]
        return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def deadly(request: Request) -> bool:
        os.kill(child[0].pid, signal.SIGKILL)
        child[0].wait()
        return True

    api.allows = deadly
    child.append(start())
    child[0].communicate(timeout=60)
    assert child[0].returncode == -signal.SIGKILL
    api.allows = oauth.takes
    out, err = start().communicate(timeout=60)
    if late == "first":
        assert out == "20\n", err
    else:
        assert "invalid_grant" in err


# --- authorization code with PKCE -------------------------------------------------------------------------------------


def agreed(url: str) -> str:
    """Where a person's browser is sent back to."""
    answer = httpx.get(url)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


@pytest.fixture
def http() -> Http:
    return Http(LOOPBACK, Limits())


CLIENTS = {CLIENT: Client(CLIENT, SecretStr(CLIENT_SECRET)), PUBLIC: Client(PUBLIC)}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_a_person_who_agrees_gives_tokens_that_a_source_can_use(
    api: Api, oauth: OAuthServer, http: Http, client: Client
) -> None:
    authorization = begun(f"{api.url}/authorize", client.id, REDIRECT, ["read"], {"prompt": "consent"})
    asked = httpx.URL(authorization.url).params
    assert (asked["code_challenge_method"], asked["scope"], asked["prompt"]) == ("S256", "read", "consent")
    code = code_of(authorization, agreed(authorization.url))
    tokens = exchanged(http, httpx.URL(f"{api.url}/token"), client, authorization, code)
    assert isinstance(tokens, Tokens)
    assert tokens.refresh is not None
    assert tokens.expires_in_s == 3600
    secrets = Secrets({"refresh": tokens.refresh.get_secret_value(), "client": CLIENT_SECRET})
    api.allows = oauth.takes
    own = {"client_secret": "secret://client" if client.secret else None}
    assert ids(connector(api, by_refresh_token(api, client_id=client.id, **own), secrets)) == [*range(20)]


def test_the_control_a_code_without_its_verifier_gives_nothing(api: Api, http: Http) -> None:
    first = begun(f"{api.url}/authorize", PUBLIC, REDIRECT)
    code = code_of(first, agreed(first.url))
    another = begun(f"{api.url}/authorize", PUBLIC, REDIRECT)
    with pytest.raises(Fatal, match="Code challenge failed"):
        exchanged(http, httpx.URL(f"{api.url}/token"), CLIENTS[PUBLIC], another, code)


def test_a_code_is_good_once(api: Api, http: Http) -> None:
    authorization = begun(f"{api.url}/authorize", PUBLIC, REDIRECT)
    code = code_of(authorization, agreed(authorization.url))
    exchanged(http, httpx.URL(f"{api.url}/token"), CLIENTS[PUBLIC], authorization, code)
    with pytest.raises(Fatal, match="invalid_grant") as raised:
        exchanged(http, httpx.URL(f"{api.url}/token"), CLIENTS[PUBLIC], authorization, code)
    assert code.get_secret_value() not in str(raised.value)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("code=c&state={}x", "another"),
        ("code=c", "another"),
        ("code=c&state={0}&state={0}", "another"),
        ("error=access_denied&error_description=not+today&state={}", "access_denied not today"),
        ("state={}", "no code"),
    ],
)
def test_an_answer_that_is_not_to_this_authorization_is_refused(query: str, said: str) -> None:
    authorization = begun("https://host/authorize", CLIENT, REDIRECT)
    with pytest.raises(Fatal, match=said):
        code_of(authorization, f"{REDIRECT}?{query.format(authorization.state.get_secret_value())}")


def test_each_authorization_is_its_own_and_shows_nothing() -> None:
    one, other = (begun("https://host/authorize", CLIENT, REDIRECT) for _ in range(2))
    assert one.state != other.state
    assert one.verifier != other.verifier
    for secret in (one.state, one.verifier):
        assert secret.get_secret_value() not in repr(one)
    assert one.verifier.get_secret_value() not in one.url

"""HTTP to a source: where it may go, how long it waits, how much it takes, and what it says when it fails."""

import datetime as dt
import gzip
import html
import ipaddress
import json
import ssl
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest

from headrace.connector import Surroundings, Targets
from headrace.connector.conformance import LOOPBACK
from headrace.connector.http import Answer, Clock, Http, Limits, Refused, Signature, Throttled, retry_after_s, words
from headrace.errors import Fatal, Transient
from services.ingest.connectors.kafka.registry import ForeignRegistry
from services.ingest.connectors.rest.connector import RestConnector
from services.ingest.connectors.rest.settings import RestSource
from tests.unit.ingest.certificates import self_signed
from tests.unit.ingest.rest_api import Api, Reply, served

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


class Time:
    """A clock that moves by waiting."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    @property
    def clock(self) -> Clock:
        return Clock(lambda: NOW.timestamp() + sum(self.slept), lambda: sum(self.slept), self.slept.append)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def api() -> Iterator[Api]:
    with served(Api([{"id": n} for n in range(3)])) as found:
        yield found


def ask(
    api: Api, time: Time | None = None, path: str = "/none", limits: Limits | None = None, **more: Any
) -> httpx.URL:
    http = Http(LOOPBACK, limits or Limits(), (time or Time()).clock)
    return http.ask("GET", httpx.URL(api.url + path), **more).url


def connector(api: Api, time: Time, **settings: Any) -> RestConnector:
    source = RestSource.model_validate({"type": "rest", "url": f"{api.url}/none", **settings})
    return RestConnector(source, Surroundings("a.b", targets=LOOPBACK), time.clock)


# --- where it may go --------------------------------------------------------------------------------------------------


def test_what_is_not_allowed_is_not_asked(api: Api) -> None:
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_NETWORKS"):
        Http(Targets(), Limits()).ask("GET", httpx.URL(f"{api.url}/none"))
    assert api.requests == []


def test_the_control_a_transport_that_is_not_guarded_reaches_it(api: Api) -> None:
    assert httpx.get(f"{api.url}/none").status_code == 200


def test_a_redirect_is_looked_at_again(api: Api) -> None:
    api.first = [Reply(b"", 302, {"Location": "http://169.254.169.254/latest/meta-data"})]
    with pytest.raises(Fatal, match="never reached"):
        ask(api)


def test_a_name_is_resolved_once_for_a_connection(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that gives an allowed address first and another then gains nothing."""
    asked: list[str] = []
    resolve = Targets.resolve

    def first_only(targets: Targets, host: str, port: int) -> Any:
        asked.append(host)
        assert len(asked) == 1
        return resolve(targets, "127.0.0.1", port)

    monkeypatch.setattr(Targets, "resolve", first_only)
    port = httpx.URL(api.url).port
    answer = Http(LOOPBACK, Limits()).ask("GET", httpx.URL(f"http://rebound.invalid:{port}/none"))
    assert answer.status == 200
    assert api.requests[0].host == f"rebound.invalid:{port}"


SIGNATURE = Signature({"Authorization": "Bearer canary"}, {"key": "canary"})


def test_a_redirect_on_the_same_host_is_signed(api: Api) -> None:
    api.first = [Reply(b"", 302, {"Location": "/page?page=1"})]
    assert str(ask(api, signature=SIGNATURE, headers={"X-Own": "1"})) == f"{api.url}/page?page=1"
    assert api.requests[1].query == {"page": "1", "key": "canary"}
    assert api.requests[1].headers["authorization"] == "Bearer canary"
    assert api.requests[1].headers["x-own"] == "1"


def test_a_credential_does_not_follow_to_another_host(api: Api) -> None:
    with served(Api()) as other:
        api.first = [Reply(b"", 307, {"Location": f"{other.url}/none?key=canary&page=2"})]
        ask(api, signature=SIGNATURE, headers={"X-Own": "1"})
        (request,) = other.requests
        assert request.query == {"page": "2"}
        assert not {"authorization", "x-own"} & set(request.headers)
        assert "canary" not in str(request)
        api.first = [Reply(b"", 307, {"Location": f"{other.url}/none"})]
        with pytest.raises(Fatal, match="another host, to which no body is sent"):
            Http(LOOPBACK, Limits()).ask("POST", httpx.URL(api.url), content=b"canary", signature=SIGNATURE)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/none", "more than 5 times"),
        ("file:///etc/passwd", "not followed"),
        ("http://[::z]/", "no URL"),
        ("http://h:99999/", "no port"),
    ],
)
def test_redirects_that_lead_nowhere_are_errors(api: Api, location: str, said: str) -> None:
    api.first = [Reply(b"", 302, {"Location": location})] * 6
    with pytest.raises(Fatal, match=said):
        ask(api)


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, with its key."""
    return self_signed("localhost", tmp_path_factory.mktemp("tls") / "localhost.pem")


@pytest.fixture
def tls(certificate: Path) -> Iterator[Api]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with served(Api([{"id": n} for n in range(3)]), context) as found:
        found.url = found.url.replace("127.0.0.1", "localhost")
        yield found


def test_the_host_is_checked_by_its_name_and_reached_by_its_address(
    tls: Api, certificate: Path, monkeypatch: pytest.MonkeyPatch, time: Time
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    loopback = Targets([ipaddress.ip_network("127.0.0.0/8")])
    monkeypatch.setattr(Targets, "resolve", lambda *_: ipaddress.ip_address("127.0.0.1"))
    steps = list(connector(tls, time).check())
    assert [step.ok for step in steps] == [True] * 5
    assert "TLSv1.3" in steps[1].message
    wrong = httpx.URL(tls.url.replace("localhost", "another.invalid"))
    with pytest.raises(Fatal, match=r"certificate is not one for another\.invalid"):
        Http(loopback, Limits()).ask("GET", wrong)


def test_a_certificate_nobody_vouches_for_is_refused(tls: Api, time: Time) -> None:
    step = list(connector(tls, time).check())[-1]
    assert (step.name, step.ok, step.field) == ("connect", False, "source.url")
    assert "SSL_CERT_FILE" in step.message


def test_authorities_that_a_source_names_are_trusted_and_no_others(tls: Api, certificate: Path) -> None:
    """As a schema registry is reached, whose certificate the source's `ca_file` vouches for."""
    tls.more["/schemas/ids/7"] = lambda _: Reply({"schema": '"long"'})
    address = str(httpx.URL(tls.url).join("/"))
    assert ForeignRegistry(address, LOOPBACK, ca_file=str(certificate)).schema(7) == '"long"'
    with pytest.raises(Fatal, match="ca_file"):
        ForeignRegistry(address, LOOPBACK).schema(7)


def test_https_is_not_left_for_http(tls: Api, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls.first = [Reply(b"", 302, {"Location": tls.url.replace("https", "http")})]
    with pytest.raises(Fatal, match="it is no https"):
        ask(tls)


# --- how long it waits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("7", 7.0),
        (format_datetime(NOW + dt.timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - dt.timedelta(seconds=90), usegmt=True), 0.0),
        ("soon", None),
        ("", None),
        ("-1", None),
        ("9" * 40, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, wait_s: float | None) -> None:
    assert retry_after_s(value, NOW) == wait_s


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_to_wait_is_waited_for(api: Api, time: Time, status: int) -> None:
    date = format_datetime(NOW + dt.timedelta(seconds=8), usegmt=True)
    api.first = [Reply(b"", status, {"Retry-After": "3"}), Reply(b"", status, {"Retry-After": date})]
    ask(api, time)
    assert time.slept == [3, 5]


def test_a_server_that_is_busy_and_does_not_say_for_how_long_is_asked_ever_less(api: Api, time: Time) -> None:
    api.first = [Reply(b"", 429)] * 10
    with pytest.raises(Throttled, match="asks to wait 16 s"):
        ask(api, time)
    assert time.slept == [1, 2, 4, 8]


def test_a_long_wait_blocks_nobody_and_is_kept_to(api: Api, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    api.first = [Reply({"error": "slow down"}, 429, {"Retry-After": "120"})]
    found = connector(api, time)
    assert (list(found.read(None)), found.waiting, time.slept) == ([], True, [])
    assert "slow down" in caplog.text
    time.slept.append(119)
    assert (list(found.read(None)), found.waiting) == ([], True)
    assert len(api.requests) == 1
    time.slept.append(2)
    assert sum(fetched.rows.num_rows for fetched, _ in found.read(None)) == 3
    assert not found.waiting


def test_no_server_can_ask_for_ever(api: Api, time: Time) -> None:
    api.first = [Reply(b"", 503, {"Retry-After": "999999999"})]
    found = connector(api, time)
    assert list(found.read(None)) == []
    time.slept.append(3600)
    assert sum(fetched.rows.num_rows for fetched, _ in found.read(None)) == 3


def test_rows_before_a_long_wait_are_given_and_the_rest_after_it(api: Api, time: Time) -> None:
    api.rows = [{"id": n} for n in range(20)]
    found = connector(api, time, url=f"{api.url}/page", records="$.data.items", pagination={"type": "page"})
    first, position = next(found.read(None))
    api.first = [Reply(b"", 429, {"Retry-After": "60"})]
    assert list(found.read(position)) == []
    time.slept.append(61)
    rest = [row for fetched, _ in found.read(position) for row in fetched.rows.column("id").to_pylist()]
    assert [*first.rows.column("id").to_pylist(), *rest] == [*range(20)]


def test_requests_keep_to_the_rate(api: Api, time: Time) -> None:
    http = Http(LOOPBACK, Limits(requests_per_s=4), time.clock)
    for _ in range(4):
        http.ask("GET", httpx.URL(f"{api.url}/none"))
    assert time.slept == [0.25, 0.25, 0.25]


def test_a_server_that_drips_is_given_up(api: Api) -> None:
    ticks = iter(range(0, 100_000, 200))
    http = Http(LOOPBACK, Limits(), Clock(monotonic=lambda: next(ticks)))
    api.first = [Reply(b"x" * 1_000_000)]
    with pytest.raises(Transient, match="not whole after 300 s"):
        http.ask("GET", httpx.URL(f"{api.url}/none"))


def test_a_server_that_says_nothing_is_given_up(api: Api) -> None:
    api.first = [Reply(b"", headers={"Content-Length": "10"})]
    with pytest.raises(Transient, match="cannot be reached"):
        ask(api)


# --- how much it takes ------------------------------------------------------------------------------------------------


def test_an_answer_may_be_compressed(api: Api) -> None:
    body = gzip.compress(b'[{"id": 1},') + gzip.compress(b'{"id": 2}]')
    api.first = [Reply(body, headers={"Content-Encoding": "gzip"})]
    http = Http(LOOPBACK, Limits())
    assert http.ask("GET", httpx.URL(f"{api.url}/none")).body == b'[{"id": 1},{"id": 2}]'
    assert api.requests[0].headers["accept-encoding"] == "gzip"


def test_a_decompression_bomb_is_refused(api: Api) -> None:
    api.first = [Reply(gzip.compress(bytes(200_000_000)), headers={"Content-Encoding": "gzip"})]
    with pytest.raises(Fatal, match=r"more than 1000000 bytes.*source\.max_answer_bytes"):
        ask(api, limits=Limits(most_bytes=1_000_000))


@pytest.mark.parametrize(
    "body", [gzip.compress(b"[1, 2, 3]" * 100)[:-12], b"no gzip at all"], ids=["cut off", "no gzip"]
)
def test_a_compressed_answer_that_is_damaged_can_be_read_later(api: Api, body: bytes) -> None:
    api.first = [Reply(body, headers={"Content-Encoding": "gzip"})]
    with pytest.raises(Transient, match="gzip of the answer"):
        ask(api)


# --- what it says -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Refused), (401, Refused), (403, Refused), (404, Refused), (410, Refused), (408, Transient), (500, Transient),
     (502, Transient), (503, Transient), (304, Refused)],
)  # fmt: skip
def test_what_helps_is_told_by_the_status(api: Api, status: int, error: type[Exception]) -> None:
    api.first = [Reply({"message": "the server's own words"} if status != 304 else b"", status)]
    with pytest.raises(error, match=f"answered {status}") as raised:
        ask(api)
    assert status == 304 or "the server's own words" in str(raised.value)
    assert "?" not in str(raised.value)


def test_words_are_few_and_on_one_line(api: Api) -> None:
    api.first = [Reply(b"<html><style>b{}</style><h1>Not\nhere</h1>\x1b[31m" + b"x" * 100_000, 404)]
    with pytest.raises(Refused) as raised:
        ask(api)
    assert "Not here" in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("written", ["{}", "you sent {}, which is wrong", "<i>{}</i>"])
def test_a_credential_is_hidden_however_it_is_repeated(written: str) -> None:
    secret = 'ca/na"ry &é'
    signature = Signature(params={"key": secret})
    for way in (str, quote, quote_plus, html.escape, json.dumps):
        text = written.format(way(secret))
        found = words(Answer(404, httpx.Headers(), text.encode(), httpx.URL("http://h/")), signature)
        assert "ca/na" not in found
        assert "ca%2Fna" not in found
        assert "***" in found

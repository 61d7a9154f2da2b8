"""One file of a web server, which is run by the test."""

import threading
from collections.abc import Iterator, Sequence
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr, ValidationError

from headrace.connector import Connector, Step, Surroundings, Targets, opened
from headrace.connector.conformance import LOOPBACK, Conformance, Row
from headrace.errors import Fatal, Transient
from services.ingest.connectors.file.settings import FileSource
from tests.integration.ingest.rows import csv, numbered, read_all

TOKEN = "canary-http-token"


class Web(ThreadingHTTPServer):
    """What is served by path, and what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.failing: dict[str, int] = {}
        self.ranges = True
        self.token: str | None = None
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.served = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Serves ranges and entity tags, as most servers do."""

    server: Web
    protocol_version = "HTTP/1.1"
    silent: ClassVar[bool] = True

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        web, path = self.server, self.path.partition("?")[0]
        web.asked.append((self.path, dict(self.headers)))
        if path in web.redirects:
            self.answer(302, b"", {"Location": web.redirects[path]})
        elif web.token and self.headers.get("Authorization") != f"Bearer {web.token}":
            self.answer(401, b"who are you?")
        elif path in web.failing:
            self.answer(web.failing[path], b"")
        elif path not in web.files:
            self.answer(404, b"")
        else:
            self.content(web.files[path])

    def content(self, body: bytes) -> None:
        tag = f'"{md5(body).hexdigest()}"'
        wanted = self.headers.get("Range", "")
        if self.headers.get("If-Match", tag) != tag:
            self.answer(412, b"")
        elif wanted.startswith("bytes=") and self.server.ranges:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            if int(first) >= len(body):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(body)}", "ETag": tag})
                return
            part = body[int(first) : int(last) + 1]
            until = int(first) + len(part) - 1
            self.answer(206, part, {"Content-Range": f"bytes {first}-{until}/{len(body)}", "ETag": tag})
        else:
            self.answer(200, body, {"ETag": tag})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


class Page:
    """One file at the server, which may grow."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.rows: list[Row] = []
        self.add(), self.add()

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        rows = numbered(len(self.rows), 20)
        self.rows += rows
        self.web.files["/data/a.csv"] = csv(self.rows)
        return rows

    def source(self, path: str = "data/a.csv", base: str | None = None, **storage: Any) -> FileSource:
        url = f"{base or self.web.url}/{path}"
        return FileSource.model_validate({"type": "file", "path": url, "storage": storage})

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(self.source(), surroundings)

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return self.reader(base="http://127.0.0.1:1")

    def reader(self, path: str = "data/a.csv", targets: Targets = LOOPBACK, **settings: Any) -> Connector:
        secrets = {"token": SecretStr(TOKEN), "wrong": SecretStr("canary-wrong")}
        surroundings = Surroundings("a.b", batch_rows=7, settle_s=0.0, secret=secrets.__getitem__, targets=targets)
        return opened(self.source(path, **settings), surroundings)


@pytest.fixture
def web() -> Iterator[Web]:
    started = Web()
    yield started
    started.shutdown()
    started.server_close()


@pytest.fixture
def page(web: Web) -> Page:
    return Page(web)


class TestHttp(Conformance):
    @pytest.fixture(params=[True, False], ids=["ranges", "no-ranges"])
    def source(self, page: Page, request: pytest.FixtureRequest) -> Page:
        page.web.ranges = request.param
        return page


def last(connector: Connector) -> Step:
    return list(connector.check())[-1]


def test_check_says_each_step(page: Page) -> None:
    page.web.token = TOKEN
    steps = list(page.reader(bearer_token="secret://token").check())
    assert all(step.ok for step in steps)
    assert [step.name for step in steps] == ["resolve", "connect", "authenticate", "find", "format", "read"]


def test_a_token_that_is_not_taken_is_named_and_not_shown(page: Page) -> None:
    page.web.token = TOKEN
    step = last(page.reader(bearer_token="secret://wrong"))
    assert (step.name, step.ok, step.field) == ("authenticate", False, "source.storage.bearer_token")
    assert "canary" not in step.message + step.remedy
    with pytest.raises(Fatal) as raised:
        read_all(page.reader(bearer_token="secret://wrong"))
    assert "canary" not in str(raised.value)


def test_a_signature_in_the_url_is_in_no_message_and_no_position(page: Page) -> None:
    url = "data/a.csv?signature=canary-signature"
    rows, position = read_all(page.reader(url))
    assert rows == page.rows
    assert position is not None
    assert "canary" not in position
    assert all("canary" not in step.message for step in page.reader(url).check())
    page.web.failing["/data/a.csv"] = 500
    with pytest.raises(Transient) as raised:
        read_all(page.reader(url))
    assert "canary" not in str(raised.value)


def test_a_redirect_is_followed_and_looked_at(page: Page) -> None:
    page.web.redirects["/old.csv"] = "/data/a.csv"
    assert read_all(page.reader("old.csv"))[0] == page.rows


@pytest.mark.parametrize(
    "inside", ["http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://[::ffff:10.0.0.1]/"]
)
def test_a_redirect_into_a_network_that_is_not_allowed_is_refused(page: Page, inside: str) -> None:
    page.web.redirects["/old.csv"] = inside
    with pytest.raises(Fatal, match=r"may not be reached|may not reach"):
        read_all(page.reader("old.csv"))


def test_a_redirect_to_another_server_does_not_take_the_token_there(page: Page) -> None:
    other = Web()
    other.files["/data/a.csv"] = csv(page.rows)
    try:
        page.web.redirects["/old.csv"] = f"{other.url}/data/a.csv"
        assert read_all(page.reader("old.csv", bearer_token="secret://token"))[0] == page.rows
        assert "Authorization" in page.web.asked[0][1]
        assert other.asked
        assert all("Authorization" not in headers for _, headers in other.asked)
    finally:
        other.shutdown()
        other.server_close()


def test_a_network_that_is_not_allowed_is_not_reached(page: Page) -> None:
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_NETWORKS"):
        read_all(page.reader(targets=Targets()))
    assert page.web.asked == []


@pytest.mark.parametrize(
    ("status", "kind"), [(500, Transient), (503, Transient), (429, Transient), (400, Fatal), (403, Fatal)]
)
def test_what_passes_is_told_from_what_does_not(page: Page, status: int, kind: type[Exception]) -> None:
    page.web.failing["/data/a.csv"] = status
    with pytest.raises(kind):
        read_all(page.reader())


def test_a_file_that_is_replaced_as_it_is_read_is_read_again_later(page: Page) -> None:
    page.web.files["/data/a.csv"] = csv(numbered(0, 400_000))  # more than one block
    steps = opened(page.source(), Surroundings("a.b", targets=LOOPBACK)).read(None)
    next(steps)
    page.web.files["/data/a.csv"] = csv(numbered(5, 400_000))
    with pytest.raises(Transient):
        list(steps)


def test_a_pattern_is_refused_because_nothing_can_be_listed() -> None:
    with pytest.raises(ValidationError, match="cannot list"):
        FileSource(type="file", path="https://some.host/data/*.csv")


def test_a_password_in_the_url_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"source\.storage"):
        FileSource(type="file", path="https://me:secret@some.host/a.csv")

"""A JSON API on loopback, with every kind of pagination, that can be told to misbehave."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

PAGE = 8


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    host: str

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Reply:
    """What is answered: JSON, or bytes as they are."""

    content: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


Answers = Callable[[Request], Reply]


class Api:
    """Rows at a path for each kind of pagination. `first` are answers that come before the usual ones, whatever is asked."""

    def __init__(self, rows: Sequence[Any] = ()) -> None:
        self.rows: list[Any] = list(rows)
        self.requests: list[Request] = []
        self.first: list[Reply | Answers] = []
        self.more: dict[str, Answers] = {}
        self.allows: Callable[[Request], bool] = lambda _: True
        self.at_least: Callable[[Any, str], bool] = lambda row, since: row["at"] >= int(since)
        self.url = ""

    def answer(self, request: Request) -> Reply:
        """The reply to a request."""
        self.requests.append(request)
        if self.first:
            first = self.first.pop(0)
            return first if isinstance(first, Reply) else first(request)
        if request.path in self.more:
            return self.more[request.path](request)
        if not self.allows(request):
            return Reply({"error": "who are you?", "you_sent": dict(request.headers), "and": dict(request.query)}, 401)
        kind = request.path.strip("/")
        if not hasattr(self, f"_{kind}"):
            return Reply({"error": "no such path"}, 404)
        rows = self.rows
        if "since" in request.query:
            rows = [row for row in rows if self.at_least(row, request.query["since"])]
        reply: Reply = getattr(self, f"_{kind}")(rows, request)
        return reply

    def _none(self, rows: list[Any], request: Request) -> Reply:
        return Reply(rows)

    def _page(self, rows: list[Any], request: Request) -> Reply:
        first = (int(request.query.get("page", 1)) - 1) * PAGE
        return Reply({"data": {"items": rows[first : first + PAGE]}, "pages": -(-len(rows) // PAGE)})

    def _strict_page(self, rows: list[Any], request: Request) -> Reply:
        reply = self._page(rows, request)
        return reply if reply.content["data"]["items"] else Reply({"detail": "Invalid page."}, 404)

    def _offset(self, rows: list[Any], request: Request) -> Reply:
        first = int(request.query.get("offset", 0))
        return Reply({"data": {"items": rows[first : first + PAGE]}, "total": len(rows)})

    def _cursor(self, rows: list[Any], request: Request) -> Reply:
        first = int(request.query.get("cursor", "c0")[1:])
        token = f"c{first + PAGE}" if first + PAGE < len(rows) else None
        headers = {"X-Next": token} if token else {}
        return Reply({"data": {"items": rows[first : first + PAGE]}, "next": token}, headers=headers)

    def _link(self, rows: list[Any], request: Request) -> Reply:
        """As servers do, it repeats the query in the link."""
        first = int(request.query.get("at", 0))
        query = urlencode({**request.query, "at": first + PAGE})
        target = f"http://{request.host}/link?{query}" if first + PAGE < len(rows) else None
        headers = {"Link": f'<{target}>; rel="next", <http://{request.host}/link>; rel="first"'} if target else {}
        return Reply({"data": {"items": rows[first : first + PAGE]}, "next": target}, headers=headers)


@contextmanager
def served(api: Api, context: SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Api]:
    """Serve an API while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def _any(self) -> None:
            at = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            query = dict(parse_qsl(at.query, keep_blank_values=True))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = api.answer(Request(self.command, at.path, query, headers, body, headers["host"]))
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            if "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            self.close_connection = "Content-Length" in reply.headers

        do_GET = do_POST = _any  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    api.url = f"{'http' if context is None else 'https'}://{host}:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)

"""Waits for a person's browser to be sent back to this machine. Source: RFC 8252, section 7.3."""

import html
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from headrace.errors import HeadraceError

_HOST: Final = "127.0.0.1"
_PATH: Final = "/callback"
_IDLE_S: Final = 10  # a browser may open a connection and say nothing
_LONGEST_TARGET: Final = 16_384


class Callback:
    """Where a browser is sent back to, and what it brought."""

    def __init__(self, port: int) -> None:
        self.uri = f"http://{_HOST}:{port}{_PATH}"
        self.belongs: Callable[[str], bool] = lambda _: False
        self._come: queue.SimpleQueue[str] = queue.SimpleQueue()

    def take(self, target: str) -> tuple[int, str]:
        """What a request to `target` is answered: the status, and words for a person."""
        url = self.uri.removesuffix(_PATH) + target
        if target.partition("?")[0] != _PATH or len(target) > _LONGEST_TARGET:
            return 404, "There is nothing here."
        if not self.belongs(url):
            return 400, "This does not answer the authorization that is under way: begin anew from the terminal."
        self._come.put(url)
        return 200, "You can close this window and go back to the terminal."

    def wait(self, patience_s: float) -> str:
        """The URL of the first request that belongs here. Errors: HeadraceError when none comes in time."""
        try:
            return self._come.get(timeout=patience_s)
        except queue.Empty:
            raise HeadraceError(
                f"Nobody came back from the browser in {patience_s:g} s. Run the command again."
            ) from None


@contextmanager
def listening(port: int) -> Iterator[Callback]:
    """Listen on a port of this machine alone; 0 takes a free one. Errors: HeadraceError when it is taken."""

    class Handler(BaseHTTPRequestHandler):
        timeout = _IDLE_S

        def do_GET(self) -> None:
            status, words = callback.take(self.path)
            page = f"<!doctype html><meta charset=utf-8><title>Headrace</title><p>{html.escape(words)}</p>".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the request has the code in it."""

    try:
        server = ThreadingHTTPServer((_HOST, port), Handler)
    except OSError as error:
        raise HeadraceError(f"Cannot listen on {_HOST}:{port} ({error.strerror}). Choose another --port.") from error
    server.daemon_threads = True
    callback = Callback(server.server_port)
    thread = threading.Thread(target=server.serve_forever, name="callback", daemon=True)
    thread.start()
    try:
        yield callback
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

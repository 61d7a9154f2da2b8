"""A TCP proxy that can lose an answer: the request arrives, the connection breaks before the reply."""

import socket
import threading
from typing import Any
from urllib.parse import quote_plus, urlsplit


class Proxy:
    """Passes bytes on between clients and one server, for the length of a `with`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.swallowed = 0
        self._wanted: bytes | None = None

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.close()

    def swallow_answer_to(self, statement: bytes) -> None:
        """Break the next connection that sends a statement with this start, once the server answers it."""
        self._wanted = quote_plus(statement).encode()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        doomed = threading.Event()
        with client, socket.create_connection(self._server) as server:
            up = threading.Thread(target=self._requests, args=(client, server, doomed), daemon=True)
            up.start()
            while answer := server.recv(1 << 16):
                if doomed.is_set():
                    self.swallowed += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(answer)

    def _requests(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        try:
            while sent := client.recv(1 << 16):
                if self._wanted is not None and self._wanted in sent:
                    self._wanted = None
                    doomed.set()
                server.sendall(sent)
        except OSError:
            return

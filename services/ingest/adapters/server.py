"""Runs an ASGI application in a thread beside the service's own work."""

import threading
import time

import uvicorn
from fastapi import FastAPI

from headrace.errors import Fatal

_START_S = 15.0


class HttpServer:
    """One listener. Errors: Fatal on `start` when it cannot listen."""

    def __init__(self, app: FastAPI, host: str, port: int, max_frame_bytes: int = 16 << 20) -> None:
        self._where = f"{host}:{port}"
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
            ws_max_size=max_frame_bytes,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Listen; returns when it does."""
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise Fatal(f"cannot listen on {self._where}; free the port, or set HEADRACE_HTTP_PORT to another")
            time.sleep(0.02)

    def close(self) -> None:
        """Stop listening once the requests at hand are answered."""
        self._server.should_exit = True
        self._thread.join(10.0)

    def _run(self) -> None:
        try:
            self._server.run()
        except SystemExit:
            return

"""Starts the warehouse: `python -m deploy.local.warehouse --path DIR --port 8123` (passwords by environment)."""

import signal
import socket
import sys

import uvicorn
from pydantic_settings import CliApp

from deploy.local.warehouse.app import create_app
from deploy.local.warehouse.engine import Engine, OccupiedError
from deploy.local.warehouse.settings import WarehouseSettings
from headrace.stream import log

_FINISH_WITHIN_S = 20
_IDLE_CONNECTION_S = 60


def main() -> int:
    """Serves until SIGTERM or SIGINT, then finishes what is running. Returns the exit code."""
    settings = CliApp.run(WarehouseSettings)
    log.configure("warehouse", "1", "warning")
    try:
        listener = socket.create_server(("127.0.0.1", settings.port))
        engine = Engine(settings)
    except (OccupiedError, OSError) as error:
        return _say(f"The warehouse cannot start on port {settings.port}: {error}")
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(engine, settings),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_FINISH_WITHIN_S,
            timeout_keep_alive=_IDLE_CONNECTION_S,
        )
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again once it has finished
    server.run(sockets=[listener])
    return 0


def _say(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

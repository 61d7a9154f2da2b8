"""Runs ingest until it is told to stop."""

import logging
import sys

from headrace.errors import Fatal
from headrace.stream.service import run_service
from services.ingest.adapters.ownership import Ownership
from services.ingest.adapters.server import HttpServer
from services.ingest.bootstrap import Workers
from services.ingest.connectors.http_push.http import create_app
from services.ingest.connectors.http_push.desk import Desk
from services.ingest.settings import IngestSettings


def main() -> int:
    """Returns the exit code."""
    settings = IngestSettings()
    desk = Desk(settings.push_queue_bytes)
    app = create_app(
        desk, settings.push_token, max_body_bytes=settings.push_max_body_bytes, timeout_s=settings.push_timeout_s
    )
    server = HttpServer(app, settings.http_host, settings.http_port)
    ownership = Ownership(settings.connection(), settings.session_timeout_ms)
    try:
        server.start()
    except Fatal as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    ownership.start()
    try:
        return run_service("ingest", settings, Workers(settings, ownership, desk), desk.learn)
    finally:
        server.close()
        ownership.close()


if __name__ == "__main__":
    sys.exit(main())

"""Runs the gateway: `python -m services.gateway`."""

import logging
import sys

import uvicorn
from pydantic import ValidationError
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from headrace.errors import Fatal
from headrace.stream import log as logs
from services.gateway.bootstrap import build, serve
from services.gateway.settings import GatewaySettings

log = logging.getLogger(__name__)


def main() -> int:
    """Serve until told to stop. Returns the exit code."""
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        sys.stderr.write(f"The gateway cannot start: {_said(error)}\n")
        return 1
    logs.configure("gateway", settings.instance, settings.log_level)
    try:
        gateway = build(settings)
    except Fatal as error:
        log.error("the gateway cannot start: %s", error)
        return 1
    except (SQLAlchemyError, OSError) as error:
        log.error("the gateway cannot start: its database at %s: %s", make_url(settings.database_url), error)
        return 1
    uvicorn.run(
        serve(gateway),
        host=settings.gateway_host,
        port=settings.gateway_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    return 0


def _said(error: ValidationError) -> str:
    """What is wrong with the environment, by the names of its variables."""
    faults = [
        ("".join(f"HEADRACE_{str(name).upper()}: " for name in each["loc"][:1]), each["msg"]) for each in error.errors()
    ]
    return "; ".join(f"{variable}{said}" for variable, said in faults)


if __name__ == "__main__":
    sys.exit(main())

"""Runs the gateway: `python -m services.gateway`."""

import sys

import uvicorn

from headrace.stream import log as logs
from services.gateway.bootstrap import build, serve
from services.gateway.settings import GatewaySettings


def main() -> int:
    """Serve until told to stop. Returns the exit code."""
    settings = GatewaySettings()
    logs.configure("gateway", settings.instance, settings.log_level)
    uvicorn.run(
        serve(build(settings)),
        host=settings.gateway_host,
        port=settings.gateway_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Whether a port is free, and who has it."""

import socket
import time
from typing import Final

import psutil

from deploy.local.settings import HOST

_LINGERING_S: Final = 15.0  # how long connections of a server that has just ended may keep its port


def holder(port: int) -> str | None:
    """Who listens on the port, as a person would name it; None if it is free to use, if need be after a short wait."""
    deadline = time.monotonic() + _LINGERING_S
    while True:
        try:
            socket.create_server((HOST, port)).close()
        except OSError:
            named = _listener(port)
            if named is not None or time.monotonic() > deadline:
                return named or "another program"
            time.sleep(0.1)
        else:
            return None


def free_port() -> int:
    """A port nobody uses at this moment."""
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


def _listener(port: int) -> str | None:
    for connection in psutil.net_connections("inet"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid is not None:
            return _described(connection.pid)
    return None


def _described(pid: int) -> str:
    try:
        return f"process {pid} ({' '.join(psutil.Process(pid).cmdline())[:80]})"
    except psutil.Error:
        return f"process {pid}"

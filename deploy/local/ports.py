"""Whether a port is free, and who has it."""

import socket

import psutil

from deploy.local.settings import HOST


def holder(port: int) -> str | None:
    """Who listens on the port, as a person would name it; None if it is free to use."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return _listener(port)
    return None


def free_port() -> int:
    """A port nobody uses at this moment."""
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


def _listener(port: int) -> str:
    for connection in psutil.net_connections("inet"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid is not None:
            return _described(connection.pid)
    return "another program"


def _described(pid: int) -> str:
    try:
        return f"process {pid} ({' '.join(psutil.Process(pid).cmdline())[:80]})"
    except psutil.Error:
        return f"process {pid}"

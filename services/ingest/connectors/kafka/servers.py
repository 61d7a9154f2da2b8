"""How a list of brokers is written."""

import re
from dataclasses import dataclass
from typing import Final

_SERVER: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_MOST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Server:
    """A broker as it is named."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def servers_of(text: str) -> list[Server]:
    """The brokers in `host:port,host:port`. Errors: ValueError saying which of them is none."""
    servers = []
    for part in text.split(","):
        found = _SERVER.fullmatch(part.strip())
        if found is None or not 0 < int(found["port"]) <= _MOST_PORT:
            raise ValueError(f"brokers as `host:port` with commas between them; {part.strip()!r:.60} is none")
        servers.append(Server(found["v6"] or found["host"], int(found["port"])))
    return servers

"""A database server as the network has it: where it is, and whether it may be reached. A step of a check says so."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from headrace.connector import Step, Targets
from headrace.connector.targets import Address
from headrace.errors import Fatal, Transient
from services.ingest.connectors.sql.settings import SslMode

CONNECT_S: Final = 10


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, who asks, and how the connection is protected."""

    host: str
    port: int
    name: str
    user: str | None = None
    password: SecretStr | None = None
    sslmode: SslMode = "prefer"
    ca: Path | None = None
    targets: Targets = field(default_factory=Targets)

    def resolved(self) -> Address:
        """The address to connect to. Errors: Transient when the host is not found; Fatal when it may not be reached."""
        return self.targets.resolve(self.host, self.port)

    def hidden(self, text: str) -> str:
        """A message without the password, should a library have put it there."""
        password = self.password.get_secret_value() if self.password is not None else ""
        return text.replace(password, "***") if password else text

    def found(self) -> Iterator[Step]:
        """The steps of finding the host and having it answer on its port."""
        try:
            address = self.resolved()
        except Fatal as error:
            yield Step("resolve", False, str(error), "source.host", "allow its network, or name another host")
            return
        except Transient as error:
            yield Step("resolve", False, str(error), "source.host", "correct the host, or wait for the name server")
            return
        yield Step("resolve", True, f"{self.host} is {address}")
        try:
            with socket.create_connection((str(address), self.port), CONNECT_S):
                pass
        except OSError as error:
            said = f"{address} port {self.port}: {error.strerror or error}"
            yield Step(
                "connect",
                False,
                said,
                "source.port",
                "correct host and port, or start the server and open its firewall",
            )
            return
        yield Step("connect", True, f"{address} answers on port {self.port}")


@dataclass(frozen=True, slots=True)
class Blame:
    """Which step of a login failed, the setting at fault, and what to do."""

    step: str
    field: str
    remedy: str


def refused(blame: Blame, said: str) -> Iterator[Step]:
    """The last steps of a login that failed: what came before the one at fault went well."""
    if blame.step != "tls":
        yield Step("tls", True, "nothing is said against the encryption")
    yield Step(blame.step, False, said, blame.field, blame.remedy)

"""How a foreign cluster is reached: only hosts that may be, with the credentials of the source; what its errors mean."""

import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from pydantic import SecretStr

from headrace.connector import Targets
from headrace.errors import Fatal, HeadraceError, Transient
from headrace.stream.kafka.connection import Connection, mapped
from services.ingest.connectors.kafka.servers import Server

log = logging.getLogger(__name__)

REPLY_S: Final = 10.0
_QUEUED_BYTES: Final = 24 << 20

Said = deque[KafkaError]
"""What a client said of its connections lately."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Some brokers of a cluster, and how they are spoken to. `password` is asked for when a client is made."""

    servers: Sequence[Server]
    targets: Targets
    reader: str  # the name of the group that is never joined
    security: str = "plaintext"
    sasl: Mapping[str, str] = field(default_factory=dict)
    password: Callable[[], SecretStr] | None = field(default=None, repr=False)
    ca_file: str | None = None

    @property
    def encrypted(self) -> bool:
        """Whether brokers show certificates."""
        return self.security.endswith("ssl")

    @property
    def address(self) -> str:
        """What it is called in messages."""
        return ",".join(map(str, self.servers))

    def client(self, isolation: str) -> "Client":
        """A client of the cluster. Errors: Transient, Fatal."""
        said: Said = deque(maxlen=20)

        def hear(error: KafkaError) -> None:
            said.append(error)
            log.info("kafka source %s: %s", self.address, error.str())

        options = {"security.protocol": self.security, **self.sasl}
        if self.ca_file is not None:
            options["ssl.ca.location"] = self.ca_file
        if self.password is not None:
            options["sasl.password"] = self.password().get_secret_value()
        configuration: dict[str, Any] = Connection(self._bootstrap(), options).client(
            client_id="headrace",
            group_id=self.reader,  # required by the client; it is never joined, and nothing is committed
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            auto_offset_reset="error",
            allow_auto_create_topics=False,
            isolation_level=isolation,
            enable_partition_eof=True,
            fetch_wait_max_ms=50,  # also how soon the end of a partition is noticed
            fetch_max_bytes=_QUEUED_BYTES,
            fetch_queue_backoff_ms=2,
            queued_max_messages_kbytes=_QUEUED_BYTES >> 10,
            queued_min_messages=100_000,
        )
        try:
            return Client(Consumer(configuration | {"error_cb": hear}), said)
        except KafkaException as error:
            raise Fatal(f"the settings of {self.address} are not accepted: {error.args[0].str()}") from error

    def check_advertised(self, brokers: Sequence[Server]) -> None:
        """Errors: Fatal when the cluster sends its clients to a host that may not be reached."""
        for broker in brokers:
            with suppress(Transient):  # a name that is not found leads nowhere
                self.targets.resolve(broker.host, broker.port)

    def _bootstrap(self) -> str:
        """The brokers to begin with: where no certificate has to fit a name, by the addresses that were looked at."""
        found = [self.targets.resolve(server.host, server.port) for server in self.servers]
        if self.encrypted:
            return self.address
        return ",".join(str(Server(str(at), server.port)) for at, server in zip(found, self.servers, strict=True))

    def resolve(self) -> str:
        """Find out where the brokers are. Errors: Transient, Fatal."""
        found = [f"{server} is {self.targets.resolve(server.host, server.port)}" for server in self.servers]
        return ", ".join(found)

    def greet(self) -> str:
        """Connect to the first broker that answers, as librdkafka will. Returns what was found.

        Errors: Transient with what each of them said, Fatal when none may be reached or its certificate does not hold.
        """
        failures = []
        for server in self.servers:
            address = self.targets.resolve(server.host, server.port)
            try:
                with socket.create_connection((str(address), server.port), REPLY_S) as raw:
                    return f"{server} accepts connections" if not self.encrypted else self._shake_hands(raw, server)
            except ssl.SSLCertVerificationError as error:
                raise Fatal(f"the certificate of {server} does not hold: {error.verify_message}") from error
            except OSError as error:
                failures.append(f"{server}: {error.strerror or error}")
        raise Transient("; ".join(failures))

    def _shake_hands(self, raw: socket.socket, server: Server) -> str:
        with ssl.create_default_context(cafile=self.ca_file).wrap_socket(raw, server_hostname=server.host) as secured:
            return f"{server} accepts connections, {secured.version()}"


@dataclass(frozen=True, slots=True)
class Client:
    """A consumer of the cluster, and what it said lately."""

    consumer: Consumer
    said: Said

    def problem(self, error: KafkaError | KafkaException | None, doing: str) -> HeadraceError:
        """What it means that something failed, or (None) that nothing came: Fatal when waiting cannot help."""
        self.consumer.poll(0)  # lets it say what it has not said yet
        for heard in self.said:
            if heard.code() == KafkaError._AUTHENTICATION:
                return Fatal(f"{doing}: {heard.str()}; correct source.sasl, or let the user in")
            if heard.code() == KafkaError._SSL and "certificate verify failed" in heard.str():
                return Fatal(f"{doing}: {heard.str()}; correct source.ca_file, or the brokers' certificates")
        last = f": {self.said[-1].str()}" if self.said else ""
        if error is None:
            return Transient(f"{doing}{last}")
        found = mapped(error, doing)
        return Transient(f"{found}{last}") if isinstance(found, Transient) else found

    def close(self) -> None:
        """Give the connections back."""
        self.consumer.close()

"""How every client reaches the brokers, and what its errors mean to the rest of Headrace."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from headrace.errors import Fatal, Fenced, HeadraceError, Transient

log = logging.getLogger(__name__)

_FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})
_HOPELESS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_VERSION,
    }
)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the brokers are; `options` are librdkafka properties that every client gets (TLS, SASL)."""

    bootstrap_servers: str
    options: Mapping[str, str] = field(default_factory=dict)

    def client(self, **more: Any) -> dict[str, Any]:
        """The configuration of a client; underscores in `more` stand for dots."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "log.connection.close": False,
            "reconnect.backoff.max.ms": 1000,
            "logger": log,
            "error_cb": _note,
            **self.options,
            **{name.replace("_", "."): value for name, value in more.items()},
        }


def _note(error: KafkaError) -> None:
    log.log(logging.ERROR if error.fatal() else logging.INFO, "kafka client: %s", error.str())


def mapped(error: KafkaError | KafkaException, doing: str) -> HeadraceError:
    """The project's error for a client's: Fenced when another has taken over, Fatal when waiting cannot help, else Transient."""
    cause: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    said = f"{doing}: {cause.str()} ({cause.name()})"
    if cause.code() in _FENCED:
        return Fenced(f"{said}; another instance has taken this work over")
    if cause.code() == KafkaError._AUTO_OFFSET_RESET:
        return Fatal(f"{said}; the next records were deleted by retention before they were read")
    if cause.code() in _HOPELESS:
        return Fatal(said)
    return Transient(said)

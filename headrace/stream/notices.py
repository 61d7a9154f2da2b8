"""Publishes what happened and what needs a person."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Producer

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.events import EVENTS, INCIDENTS
from headrace.stream.kafka.connection import Connection
from headrace.stream.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """Which process says something."""

    service: str
    instance: str

    def event(self, kind: str, dataset: str | None, message: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """The record of an event that happens now. `kind` is registered in `headrace.stream.events`."""
        return self.record(EVENTS[kind].code, dataset, message, data)

    def record(self, code: str, dataset: str | None, message: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """What events and incidents have in common."""
        return {
            "type": code,
            "dataset": dataset,
            "service": self.service,
            "instance": self.instance,
            "at": datetime.now(UTC),
            "message": message,
            "data": json.dumps(data),
        }


class Notices:
    """Publishes events and incidents. Best effort: what cannot be published is still in the log."""

    def __init__(self, connection: Connection, registry: Registry, service: str, instance: str) -> None:
        self._producer = Producer(connection.client(linger_ms=5, enable_idempotence=True))
        self._controls = Controls(registry)
        self._origin = Origin(service, instance)

    def event(self, kind: str, dataset: str | None, message: str, data: Mapping[str, Any]) -> None:
        """Say that something happened. `kind` is registered in `headrace.stream.events`."""
        record = self._origin.event(kind, dataset, message, data)
        self._publish(topics.EVENTS, "event", dataset or self._origin.service, record)

    def incident(self, kind: str, dataset: str | None, message: str, data: Mapping[str, Any], about: str = "") -> None:
        """Say that something needs a person. `kind` is registered in `headrace.stream.events`.

        Troubles of a kind that a dataset can have at once differ in what they are `about`; whichever instance tells of them.
        """
        self._incident(kind, dataset, "open", message, data, about)

    def resolved(self, kind: str, dataset: str | None, message: str, about: str = "") -> None:
        """Say that an incident of this kind, should there be one, is over."""
        self._incident(kind, dataset, "resolved", message, {}, about)

    def _incident(
        self, kind: str, dataset: str | None, state: str, message: str, data: Mapping[str, Any], about: str = ""
    ) -> None:
        who = self._origin.service, *(() if about else (self._origin.instance,))
        number = "/".join(
            (kind, *who, dataset or "", *((about,) if about else ()))
        )  # the same while the trouble is the same
        record = self._origin.record(INCIDENTS[kind].code, dataset, message, data)
        self._publish(topics.INCIDENTS, "incident", number, {**record, "id": number, "state": state})

    def _publish(self, topic: str, kind: str, key: str, record: Mapping[str, Any]) -> None:
        try:
            self._producer.produce(topic, self._controls.encode(kind, record), key)
            self._producer.flush(5.0)
        except Exception:
            log.exception("could not publish to %s: %s", topic, record["message"])

"""What a connector is made of. A package of one's own can bring a connector: see `docs/connectors.md`."""

from headrace.connector.plugins import CONNECTORS, opened
from headrace.connector.protocol import (
    Connector,
    Counting,
    Fetched,
    KafkaConnect,
    SourceChanged,
    SourceRow,
    Step,
    Stream,
    Surroundings,
)
from headrace.connector.targets import Targets
from headrace.contract.source import SOURCES, SourceSettings

__all__ = [
    "CONNECTORS",
    "SOURCES",
    "Connector",
    "Counting",
    "Fetched",
    "KafkaConnect",
    "SourceChanged",
    "SourceRow",
    "SourceSettings",
    "Step",
    "Stream",
    "Surroundings",
    "Targets",
    "opened",
]

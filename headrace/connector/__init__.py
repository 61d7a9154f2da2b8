"""What a connector is made of. A package of one's own can bring a connector: see `docs/connectors.md`."""

from headrace.connector.plugins import CONNECTORS, opened
from headrace.connector.protocol import (
    Choosing,
    Connector,
    Counting,
    Fetched,
    Holdings,
    HoldingsInMemory,
    KafkaConnect,
    Leaving,
    Ranged,
    ReadingFailed,
    Remnant,
    SourceChanged,
    SourceRow,
    Step,
    Stream,
    Stretch,
    Surroundings,
    WarehouseAccess,
)
from headrace.connector.targets import Targets
from headrace.contract.source import SOURCES, SourceSettings

__all__ = [
    "CONNECTORS",
    "SOURCES",
    "Choosing",
    "Connector",
    "Counting",
    "Fetched",
    "Holdings",
    "HoldingsInMemory",
    "KafkaConnect",
    "Leaving",
    "Ranged",
    "ReadingFailed",
    "Remnant",
    "SourceChanged",
    "SourceRow",
    "SourceSettings",
    "Step",
    "Stream",
    "Stretch",
    "Surroundings",
    "Targets",
    "WarehouseAccess",
    "opened",
]

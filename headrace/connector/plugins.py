"""Finds the code of a connector by the `source.type` it serves."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final

from headrace.connector.protocol import Connector, Surroundings
from headrace.contract.source import SourceSettings
from headrace.errors import Fatal

CONNECTORS: Final = "headrace.connectors"
"""The group of entry points. Each has a `source.type` for a name, and a function `(settings, surroundings) -> Connector`."""

Opener = Callable[[SourceSettings, Surroundings], Connector]


def opened(settings: SourceSettings, surroundings: Surroundings) -> Connector:
    """The connector of a source. Errors: Fatal when there is none, or its code cannot be loaded."""
    found = list(entry_points(group=CONNECTORS, name=settings.type))
    if len(found) != 1:
        packages = ", ".join(sorted(str(point.dist.name) for point in found if point.dist)) or "none installed"
        raise Fatal(f"one package has to bring a connector for sources of type {settings.type}; found: {packages}")
    try:
        opener: Opener = found[0].load()
    except Exception as error:
        raise Fatal(f"the connector of type {settings.type} ({found[0].value}) cannot be loaded: {error}") from error
    return opener(settings, surroundings)

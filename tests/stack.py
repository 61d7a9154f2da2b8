"""What a test may use of the running local stack."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stack:
    """Endpoints of the broker, the registry and the warehouse that all tests of a run share."""

    bootstrap_servers: str
    registry_url: str
    warehouse_url: str

"""Decides in which state the catalog shows a dataset, and whether its rows are as new as was promised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from services.gateway.core.catalog_entry import CatalogEntry
from services.gateway.core.incidents import GENERATION_STOPPED, SOURCE_DOWN, Incident

State = Literal["running", "stopped", "down", "paused", "retired", "new"]
Freshness = Literal["fresh", "late", "unpromised", "empty"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What goes on in all datasets: when rows of each generation were last loaded, what stands open, whose source rests."""

    loaded_at: Mapping[tuple[str, int], datetime] = field(default_factory=dict)
    incidents: Mapping[str, Sequence[Incident]] = field(default_factory=dict)
    committed_at: Mapping[str, Mapping[str, datetime]] = field(
        default_factory=dict
    )  # by stage, where an incident is open
    paused: frozenset[str] = frozenset()
    queries: Mapping[str, int] = field(default_factory=dict)

    def last_loaded_at(self, entry: CatalogEntry) -> datetime | None:
        """When rows of the live generation were last loaded."""
        return self.loaded_at.get((entry.name, entry.generation))

    def state(self, entry: CatalogEntry) -> State:
        """What a dataset is doing. What needs a person comes first."""
        if entry.state == "retired":
            return "retired"
        loaded_at = self.last_loaded_at(entry)
        standing = {
            incident.type
            for incident in self.incidents.get(entry.name, ())
            if (incident.version is None or incident.version >= entry.version)
            and not incident.overcome_by(self.committed_at.get(entry.name, {}))
        } - {GENERATION_STOPPED}
        if standing - {SOURCE_DOWN}:
            return "stopped"
        if entry.name in self.paused or entry.state == "paused":
            return "paused"
        if standing:
            return "down"
        return "new" if loaded_at is None else "running"

    def freshness(self, entry: CatalogEntry, now: datetime) -> Freshness:
        """Whether its newest rows are as new as its file promises."""
        loaded_at, within_s = self.last_loaded_at(entry), entry.fresh_within_s
        if loaded_at is None:
            return "empty"
        if within_s is None:
            return "unpromised"
        return "fresh" if (now - loaded_at).total_seconds() <= within_s else "late"

"""Decides which incidents still stand: those of a service that has not worked on the dataset since."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.gateway.core.datasets import DatasetVersion

STOPPED: Final = "dataset_stopped"


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that needs a person. Fields: `schemas/incident.avsc`."""

    id: str
    type: str
    dataset: str | None
    service: str
    at: datetime
    state: str
    message: str
    data: str

    @property
    def version(self) -> int | None:
        """The dataset's version that the service worked on, when the incident says so."""
        try:
            found = json.loads(self.data)["version"]
        except (ValueError, TypeError, KeyError):
            return None
        return found if isinstance(found, int) else None


def standing(
    incidents: Iterable[Incident], dataset: DatasetVersion, last_commit_at: Mapping[str, datetime]
) -> tuple[Incident, ...]:
    """The incidents of a dataset that were not overcome: by a newer version, or by a later commit of the service."""
    return tuple(
        incident
        for incident in incidents
        if (incident.version is None or incident.version >= dataset.version)
        and (incident.service not in last_commit_at or last_commit_at[incident.service] < incident.at)
    )

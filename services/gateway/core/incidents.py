"""Decides which incidents still stand: those of a service that has not worked on the dataset since."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.gateway.core.datasets import DatasetVersion

STOPPED: Final = "dataset_stopped"
SOURCE_DOWN: Final = "source_down"  # passes by itself: it is waited for
GENERATION_STOPPED: Final = "generation_stopped"  # one that is not live: its dataset does not mind
HELD: Final = "row_held"  # on purpose: a person is to decide
KEPT: Final = (STOPPED, SOURCE_DOWN, GENERATION_STOPPED, HELD)


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
        found = self._said("version")
        return found if isinstance(found, int) else None

    @property
    def subject(self) -> str:
        """What it is kept under: the dataset, or a generation of it that is not the live one."""
        generation = self._said("generation")
        return f"{self.dataset}/g{generation}" if self.type == GENERATION_STOPPED else self.dataset or ""

    @property
    def since(self) -> datetime:
        """Since when it has been so, which may be before it was told."""
        said = self._said("since")
        try:
            return datetime.fromisoformat(said) if isinstance(said, str) else self.at
        except ValueError:
            return self.at

    @property
    def cause(self) -> str:
        """What went wrong, without who and when, where the incident says so."""
        said = self._said("error")
        return said if isinstance(said, str) else self.message

    @property
    def told(self) -> dict[str, Any]:
        """Its data; nothing where that is none."""
        try:
            found = json.loads(self.data)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def overcome_by(self, last_commit_at: Mapping[str, datetime]) -> bool:
        """Whether the service has done since what had come to a stop. A commit says nothing of a worker that makes none."""
        commits = f"{self.service} {self.dataset}"  # `Pump.name`, and that of ingest's source task
        does_not_commit = self._said("worker") not in (None, commits)
        latest = last_commit_at.get(self.service)
        return latest is not None and latest >= self.at and not does_not_commit

    def _said(self, name: str) -> object:
        found: object = self.told.get(name)
        return found


def standing(
    incidents: Iterable[Incident], dataset: DatasetVersion, last_commit_at: Mapping[str, datetime]
) -> tuple[Incident, ...]:
    """The incidents of a dataset that were not overcome: by a newer version, or by what its service has done since."""
    return tuple(
        incident
        for incident in incidents
        if (incident.version is None or incident.version >= dataset.version)
        and not incident.overcome_by(last_commit_at)
    )

"""Decides what a source is doing: being read, quiet, away, at rest because somebody wants it so, or given up."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from headrace.stream.wishes import Wish
from services.gateway.core.datasets import DatasetVersion, SourcePosition
from services.gateway.core.incidents import SOURCE_DOWN, STOPPED, Incident

State = Literal["reading", "quiet", "down", "paused", "stopped"]
_READER = "ingest"


@dataclass(frozen=True, slots=True)
class SourceState:
    """What a source is doing, since when, and where somebody or something is the cause, which."""

    state: State
    since: datetime | None = None
    by: str = ""
    because: str = ""


def source_state(
    dataset: DatasetVersion,
    pause: Wish | None,
    incidents: Iterable[Incident],
    position: SourcePosition | None,
    last_commit_at: datetime | None,
) -> SourceState:
    """What a source is doing. What a person wants comes first: whether a paused source is away, nobody knows.

    `incidents` are those that stand, `last_commit_at` is when ingest last wrote rows of it.
    """
    if pause is not None:
        return SourceState("paused", pause.at, pause.by, pause.because)
    told = {incident.type: incident for incident in incidents if incident.service == _READER}
    if (stopped := told.get(STOPPED)) is not None:
        return SourceState("stopped", stopped.at, because=stopped.message)
    if (down := told.get(SOURCE_DOWN)) is not None:
        return SourceState("down", down.since, because=down.cause)
    if dataset.contract().source.type == "http_push":
        return SourceState("quiet", last_commit_at or dataset.applied_at)
    if position is not None and position.ended(dataset):
        return SourceState("quiet", position.at)
    return SourceState("reading", last_commit_at)

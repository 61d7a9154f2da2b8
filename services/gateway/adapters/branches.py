"""Finds the branches (`source.type: dataset`) that read a generation of a dataset: see decision 30."""

from collections.abc import Iterable
from contextlib import closing

from headrace.stream import topics
from headrace.stream.branches import Place
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed
from services.gateway.core.branches import reading
from services.gateway.core.datasets import DatasetVersion


class Branches:
    """Looks where the sources stand."""

    def __init__(self, connection: Connection, controls: Controls) -> None:
        self._connection = connection
        self._controls = controls

    def reading(self, live: Iterable[DatasetVersion], origin: str, generation: int) -> list[str]:
        """The names of the datasets that would stop when a generation of `origin` goes. Errors: Transient."""
        with closing(Followed(self._connection, topics.SOURCE_POSITIONS, self._place)) as followed:
            followed.refresh()
            return reading(live, followed.state, origin, generation)

    def _place(self, value: bytes) -> Place | None:
        record = self._controls.decode(value)
        text = record["position"] if record["connector"] == "dataset" else ""
        return Place.from_json(text) if text else None

"""What people decided about the rows of datasets, as it stands now: followed once, shared by the workers of all datasets."""

import threading

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed
from headrace.stream.overrides import Decisions, Override
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset


class KnownOverrides:
    """Follows the topic of overrides. Safe to share between threads: what is known is replaced, never changed."""

    def __init__(self, connection: Connection, registry: Registry) -> None:
        controls = Controls(registry)
        self._followed = Followed(connection, topics.OVERRIDES, lambda value: Override.of(controls.decode(value)))
        self._reading = threading.Lock()
        self._known: tuple[Override, ...] = ()

    def refresh(self) -> None:
        """Read on to the present end of the topic. Errors: Transient."""
        with self._reading:
            if self._followed.refresh():
                self._known = tuple(self._followed.state.values())

    def about(self, dataset: LiveDataset) -> Decisions:
        """What was decided about the rows of a dataset, as of the last `refresh`. When it changes, its work begins anew."""
        return Decisions.about(dataset.name, self._known)

    def close(self) -> None:
        """Stop following."""
        with self._reading:
            self._followed.close()

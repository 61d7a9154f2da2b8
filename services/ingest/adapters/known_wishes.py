"""What people ask of sources, as it stands now: followed once, shared by the workers of all datasets."""

import threading
from collections.abc import Mapping

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed
from headrace.stream.registry import Registry
from headrace.stream.runs import History, Run, backfilling, histories
from headrace.stream.wishes import Wish, pause_of, run_of


class KnownWishes:
    """Follows the topics of wishes and runs. Safe to share between threads: what is known is replaced, never changed."""

    def __init__(self, connection: Connection, registry: Registry) -> None:
        controls = Controls(registry)
        self._followed = Followed(connection, topics.SOURCE_WISHES, lambda value: Wish.of(controls.decode(value)))
        self._runs = Followed(connection, topics.RUNS, lambda value: Run.of(controls.decode(value)))
        self._reading = threading.Lock()
        self._known: Mapping[str, Wish] = {}
        self._backfilling: frozenset[str] = frozenset()
        self._histories: Mapping[str, History] = {}

    def refresh(self) -> None:
        """Read on to the present end of the topics. Errors: Transient."""
        with self._reading:
            if self._followed.refresh():
                self._known = dict(self._followed.state)
            if self._runs.refresh():
                self._histories = histories(self._runs.state.values())
                self._backfilling = backfilling(self._histories)

    def pause(self, dataset: str) -> Wish | None:
        """The pause of a source that stood at the last `refresh`."""
        return pause_of(self._known, dataset)

    def run(self, dataset: str) -> str:
        """The name of the last wish that a source be read now; nothing when there was none."""
        return run_of(self._known, dataset)

    def backfill(self, dataset: str) -> bool:
        """Whether a backfill of a dataset was being read, or was to begin, at the last `refresh`."""
        return dataset in self._backfilling

    def history(self, dataset: str) -> History:
        """The runs of a dataset, as of the last `refresh`."""
        return self._histories.get(dataset, History())

    def close(self) -> None:
        """Stop following."""
        with self._reading:
            self._followed.close()
            self._runs.close()

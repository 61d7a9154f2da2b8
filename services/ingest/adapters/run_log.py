"""The runs of a dataset, as ingest tells of them, and whether another full load is due."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from confluent_kafka import IsolationLevel

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed, Replay
from headrace.stream.outputs import Messages
from headrace.stream.runs import History, Run
from headrace.stream.service import LiveDataset
from services.ingest.adapters.committed import committed
from services.ingest.core.upstreams import Inputs, due

_OPEN: Final = "begun"


class RunLog:
    """The runs of one dataset. Only for who has shut out the last owner: what it has committed is all there is."""

    def __init__(self, dataset: LiveDataset, connection: Connection, controls: Controls) -> None:
        self._dataset = dataset
        self._connection = connection
        self._controls = controls
        self._there_since = datetime.now(UTC)
        barrier = committed(connection, topics.RUNS)
        try:
            for _ in barrier.advance():
                pass
        finally:
            barrier.close()
        self._followed = Followed(connection, topics.RUNS, lambda value: Run.of(controls.decode(value)))
        self.refresh()

    def refresh(self) -> None:
        """Read on. Errors: Transient."""
        self._followed.refresh()

    def resumed(self, number: int, rows: int, rows_read: int) -> Run | None:
        """The run that a position speaks of, with what was published of it; None when nothing is known of it."""
        run = next((run for run in self.history().runs if run.run == number), None)
        if run is None or run.state != _OPEN:
            return run
        return replace(run, rows=rows, rejected=rows_read - rows)

    def due(self, run: Run | None, inputs: Callable[[], Inputs] = dict) -> bool:
        """Whether a new run is to begin after, or instead of, this one. `inputs`: what there is now of what a model reads."""
        if run is None or run.version != self._dataset.version:
            return True
        if run.state == _OPEN:
            return False
        wanted, schedule, now = self.history().wanted, self._dataset.contract.source.schedule, datetime.now(UTC)
        if wanted is not None and wanted.request != run.request:
            return True
        triggered = schedule is not None and schedule.trigger is not None
        return due(schedule, run, inputs() if triggered else {}, now, self._there_since)

    def begun(self, after: Run | None, inputs: Inputs | None = None) -> Run:
        """A new run, which begins behind all that is in the raw topic. Errors: Transient."""
        history, now = self.history(), datetime.now(UTC)
        wanted = history.wanted
        numbers = [run.run for run in (after, history.newest) if run is not None]
        return Run(
            self._dataset.name,
            max(numbers, default=0) + 1,
            "begun",
            now,
            request=wanted.request if wanted else "",
            version=self._dataset.version,
            begun_at=now,
            starts=self._raw_ends(),
            since=wanted.since if wanted else None,
            until=wanted.until if wanted else None,
            inputs=inputs or {},
        )

    def forgotten(self, kept: int) -> Messages:
        """What takes the runs out of the topic that nobody will ask for."""
        keys = [run.key for run in self.history().forgettable(kept)]
        return Messages(topics.RUNS, [None] * len(keys), keys)

    def ended(self, run: Run, source_rows: int | None) -> Run:
        """A run that was read to the end of its source: everything that was published of it stands by now. Errors: Transient."""
        return replace(run, state="ended", at=datetime.now(UTC), ends=self._raw_ends(), source_rows=source_rows)

    def messages(self, run: Run) -> Messages:
        """The record of a run."""
        return Messages(topics.RUNS, [self._controls.encode("run", run.record())], [run.key])

    def close(self) -> None:
        """Stop following."""
        self._followed.close()

    def history(self) -> History:
        """The runs of the dataset, and what is asked, as of the last `refresh`."""
        return History.of(self._dataset.name, self._followed.state.values())

    def _raw_ends(self) -> tuple[int, ...]:
        """The end of each partition of the raw topic, behind open transactions too."""
        raw = Replay(self._connection, topics.raw(self._dataset.name), end=IsolationLevel.READ_UNCOMMITTED)
        try:
            marks = raw.watermarks()
        finally:
            raw.close()
        return tuple(marks[number][1] for number in sorted(marks))

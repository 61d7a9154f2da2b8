"""Reads what became of full loads and backfills from their topic, and writes what is asked there."""

import uuid
from contextlib import closing
from datetime import UTC, datetime

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed
from headrace.stream.kafka.writer import write_one
from headrace.stream.runs import History, Run


class RunLog:
    """The topic of runs. What is asked there is done by ingest and the loader, also when this gateway is gone by then."""

    def __init__(self, connection: Connection, controls: Controls) -> None:
        self._connection = connection
        self._controls = controls

    def history(self, dataset: str) -> History:
        """The runs of a dataset. Errors: Transient."""
        followed = Followed(self._connection, topics.RUNS, lambda value: Run.of(self._controls.decode(value)))
        with closing(followed):
            followed.refresh()
            return History.of(dataset, followed.state.values())

    def want(self, dataset: str, by: str) -> None:
        """Ask for a new run. Errors: Transient."""
        self._write(Run(dataset, 0, "wanted", datetime.now(UTC), by, uuid.uuid4().hex))

    def want_backfill(self, dataset: str, since: datetime, until: datetime, by: str) -> None:
        """Ask for a stretch of time to be read again. Errors: Transient."""
        now = datetime.now(UTC)
        self._write(Run(dataset, 0, "wanted", now, by, uuid.uuid4().hex, since=since, until=until))

    def cancel(self, run: Run, by: str) -> None:
        """Ask for a backfill to end, or not to begin. Errors: Transient."""
        self._write(Run(run.dataset, run.run, "unwanted", datetime.now(UTC), by, run.request))

    def recall(self, run: Run, by: str) -> None:
        """Ask for a run to be shown again. Errors: Transient."""
        self._write(Run(run.dataset, run.run, "recalled", datetime.now(UTC), by))

    def _write(self, asked: Run) -> None:
        write_one(self._connection, topics.RUNS, self._controls.encode("run", asked.record()), asked.key)

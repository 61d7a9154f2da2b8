"""Reads what became of full loads and backfills from their topic, and writes what is asked there."""

import json
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed, Replay
from headrace.stream.kafka.writer import write_one
from headrace.stream.runs import History, Run


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened to a run. `data` are figures: rows, bytes, rows a second, seconds by phase."""

    run: int
    type: str
    at: datetime
    service: str
    message: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """Events of a run in their order, and from where to read on."""

    events: list[RunEvent]
    after: int


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

    def story(self, dataset: str, run: int, since: datetime, after: int | None, most: int) -> Story:
        """What was told of a run since a moment, or behind an offset; at most so many events. Errors: Transient."""
        replay = Replay(self._connection, topics.EVENTS)
        with closing(replay):
            starts = replay.since(since) if after is None else {0: after}
            replay.seek(starts)
            found: list[RunEvent] = []
            place = starts.get(0, 0)
            for records in replay.advance():
                for offset, key, value in zip(
                    records.offset.to_numpy().tolist(), records.keys, records.values, strict=True
                ):
                    place = offset + 1
                    event = self._event(value) if key == dataset.encode() and value is not None else None
                    if event is not None and event.run == run:
                        found.append(event)
                    if len(found) == most:
                        return Story(found, place)
            return Story(found, place)

    def _event(self, value: bytes) -> RunEvent | None:
        """An event that tells of a run."""
        record = self._controls.decode(value)
        if not record["type"].startswith("run_"):
            return None
        data = json.loads(record["data"])
        return RunEvent(data.pop("run", 0), record["type"], record["at"], record["service"], record["message"], data)

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

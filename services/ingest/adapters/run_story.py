"""Tells of runs while they go on: when one begins, what it waits for, how far it is and how fast, and how reading it ended."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from headrace.stream.notices import Notices
from headrace.stream.runs import Run

_SAY_EVERY_S: Final = 5.0


class RunStory:
    """The events of the runs of one dataset: full loads, backfills, and those of models. One thread at a time."""

    def __init__(self, dataset: str, notices: Notices, clock: Callable[[], float] = time.monotonic) -> None:
        self._dataset = dataset
        self._notices = notices
        self._clock = clock
        self._run = 0
        self._size_bytes = 0
        self._reads_since = 0.0
        self._said = 0.0

    def begun(self, run: Run) -> None:
        """A run began."""
        stretch = f": {run.since} to {run.until}" if run.is_backfill else ""
        self._tell("run_begun", run, f"run {run.run} begins{stretch}", {"version": run.version})

    def waits(self, run: Run) -> None:
        """A run waits, or is tried again; its message says why."""
        self._tell("run_waits", run, f"run {run.run}: {run.message}", {})

    def step(self, run: Run, size_bytes: int) -> None:
        """So many bytes were published, after which the run stands as it is."""
        now = self._clock()
        if self._run != run.run:
            self._run, self._size_bytes, self._reads_since, self._said = run.run, 0, now, now
        self._size_bytes += size_bytes
        if now >= self._said + _SAY_EVERY_S:
            self._said = now
            self._tell("run_reads", run, f"run {run.run}: {run.rows} rows read", self._figures(run))

    def read(self, run: Run) -> None:
        """A run was read to its end."""
        self._tell(
            "run_read", run, f"run {run.run} is read: {run.rows} rows, {run.rejected} set aside", self._figures(run)
        )

    def ended(self, run: Run) -> None:
        """A run ended before that."""
        why = f": {run.message}" if run.message else ""
        self._tell("run_ended", run, f"run {run.run} is {run.state}{why}", {**self._figures(run), "error": run.message})

    def _figures(self, run: Run) -> dict[str, Any]:
        """Units: bytes, seconds, rows a second."""
        reading_s = self._clock() - self._reads_since if self._run == run.run else 0.0
        since_s = (datetime.now(UTC) - run.begun_at).total_seconds() if run.begun_at is not None else 0.0
        return {
            "rows": run.rows,
            "rejected": run.rejected,
            "size_bytes": self._size_bytes if self._run == run.run else 0,
            "rows_per_s": round(run.rows / reading_s, 1) if reading_s > 0 else None,
            "waited_s": round(max(0.0, since_s - reading_s), 3),
            "reading_s": round(reading_s, 3),
        }

    def _tell(self, kind: str, run: Run, message: str, data: dict[str, Any]) -> None:
        self._notices.event(kind, self._dataset, message, {"run": run.run, **data})

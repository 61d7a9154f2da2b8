"""Reads a stretch of time once more, in slices between the readings of a source that is read on.

Both write through the same fenced writer, by turns. What a slice reads is written before the source is read again, so of a
row that changes meanwhile the newer state is written later. What has
to be read at once (`SourceSettings.at_once`) is one slice. See docs/decisions/0013-a-backfill-is-a-run-read-by-turns.md.
"""

import logging
import math
import random
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from headrace.connector import Connector, Fetched, Ranged, SourceChanged, Stretch
from headrace.errors import Fatal, Transient
from headrace.stream.outputs import Messages
from headrace.stream.runs import Run, State
from headrace.stream.service import LiveDataset
from services.ingest.adapters.outage import SourceDown, of_source
from services.ingest.adapters.publisher import Encoded
from services.ingest.adapters.run_log import RunLog
from services.ingest.adapters.run_story import RunStory
from services.ingest.core.backoff import delay_s

log = logging.getLogger(__name__)

_SLICE_S: Final = 2.0
_KEPT_RUNS: Final = 100


class Unreadable(Exception):
    """The source cannot be read so, however often it is tried."""


class Backfills:
    """The backfills of one dataset. `connector` is the one that reads the source: both learn of its columns together, and wait
    together when it asks for patience. `write` writes rows and what stands with them as one, and says whether it still was to."""

    def __init__(
        self,
        dataset: LiveDataset,
        opened: Callable[[], RunLog],
        connector: Connector,
        encoded: Callable[[Fetched], Encoded],
        write: Callable[[Sequence[Encoded], Sequence[Messages]], bool],
        story: RunStory,
        *,
        slice_s: float = _SLICE_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._dataset = dataset
        self._opened = opened
        self._connector = connector
        self._encoded = encoded
        self._write = write
        self._story = story
        self._slice_s = slice_s
        self._chance = chance
        self._log: RunLog | None = None
        self._run: Run | None = None  # ours is newer than what the topic gives to read: a commit takes its time to show
        self._last: Run | None = None
        self._failures = 0
        self._not_before = 0.0

    def read_on(self) -> bool:
        """Begin what is asked for, or go on with it for a while. Returns whether there is more to do at once.

        A source that fails is tried again later, and one that cannot be read so ends the backfill, neither of them the reading of
        the source. Errors: those of the platform.
        """
        if self._log is None:
            self._log = self._opened()
            self._run = self._log.history().backfill
        self._log.refresh()
        run = self._run or self._begun(self._log)
        if run is None or self._told_to_end(self._log, run) or time.monotonic() < self._not_before:
            return False
        try:
            return self._slice(self._log, run)
        except SourceDown as error:
            self._failed(self._log, error)
        except SourceChanged as error:  # its place says nothing any more
            self._run = replace(self._run or run, position="")
            self._failed(self._log, error)
        except Unreadable as error:
            self._end(self._log, self._run or run, "refused", str(error))
        return False

    def close(self) -> None:
        """Stop following."""
        if self._log is not None:
            self._log.close()

    def _begun(self, runs: RunLog) -> Run | None:
        """A backfill that is asked for, begun."""
        wish = runs.history().awaited
        if wish is None or (self._last is not None and wish.request == self._last.request):
            return None
        run = runs.begun(self._last)
        if not self._write([], [runs.messages(run), runs.forgotten(_KEPT_RUNS)]):
            return None
        log.info("backfill %d begins: %s to %s", run.run, run.since, run.until, extra={"dataset": self._dataset.name})
        self._story.begun(run)
        self._run, self._failures, self._not_before = run, 0, 0.0
        return run

    def _told_to_end(self, runs: RunLog, run: Run) -> bool:
        if not runs.history().unwanted(run.request):
            return False
        self._end(runs, run, "cancelled", "")
        return True

    def _unwanted(self, runs: RunLog, run: Run) -> bool:
        """Whether somebody ended it meanwhile."""
        runs.refresh()
        return self._told_to_end(runs, run)

    def _slice(self, runs: RunLog, run: Run) -> bool:
        """Read for a while. Errors: SourceDown, SourceChanged, Unreadable, those of the platform."""
        if run.version != self._dataset.version:  # its place may say nothing of what this version reads
            run = replace(run, version=self._dataset.version, position="")
        until, at_once = math.inf, self._dataset.contract.source.at_once
        with closing(self._steps(run)) as steps:
            for fetched, position in steps:
                # From the first step on: one that takes longer than a slice to get would be the only one of each slice.
                until = min(until, math.inf if at_once else time.monotonic() + self._slice_s)
                run = self._step(runs, run, fetched, position)
                if self._run is not run or (at_once and self._unwanted(runs, run)):
                    return False
                if time.monotonic() > until:
                    return True
        if not self._connector.waiting:
            self._end(runs, run, "ended", "")
        return False

    def _steps(self, run: Run) -> Generator[tuple[Fetched, str]]:
        """What the source has of the stretch, behind the place of the run. Errors: SourceDown, SourceChanged, Unreadable.

        Only what the source does is told so: whatever is raised as its steps are written is not for a backfill to judge.
        """
        try:
            yield from of_source(self._ranged().read_range(_stretch(run), run.position or None))
        except (SourceDown, SourceChanged):
            raise
        except Fatal as error:
            raise Unreadable(str(error)) from error
        except Exception as error:
            log.exception("the backfill fails in an unforeseen way", extra={"dataset": self._dataset.name})
            raise Unreadable(f"reading it failed in an unforeseen way: {error!r}") from error

    def _ranged(self) -> Ranged:
        """The source as it can be read by time. Errors: Fatal when it cannot."""
        contract = self._dataset.contract
        if why := contract.source.why_no_backfill(contract.load.mode):  # it was asked for of another version
            raise Fatal(why)
        if not isinstance(self._connector, Ranged):
            raise Fatal(f"a source of type {contract.source.type} cannot be read by time")
        return self._connector

    def _step(self, runs: RunLog, run: Run, fetched: Fetched, position: str) -> Run:
        """Publish a step, and remember the run behind it if it was written."""
        part = self._encoded(fetched)
        rows = len(part.values)
        run = replace(
            run,
            at=datetime.now(UTC),
            rows=run.rows + rows,
            rejected=run.rejected + fetched.rows_read - rows,
            position=position,
            message="",
        )
        if self._write([part], [runs.messages(run)]):
            self._run, self._failures = run, 0
            self._story.step(run, sum(map(len, part.values)))
        return run

    def _failed(self, runs: RunLog, error: Transient) -> None:
        self._failures += 1
        wait_s = delay_s(self._failures, self._chance())
        self._not_before = time.monotonic() + wait_s
        log.warning(
            "the backfill fails, tried again in %.1f s: %s", wait_s, error, extra={"dataset": self._dataset.name}
        )
        if self._run is not None:
            told = replace(self._run, at=datetime.now(UTC), message=f"tried again: {error}")
            if self._write([], [runs.messages(told)]):
                self._run = told
                self._story.waits(told)

    def _end(self, runs: RunLog, run: Run, state: State, why: str) -> None:
        """Say how a backfill ended: nothing more of it is written."""
        ended = replace(runs.ended(run, None), state=state, message=why)
        if self._write([], [runs.messages(ended)]):
            self._run, self._last = None, ended
            if state == "ended":
                self._story.read(ended)
            else:
                self._story.ended(ended)
            log.info(
                "backfill %d is %s: %d rows %s", run.run, state, run.rows, why, extra={"dataset": self._dataset.name}
            )


def _stretch(run: Run) -> Stretch:
    """Errors: Fatal when the record of the run does not say."""
    if run.since is None or run.until is None:
        raise Fatal(f"run {run.run} does not say what it is to read")
    return Stretch(run.since, run.until)

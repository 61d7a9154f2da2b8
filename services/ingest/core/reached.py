"""How far a source has been read, and whether it is time to read on: what a record of `_headrace.source-positions` says."""

from dataclasses import dataclass, replace
from datetime import datetime

from headrace.contract.schedule import Schedule
from headrace.stream.runs import Run


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a source has been read.

    `run` is the full load that is read, where the dataset is loaded in runs; the other fields are then those of the run.
    `begun_at` is when the last reading began that a schedule or a person asked for, `request` the last wish it answers.
    """

    position: str | None = None
    rows_read: int = 0
    caught_up: bool = False
    run: Run | None = None
    begun_at: datetime | None = None
    request: str = ""

    def at(
        self, now: datetime, schedule: Schedule | None, there_since: datetime, request: str = ""
    ) -> "Reached | None":
        """From where to read at that time; None when it is not time yet. A reading that began is gone on with.

        `there_since` is since when somebody is there to read, `request` the last wish that it be read out of turn.
        """
        if not self.caught_up and self.begun_at is not None:
            return self
        if request != self.request:
            return replace(self, caught_up=False, begun_at=now, request=request)
        if schedule is None:
            return self
        if self.caught_up and schedule.due(self.begun_at, now, there_since) > now:
            return None
        return replace(self, caught_up=False, begun_at=now)

    def further(self, position: str, rows_read: int, rows: int) -> "Reached":
        """After one more step, of whose source rows so many were published."""
        run = self.run and replace(self.run, rows=self.run.rows + rows, rejected=self.run.rejected + rows_read - rows)
        return replace(self, position=position, rows_read=self.rows_read + rows_read, caught_up=False, run=run)

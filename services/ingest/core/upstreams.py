"""Decides when a model may run: once everything that it reads is there that had been read when its run became due."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from headrace.contract.schedule import Schedule
from headrace.stream.runs import History, Run

#: By dataset: the ends of the partitions of its raw topic, or, where it is loaded in runs, the run that shows.
Inputs = Mapping[str, tuple[int, ...]]

_DECIDED: Final = frozenset({"shown", "refused", "cancelled"})


@dataclass(frozen=True, slots=True)
class Upstream:
    """A dataset that is loaded in runs, as a model sees it. `inputs` is what there is now of what it reads itself."""

    dataset: str
    version: int = 0
    schedule: Schedule | None = None
    history: History = field(default_factory=History)
    inputs: Inputs = field(default_factory=dict)


def due(schedule: Schedule | None, run: Run, inputs: Inputs, now: datetime, there_since: datetime) -> bool:
    """Whether a run is to follow another by its schedule; `inputs` is what there is now of what it reads."""
    if schedule is None or (schedule.trigger is not None and inputs == run.inputs):
        return False
    return schedule.due(run.begun_at, now, there_since) <= now


def needed_run(upstream: Upstream, needed: datetime) -> int:
    """The run of a dataset that has to be decided before what had been read by `needed` shows; 0 when all shows by now."""
    newest = upstream.history.newest
    if newest is None:
        return 1
    wanted = upstream.history.wanted
    follows = (
        newest.version != upstream.version
        or (wanted is not None and wanted.request != newest.request and wanted.at <= needed)
        or due(upstream.schedule, newest, upstream.inputs, needed, newest.begun_at or needed)
    )
    if follows:
        return newest.run + 1
    return newest.run if newest.state not in _DECIDED or upstream.history.current is None else 0


def lacking(upstream: Upstream, run: int) -> str:
    """What is still to come of a dataset, given the run that is needed; nothing when that is decided."""
    runs = [each for each in upstream.history.runs if each.run >= run]
    showing = upstream.history.current is not None
    if showing and (any(each.state in _DECIDED for each in runs) or _at_rest(upstream)):
        return ""
    if not runs:
        return f"run {run} of {upstream.dataset}, which is to begin"
    if runs[-1].state == "begun" and not upstream.history.undecided:
        return f"run {runs[-1].run} of {upstream.dataset}, which is being read"
    if all(each.state in _DECIDED for each in runs):
        return f"a run of {upstream.dataset}, of which none shows yet"
    return f"run {runs[0].run} of {upstream.dataset}, which does not show yet"


def _at_rest(upstream: Upstream) -> bool:
    """Whether no run is to come, as the last one has what there is now: it had waited, perhaps, and read more for that."""
    newest, wanted = upstream.history.newest, upstream.history.wanted
    return (
        newest is not None
        and newest.state in _DECIDED
        and newest.version == upstream.version
        and (wanted is None or wanted.request == newest.request)
        and upstream.schedule is not None
        and upstream.schedule.trigger is not None
        and upstream.inputs == newest.inputs
    )

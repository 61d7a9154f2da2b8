"""Decides why a dataset that is loaded in runs has not come to rest, and whether a person has to act."""

from collections.abc import Iterator

from headrace.stream.runs import History


def unfinished(history: History) -> Iterator[str]:
    """What is still to come."""
    newest, wanted = history.newest, history.wanted
    if newest is None or (wanted is not None and wanted.request != newest.request):
        yield "a run is to begin"
    if newest is not None and newest.state == "begun":
        yield f"run {newest.run} is being read"
    for run in history.undecided:
        yield f"run {run.run} has been read, and does not show yet"


def refused(history: History) -> Iterator[str]:
    """Why the last run does not show, if it never will."""
    newest = history.newest
    if newest is not None and newest.state == "refused":
        yield f"run {newest.run} of {newest.dataset} does not show: {newest.message}"

"""Routes: the full loads and backfills of a dataset, and what can be asked of them."""

from dataclasses import asdict
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from headrace.stream.runs import History, Run
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Operating, Parts, Seeing, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.core.backfills import refused
from services.gateway.core.datasets import DatasetVersion

router = APIRouter(prefix=PREFIX, tags=["datasets"])

_MOST_EVENTS: Final = 500
_EARLIER: Final = timedelta(minutes=1)  # clocks differ


@router.get(
    "/datasets/{name}/runs",
    summary="List full loads and backfills",
    responses=may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def runs(name: models.Name, gateway: Parts, _: Seeing) -> models.Runs:
    """The full loads of a dataset that is loaded in runs, the backfills of another; the newest first."""
    known(gateway.datasets, name)
    history = gateway.runs.history(name)
    return models.Runs(items=[_shown(history, run) for run in reversed(history.runs)])


@router.get(
    "/datasets/{name}/runs/{number}/log",
    summary="Read what happened to a run",
    responses=may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def story(
    name: models.Name,
    number: Annotated[int, Path(ge=0, le=2**53, description="The run; 0 is the newest.")],
    gateway: Parts,
    _: Seeing,
    after: Annotated[
        int | None, Query(ge=0, le=2**53, description="Only what is behind this; see `after` below.")
    ] = None,
) -> models.RunStory:
    """The events of one full load, backfill or run of a model, the oldest first, and how it stands now.

    To follow a run, ask again with the `after` of the answer. At most 500 come at a time; `set_aside` comes with the first.
    """
    known(gateway.datasets, name)
    history = gateway.runs.history(name)
    run = history.newest if number == 0 else next((each for each in history.runs if each.run == number), None)
    if run is None:
        raise not_found(f"{name} has no run {number or 'yet'}: headrace runs ls {name}")
    told = gateway.runs.story(name, run.run, (run.begun_at or run.at) - _EARLIER, after, _MOST_EVENTS)
    events = [models.RunEvent.model_validate(asdict(event)) for event in told.events]
    following = next((each for each in history.runs if each.run > run.run), None)
    found = gateway.quarantine.of_run(name, run, following) if after is None else []
    causes = [models.RunCause(**asdict(each)) for each in found]
    return models.RunStory(run=_shown(history, run), set_aside=causes, items=events, after=told.after)


@router.post(
    "/datasets/{name}/runs",
    summary="Start a full load",
    status_code=HTTPStatus.ACCEPTED,
    responses=may_answer(
        HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)
def start(name: models.Name, gateway: Parts, caller: Operating) -> models.Asked:
    """Have the whole source read once more, after the run that is under way, should there be one.

    Refused: a dataset that is not loaded in runs (409).
    """
    _require_runs(known(gateway.datasets, name))
    newest = gateway.runs.history(name).newest
    gateway.runs.want(name, caller.name)
    return models.Asked(dataset=name, run=newest.run + 1 if newest else 1)


@router.post(
    "/datasets/{name}/runs/rollback",
    summary="Show the full load before",
    status_code=HTTPStatus.ACCEPTED,
    responses=may_answer(
        HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)
def rollback(name: models.Name, gateway: Parts, caller: Operating) -> models.Asked:
    """Have the view show the run that it showed before; asked again, it goes forth. The next run shows all the same.

    Refused: a dataset that is not loaded in runs, or that has no run to go back to (409).
    """
    _require_runs(known(gateway.datasets, name))
    previous = gateway.runs.history(name).previous
    if previous is None:
        detail = f"fewer than two runs of {name} were shown"
        raise ProblemError(HTTPStatus.CONFLICT, "no-earlier-run", "There is no run to go back to", detail)
    gateway.runs.recall(previous, caller.name)
    return models.Asked(dataset=name, run=previous.run)


@router.post(
    "/datasets/{name}/backfills",
    summary="Read a stretch of time again",
    status_code=HTTPStatus.ACCEPTED,
    responses=may_answer(
        HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)
def backfill(name: models.Name, body: models.Backfill, gateway: Parts, caller: Operating) -> models.Asked:
    """Read the rows whose cursor is in the stretch once more, beside what is new. It is a run: see the list of them.

    Refused (409): a source without a cursor in time; a dataset that is loaded in runs; `load.mode: append` unless
    `allow_duplicates` is set, as its rows will be there twice; while another backfill is under way.
    """
    contract = known(gateway.datasets, name).contract()
    refusal = refused(contract, allow_duplicates=body.allow_duplicates)
    if refusal is not None:
        raise ProblemError(HTTPStatus.CONFLICT, refusal.code, refusal.title, refusal.detail)
    if body.since >= body.until:
        detail = f"it begins at {body.since.isoformat()} and ends at {body.until.isoformat()}: nothing lies between"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "empty-stretch", "The stretch is empty", detail)
    history = gateway.runs.history(name)
    if (standing := history.backfill or history.awaited) is not None:
        of = f"run {standing.run}" if standing.run else "one that is to begin"
        detail = f"{of} reads {standing.since} to {standing.until}; wait for its end, or: headrace runs cancel {name}"
        raise ProblemError(HTTPStatus.CONFLICT, "backfill-under-way", "A backfill is under way", detail)
    gateway.runs.want_backfill(name, body.since, body.until, caller.name)
    return models.Asked(dataset=name, run=history.newest.run + 1 if history.newest else 1)


@router.post(
    "/datasets/{name}/runs/cancel",
    summary="End a run",
    status_code=HTTPStatus.ACCEPTED,
    responses=may_answer(
        HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)
def cancel(name: models.Name, gateway: Parts, caller: Operating) -> models.Asked:
    """End the run that is read or waits, or keep the backfill that is asked for from beginning.

    Rows that a backfill has read stay; those of a full load, or of a model's run, never show. Refused: where no run is under
    way (409).
    """
    known(gateway.datasets, name)
    history = gateway.runs.history(name)
    standing = history.being_read or history.awaited
    if standing is None:
        detail = f"no run of {name} is under way: headrace runs ls {name}"
        raise ProblemError(HTTPStatus.CONFLICT, "no-run-under-way", "There is nothing to cancel", detail)
    gateway.runs.cancel(standing, caller.name)
    newest = history.newest.run if history.newest else 0
    return models.Asked(dataset=name, run=standing.run or newest + 1)


def _in_runs(dataset: DatasetVersion) -> bool:
    return dataset.contract().load.mode == "replace"


def _require_runs(dataset: DatasetVersion) -> None:
    if not _in_runs(dataset):
        detail = f"{dataset.name} is loaded row by row; load.mode replace loads in runs"
        raise ProblemError(HTTPStatus.CONFLICT, "not-in-runs", "The dataset is not loaded in runs", detail)


def _shown(history: History, run: Run) -> models.Run:
    places = {"current": history.current, "previous": history.previous}
    told = {name: value for name, value in asdict(run).items() if name in models.Run.model_fields}
    told["state"] = "abandoned" if history.abandoned(run) else run.state
    return models.Run(**told, **{name: place is not None and place.run == run.run for name, place in places.items()})

"""Routes: the full loads of a dataset, and what can be asked of them."""

from dataclasses import asdict
from http import HTTPStatus

from fastapi import APIRouter

from headrace.stream.runs import History, Run
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Administering, Calling, Parts, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.problems import ProblemError
from services.gateway.core.datasets import DatasetVersion

router = APIRouter(prefix=PREFIX, tags=["datasets"])


@router.get(
    "/datasets/{name}/runs",
    summary="List full loads",
    responses=may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def runs(name: models.Name, gateway: Parts, _: Calling) -> models.Runs:
    """The full loads of a dataset, the newest first; none of one that is not loaded in runs."""
    if not _in_runs(known(gateway.datasets, name)):
        return models.Runs(items=[])
    history = gateway.runs.history(name)
    return models.Runs(items=[_shown(history, run) for run in reversed(history.runs)])


@router.post(
    "/datasets/{name}/runs",
    summary="Start a full load",
    status_code=HTTPStatus.ACCEPTED,
    responses=may_answer(
        HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)
def start(name: models.Name, gateway: Parts, caller: Administering) -> models.Asked:
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
def rollback(name: models.Name, gateway: Parts, caller: Administering) -> models.Asked:
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

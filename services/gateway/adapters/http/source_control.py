"""Routes: pause a source that is live, let it go on, have it read now."""

from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter

from headrace.stream.wishes import Act
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Administering, Parts, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.problems import ProblemError
from services.gateway.adapters.http.waiting import wait_until
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["datasets"])

_RESPONSES = may_answer(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)
_RUN_RESPONSES = _RESPONSES | may_answer(HTTPStatus.CONFLICT)


@router.post("/datasets/{name}/source/pause", summary="Pause a source", responses=_RESPONSES)
def pause(name: models.Name, body: models.Reason, gateway: Parts, caller: Administering) -> models.Wish:
    """Read nothing of the source, and take no pushes (503), until it is resumed, whatever restarts meanwhile.

    What was read goes on to the warehouse. Pausing a paused source replaces who and why.
    """
    known(gateway.datasets, name)
    return _asked(gateway, name, "pause", caller.name, body.because, lambda: _paused(gateway, name))


@router.post("/datasets/{name}/source/resume", summary="Let a source go on", responses=_RESPONSES)
def resume(name: models.Name, gateway: Parts, caller: Administering) -> models.Wish:
    """Read on from where it was. A source that is not paused stays as it is."""
    known(gateway.datasets, name)
    return _asked(gateway, name, "resume", caller.name, "", lambda: not _paused(gateway, name))


@router.post(
    "/datasets/{name}/source/run",
    summary="Have a source read now",
    status_code=HTTPStatus.ACCEPTED,
    responses=_RUN_RESPONSES,
)
def run(name: models.Name, gateway: Parts, caller: Administering) -> models.Wish:
    """Read the source once, out of turn: at once, or after the reading that is under way. One that is down is tried at once.

    Of a dataset that is loaded in runs, it begins a run. Refused: a source that is pushed to, or that is paused (409).
    """
    dataset = known(gateway.datasets, name)
    if dataset.contract().source.type == "http_push":
        detail = f"rows are sent to {name}: there is nothing to read"
        raise ProblemError(HTTPStatus.CONFLICT, "pushed-source", "This source is not read", detail)
    if (standing := gateway.wishes.pauses().get(name)) is not None:
        detail = f"{name} is {standing.told}; let it go on first: headrace source resume {name}"
        raise ProblemError(HTTPStatus.CONFLICT, "paused-source", "The source is paused", detail)
    if dataset.contract().load.mode == "replace":
        gateway.runs.want(name, caller.name)
    return _asked(gateway, name, "run", caller.name)


def _asked(
    gateway: Gateway, name: str, act: Act, by: str, because: str = "", seen: Callable[[], bool] = lambda: True
) -> models.Wish:
    wish = gateway.wishes.ask(name, act, by, because)
    wait_until(seen)
    return models.Wish(dataset=name, act=act, at=wish.at, by=wish.by, because=wish.because)


def _paused(gateway: Gateway, name: str) -> bool:
    return name in gateway.wishes.pauses()

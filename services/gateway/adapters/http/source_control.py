"""Routes: pause a source that is live, let it go on, have it read now, give it up; see what sources keep outside."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from headrace.access.policy import Action
from headrace.stream.holdings import Holding
from headrace.stream.wishes import Act
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Operating, Parts, Seeing, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.waiting import wait_until
from services.gateway.core.holdings import HoldingEntry
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["datasets"])

_RESPONSES = may_answer(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)
_RUN_RESPONSES = _RESPONSES | may_answer(HTTPStatus.CONFLICT)


@router.post("/datasets/{name}/source/pause", summary="Pause a source", responses=_RESPONSES)
def pause(name: models.Name, body: models.Reason, gateway: Parts, caller: Operating) -> models.Wish:
    """Read nothing of the source, and take no pushes (503), until it is resumed, whatever restarts meanwhile.

    What was read goes on to the warehouse. Pausing a paused source replaces who and why.
    """
    known(gateway.datasets, name)
    return _asked(gateway, name, "pause", caller.name, body.because, lambda: _paused(gateway, name))


@router.post("/datasets/{name}/source/resume", summary="Let a source go on", responses=_RESPONSES)
def resume(name: models.Name, gateway: Parts, caller: Operating) -> models.Wish:
    """Read on from where it was. A source that is not paused stays as it is."""
    known(gateway.datasets, name)
    return _asked(gateway, name, "resume", caller.name, "", lambda: not _paused(gateway, name))


@router.post(
    "/datasets/{name}/source/run",
    summary="Have a source read now",
    status_code=HTTPStatus.ACCEPTED,
    responses=_RUN_RESPONSES,
)
def run(name: models.Name, gateway: Parts, caller: Operating) -> models.Wish:
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


@router.post(
    "/datasets/{name}/source/release",
    summary="Give a source up for good",
    status_code=HTTPStatus.ACCEPTED,
    responses=_RUN_RESPONSES,
)
def release(name: models.Name, body: models.Release, gateway: Parts, caller: Operating) -> models.SourceHoldings:
    """Stop reading the source, and take away what it keeps outside of Headrace. What was read stays, other changes are lost.

    For sources whose changes are captured: others keep nothing, and are refused (409). Ingest does it; what is left to do is
    among `/source-holdings`. A dataset that was removed needs no release, unless something is to be abandoned.
    """
    holdings = gateway.holdings.of(name)
    dataset = gateway.datasets.get(name)
    if dataset is None and not holdings:
        raise not_found(f"there is no dataset {name}, and nothing is kept for one")
    holds = dataset is not None and dataset.contract().source.holds
    if not holds and not holdings:
        detail = f"the source of {name} keeps nothing outside of Headrace; to stop it: headrace source pause {name}"
        raise ProblemError(HTTPStatus.CONFLICT, "nothing-held", "There is nothing to take away", detail)
    if holds:
        _asked(gateway, name, "release", caller.name, body.because, lambda: _paused(gateway, name))
    if body.abandon:
        for holding in holdings:
            _abandon(gateway, holding.name, f"abandoned by {caller.name} because: {body.because}")
    return _shown(gateway.holdings.of(name))


@router.get(
    "/source-holdings",
    summary="List what sources keep outside of Headrace",
    responses=may_answer(),
)
def source_holdings(
    gateway: Parts, caller: Seeing, dataset: Annotated[str, Query(description="Only of this dataset.")] = ""
) -> models.SourceHoldings:
    """Connectors, replication slots and publications, from before they are set up until they are taken away."""
    shown = [
        each for each in gateway.holdings.of(dataset) if caller.access.may(Action.SEE, gateway.assets.of(each.dataset))
    ]
    return _shown(shown)


def _abandon(gateway: Gateway, name: str, why: str) -> None:
    def decide(standing: Mapping[str, Holding]) -> Holding | None:
        found = standing.get(name)
        return found and replace(found, state="abandoned", at=datetime.now(UTC), because=found.because or why)

    gateway.holding_log.change(name, decide)


def _shown(holdings: list[HoldingEntry]) -> models.SourceHoldings:
    return models.SourceHoldings(items=[models.SourceHolding(**asdict(each)) for each in holdings])


def _asked(
    gateway: Gateway, name: str, act: Act, by: str, because: str = "", seen: Callable[[], bool] = lambda: True
) -> models.Wish:
    wish = gateway.wishes.ask(name, act, by, because)
    wait_until(seen)
    return models.Wish(dataset=name, act=act, at=wish.at, by=wish.by, because=wish.because)


def _paused(gateway: Gateway, name: str) -> bool:
    return name in gateway.wishes.pauses()

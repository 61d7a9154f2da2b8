"""Routes: plan and apply dataset files; see what is live."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter

from headrace.access.book import Caller
from headrace.access.policy import Action
from headrace.contract import Contract, impact, load
from headrace.transform.trial import Verdict
from services.gateway.adapters.assets import asset_of
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Editing, Parts, Seeing, may_answer, permit
from services.gateway.adapters.http.authorship import permit_file
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.recording import note
from services.gateway.adapters.http.waiting import wait_until
from services.gateway.core.catalog_view import without_values
from services.gateway.core.datasets import DatasetVersion, Proposal, Refusal, propose
from services.gateway.core.secrets import warnings
from services.gateway.core.veil import veiled
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["datasets"])

_MOST_FAULTS: Final = 100
_TITLES: Final = {
    "unknown-parents": "The dataset refers to datasets that are not live",
    "ages-of-origin": "The rows of another source could not replace those that are there",
    "origin-in-runs": "The rows of the other dataset come and go in runs",
    "cycle": "Datasets would wait for each other",
    "breaking-change": "The change is breaking",
}


@router.post("/plan", summary="What applying a dataset file would change", responses=may_answer())
def plan(body: models.DatasetFile, gateway: Parts, caller: Editing) -> models.Plan:
    """Compare a dataset file with what is live. Changes nothing."""
    live, contract = gateway.datasets.all(), load(body.document)
    permit_file(gateway, caller, contract)
    proposal = propose(contract, live)
    before = proposal.current.contract() if proposal.current else None
    found = impact(before, proposal.contract, {name: each.contract() for name, each in live.items()})
    pinned = _pin(gateway, proposal.contract.dataset) if proposal.changed else None
    refusals = [*proposal.refusals, *([Refusal("pinned", pinned)] if pinned else [])]
    return models.Plan(
        dataset=proposal.contract.dataset,
        current_version=proposal.current.version if proposal.current else None,
        next_version=proposal.next_version,
        changes=[models.Change(**asdict(change)) for change in proposal.changes],
        impact=models.Impact.of(found),
        needs_generation=proposal.needs_generation,
        refusals=[models.Refusal(code=each.code, detail=each.detail) for each in refusals],
        warnings=warnings(proposal.contract, gateway.secrets.all().keys()),
    )


@router.put(
    "/datasets/{name}",
    summary="Make a dataset file live",
    responses=may_answer(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE),
)
def apply(name: models.Name, body: models.DatasetApplication, gateway: Parts, caller: Editing) -> models.Applied:
    """Create the dataset, or bring it to this version. Applying what is live already changes nothing.

    Its tests are run first, unless `skip_tests` says why not.

    Refused: a breaking change, or any of a dataset that is pinned (409); a file that is not valid, that refers to datasets that
    are not live, or one of whose tests fails (422).
    """
    contract = load(body.document)
    if contract.dataset != name:
        detail = f"the file describes {contract.dataset}, the path names {name}"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "other-name", "The names differ", detail)
    permit_file(gateway, caller, contract)
    return make_live(gateway, contract, caller.name, skip_tests=body.skip_tests)


def make_live(
    gateway: Gateway, contract: Contract, by: str, *, skip_tests: str | None, over: int | None = None
) -> models.Applied:
    """Append the contract to what is live, and wait until it shows. `over` is the version that it was made of, if of one.

    Errors: ProblemError (409, 422), Transient.
    """
    name = contract.dataset
    if skip_tests is None:
        refuse_failed_tests(gateway, contract)
    decided: list[Proposal] = []

    def decide(live: Mapping[str, DatasetVersion]) -> DatasetVersion | None:
        proposal = propose(contract, live)
        if over is not None and (proposal.current is None or proposal.current.version != over):
            detail = f"version {over} of {name} is not live any more; look at it, and ask again"
            raise ProblemError(HTTPStatus.CONFLICT, "changed-meanwhile", "The file has changed meanwhile", detail)
        if proposal.changed:
            refuse_pinned(gateway, name)
        refuse(proposal)
        decided.append(proposal)
        return proposal.successor(datetime.now(UTC), by, skip_tests or "") if proposal.changed else None

    gateway.dataset_log.append(decide)
    proposal = decided[-1]
    current = proposal.current
    note(
        datasets=[name],
        before=current and {"version": current.version, "generation": current.generation},
        after={"version": proposal.next_version, "changes": [asdict(change) for change in proposal.changes]},
    )
    wait_until(lambda: _shows(gateway.datasets, name, proposal.next_version))
    return models.Applied(
        name=name,
        version=proposal.next_version,
        generation=proposal.current.generation if proposal.current else 1,
        changed=proposal.changed,
        warnings=[*warnings(contract, gateway.secrets.all().keys()), *_skipped(contract, skip_tests)],
    )


@router.get("/datasets", summary="List datasets", responses=may_answer())
def datasets(gateway: Parts, caller: Seeing) -> models.Datasets:
    """Every dataset that is live and that you may see, by name."""
    shown = visible_datasets(gateway, caller)
    return models.Datasets(items=[models.DatasetSummary(**_summary(each)) for each in shown])


@router.get("/datasets/{name}", summary="Show a dataset", responses=may_answer(HTTPStatus.NOT_FOUND))
def dataset(name: models.Name, gateway: Parts, caller: Seeing) -> models.DatasetDetail:
    """One dataset with its file.

    Values out of rows, as in examples and tests, are left out where the dataset's values are hidden from you; who may not edit it
    is not told the names of datasets that they may not see.
    """
    found, asset = known(gateway.datasets, name), gateway.assets.of(name)
    contract = without_values(found.contract(), caller.access.sight(Action.QUERY, asset))
    document = contract.model_dump(mode="json", by_alias=True, exclude_none=True)
    if not caller.access.may(Action.EDIT, asset):
        document = veiled(document, gateway.catalog.listing.hides(caller.access))
    return models.DatasetDetail(**_summary(found), document=document)


def visible_datasets(gateway: Gateway, caller: Caller, name: str | None = None) -> list[DatasetVersion]:
    """The datasets that the caller may see, by name; or the one that is named. Errors: ProblemError (404)."""
    if name is not None:
        permit(caller, Action.SEE, gateway.assets.of(name))
        return [known(gateway.datasets, name)]
    live = gateway.datasets.all().values()
    return [each for each in live if caller.access.may(Action.SEE, asset_of(each))]


def known(datasets: DatasetStore, name: str) -> DatasetVersion:
    """The dataset with this name. Errors: ProblemError (404)."""
    found = datasets.get(name)
    if found is None:
        raise not_found(f"there is no dataset {name}")
    return found


def _summary(version: DatasetVersion) -> dict[str, object]:
    contract: Contract = version.contract()
    shown = {"description": contract.description, "owner": contract.owner.team, "tags": contract.tags}
    return {
        name: value for name, value in asdict(version).items() if name in models.DatasetSummary.model_fields
    } | shown


def refuse(proposal: Proposal, *, breaking: bool = True) -> None:
    """Errors: ProblemError, when something stands against a file; with `breaking` also that it would break what is live."""
    refusal = next((each for each in proposal.refusals if breaking or each.code != "breaking-change"), None)
    if refusal is None:
        return
    breaking = refusal.code == "breaking-change"
    status = HTTPStatus.CONFLICT if breaking else HTTPStatus.UNPROCESSABLE_ENTITY
    faults = [asdict(change) for change in proposal.changes if change.breaking] if breaking else []
    raise ProblemError(status, refusal.code, _TITLES[refusal.code], refusal.detail, faults)


def refuse_pinned(gateway: Gateway, name: str) -> None:
    if (told := _pin(gateway, name)) is not None:
        raise ProblemError(HTTPStatus.CONFLICT, "pinned", "The version is pinned", told)


def _pin(gateway: Gateway, name: str) -> str | None:
    """Why no new version of a dataset may go live; None when it may."""
    pin = gateway.overrides.pins().get(name)
    if pin is None:
        return None
    return f"{name} is pinned by {pin.told}; to let new versions go live: headrace unpin {name} --because TEXT"


def _skipped(contract: Contract, reason: str | None) -> list[str]:
    number = len(contract.tests)
    return [f"its {number} test{'s' if number != 1 else ''} did not run: {reason}"] if number and reason else []


def refuse_failed_tests(gateway: Gateway, contract: Contract) -> None:
    """Errors: ProblemError (422), when a test of a file fails."""
    _refuse_failed(gateway.transform_tests.failed(contract), len(contract.tests))


def _refuse_failed(failed: Sequence[Verdict], ran: int) -> None:
    if not failed:
        return
    first = failed[0]
    detail = f"{len(failed)} of {ran} tests failed, first {first.test!r}: {first.differences[0]}"
    faults = [{"test": each.test, **asdict(difference)} for each in failed for difference in each.differences]
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    raise ProblemError(status, "failed-tests", "A test of the dataset file failed", detail, faults[:_MOST_FAULTS])


def _shows(datasets: DatasetStore, name: str, version: int) -> bool:
    found = datasets.get(name)
    return found is not None and found.version >= version

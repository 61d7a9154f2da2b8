"""Routes: the rows that were set aside, and what can be asked of them."""

import json
import re
from dataclasses import asdict, replace
from datetime import timedelta
from http import HTTPStatus
from itertools import chain, islice
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from headrace.contract import examine_expression
from headrace.json_patch import Unpatchable, checked
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Operating, Parts, Reading, Repairing, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.streamed import NDJSON
from services.gateway.adapters.quarantine_desk import READING, Wish
from services.gateway.adapters.quarantine_sql import Chosen
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.verdicts import grouped
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["books"])

_ROW_ID: Final = re.compile(r"(\d{1,9})-(\d{1,18})")
_LOOKING: Final = may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)
_ASKING: Final = may_answer(
    HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
)
_MOST_TRIED: Final = 200
_PATIENCE_S: Final = 60.0
_OUTCOMES: Final = ("resubmitted", "discarded", "assigned", "unassigned", "refused")
_CAUSES: Final = ("stage", "reason", "rule", "column", "shape", "assigned_to")


_Only = Annotated[str | None, Query(description="Only rows that were set aside by this.", max_length=200)]


@router.get("/datasets/{name}/quarantine", summary="Rows that were set aside", responses=_LOOKING)
def quarantine(
    name: models.Name,
    gateway: Parts,
    _: Reading,
    reason: Annotated[
        str | None,
        Query(description="Only rows with this reason.", max_length=100, examples=["check_references"]),
    ] = None,
    assigned_to: Annotated[
        str | None, Query(description="Only rows that are assigned to this person; empty: to nobody.", max_length=200)
    ] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="The most rows to show in full.")] = 100,
    everything: Annotated[
        bool, Query(alias="all", description="Also rows that were resubmitted or discarded since.")
    ] = False,
) -> models.Quarantined:
    """All open quarantined rows by cause, and the newest of them in full, as the loader has stored them in the warehouse."""
    dataset = known(gateway.datasets, name)
    causes = {"reason": reason or None, "assigned_to": assigned_to}
    chosen = Chosen(causes={name: value for name, value in causes.items() if value is not None}, all=everything)
    found = gateway.quarantine.find(dataset.name, chosen, limit)
    return models.Quarantined(
        total=found.total,
        clusters=[models.Cluster(**cluster) for cluster in found.clusters],
        items=[models.QuarantinedRow(**item) for item in found.items],
    )


@router.get(
    "/datasets/{name}/quarantine/clusters", summary="Rows that were set aside, by what is wrong", responses=_LOOKING
)
def clusters(
    name: models.Name,
    gateway: Parts,
    _: Reading,
    hours: Annotated[int, Query(ge=1, le=24 * 366, description="How far back the trend reaches.")] = 24,
    everything: Annotated[
        bool, Query(alias="all", description="Also rows that were resubmitted or discarded since.")
    ] = False,
) -> models.Fingerprints:
    """Open quarantined rows by cause and by the shape of the value at fault, such as `A9-9` for `AB12-7`: the most frequent
    first, each with its trend, the newest moment, and examples.
    """
    dataset = known(gateway.datasets, name)
    chosen = Chosen(all=everything)
    found = gateway.quarantine.fingerprints(dataset.name, chosen, timedelta(hours=hours))
    total = gateway.quarantine.count(dataset.name, chosen)
    return models.Fingerprints(hours=hours, total=total, items=[models.Fingerprint(**asdict(each)) for each in found])


@router.get(
    "/datasets/{name}/quarantine/export",
    summary="Every row that was set aside",
    response_class=StreamingResponse,
    responses=_LOOKING
    | {
        HTTPStatus.OK.value: {
            "description": "A line of JSON for each row.",
            "content": {NDJSON: {"schema": {"$ref": f"#/components/schemas/{models.QuarantinedRow.__name__}"}}},
        }
    },
)
def export(
    name: models.Name,
    gateway: Parts,
    _: Reading,
    stage: _Only = None,
    reason: _Only = None,
    rule: _Only = None,
    column: _Only = None,
    shape: _Only = None,
    everything: Annotated[
        bool, Query(alias="all", description="Also rows that were resubmitted or discarded since.")
    ] = False,
) -> StreamingResponse:
    """The chosen rows in full, in the order of their partition, as many as there are."""
    dataset = known(gateway.datasets, name)
    causes = {"stage": stage, "reason": reason, "rule": rule, "column": column, "shape": shape}
    chosen = Chosen(causes={name: value for name, value in causes.items() if value is not None}, all=everything)
    rows = gateway.quarantine.export(dataset.name, chosen)
    first = list(islice(rows, 1))  # before the status is sent: where the warehouse is away, it is an error
    return StreamingResponse(
        (models.QuarantinedRow(**row).model_dump_json() + "\n" for row in chain(first, rows)), media_type=NDJSON
    )


@router.get("/datasets/{name}/quarantine/{row_id}", summary="One row that was set aside", responses=_LOOKING)
def quarantined(
    name: models.Name,
    row_id: Annotated[str, Path(description="Its id, partition-offset.", examples=["1-4711"])],
    gateway: Parts,
    _: Reading,
) -> models.QuarantinedRowInFull:
    """One quarantined row with its bytes, and everything that was done to it, in order."""
    dataset = known(gateway.datasets, name)
    place = _ROW_ID.fullmatch(row_id)
    found = gateway.quarantine.get(dataset.name, (int(place[1]), int(place[2]))) if place else None
    if found is None:
        raise not_found(f"{name} has no quarantined row {row_id}; ids look like 1-4711")
    acts = [models.RowAct(**asdict(act)) for act in gateway.row_histories.of(dataset, found)]
    return models.QuarantinedRowInFull(**found, acts=acts)


@router.post(
    "/datasets/{name}/quarantine/resubmit",
    summary="Read quarantined rows anew",
    status_code=HTTPStatus.ACCEPTED,
    responses=_ASKING,
)
def resubmit(name: models.Name, body: models.Resubmission, gateway: Parts, caller: Repairing) -> models.QuarantineAsked:
    """Have ingest write the chosen open rows into the raw topic once more, edited if asked, each exactly once.

    They then pass every stage as they would have passed it the first time. In a dataset where the newest row of a key
    counts, each is as old as it was: it does not replace a newer one. Ingest may refuse rows; the outcome says which and why.

    Refused: a dataset that is loaded in runs (409).
    """
    dataset = known(gateway.datasets, name)
    if dataset.contract().load.mode == "replace":
        detail = f"{name} is loaded in runs: mend the rows at their source, then POST /datasets/{name}/runs"
        raise ProblemError(HTTPStatus.CONFLICT, "in-runs", "The dataset is read whole", detail)
    if body.set and body.patch:
        raise _unprocessable("two-edits", "There are two edits", "give either set or patch")
    for column, expression in body.set.items():
        for issue in examine_expression(expression):
            raise _unprocessable(
                "bad-expression",
                "This is no expression over one row",
                f"{column}: found {issue.found}, expected {issue.expected}",
            )
    try:
        checked(body.patch)
    except Unpatchable as error:
        raise _unprocessable("bad-patch", "This is no JSON Patch of a row", str(error)) from error
    edit = {"set": body.set} if body.set else {"patch": body.patch} if body.patch else None
    return _asked(
        gateway, dataset, body, Wish("resubmit", caller.name, body.because, json.dumps(edit) if edit else None)
    )


@router.post(
    "/datasets/{name}/quarantine/discard",
    summary="Give quarantined rows up",
    status_code=HTTPStatus.ACCEPTED,
    responses=_ASKING,
)
def discard(
    name: models.Name, body: models.QuarantineChoice, gateway: Parts, caller: Operating
) -> models.QuarantineAsked:
    """Take the chosen open rows out of quarantine for good. They stay in the books, as discarded, and can be seen with `all`."""
    return _asked(gateway, known(gateway.datasets, name), body, Wish("discard", caller.name, body.because))


@router.post(
    "/datasets/{name}/quarantine/assign",
    summary="Say who is to see to quarantined rows",
    status_code=HTTPStatus.ACCEPTED,
    responses=_ASKING,
)
def assign(name: models.Name, body: models.Assignment, gateway: Parts, caller: Operating) -> models.QuarantineAsked:
    """Assign the chosen open rows to somebody, also those that somebody else has; those that this person has already are left as
    they are. Ingest refuses rows that were resubmitted or discarded meanwhile.
    """
    wish = Wish("assign", caller.name, body.because, to=body.to)
    return _asked(gateway, known(gateway.datasets, name), body, wish, unlike=body.to)


@router.post(
    "/datasets/{name}/quarantine/unassign",
    summary="Take quarantined rows back from whom they are assigned to",
    status_code=HTTPStatus.ACCEPTED,
    responses=_ASKING,
)
def unassign(
    name: models.Name, body: models.QuarantineChoice, gateway: Parts, caller: Operating
) -> models.QuarantineAsked:
    """Of the chosen open rows those that are assigned are assigned to nobody."""
    return _asked(gateway, known(gateway.datasets, name), body, Wish("unassign", caller.name, body.because), unlike="")


@router.get("/datasets/{name}/quarantine/requests/{request}", summary="What became of a request", responses=_LOOKING)
def outcome(
    name: models.Name,
    request: Annotated[str, Path(description="As it was answered.", max_length=64)],
    gateway: Parts,
    _: Repairing,
) -> models.QuarantineOutcome:
    """How many of its rows were resubmitted, discarded, assigned, unassigned and refused so far, as the loader has stored it."""
    found = gateway.quarantine.outcome(known(gateway.datasets, name).name, request)
    return models.QuarantineOutcome(
        request=request,
        refusals=[models.Refused(**each) for each in found.refused],
        **{act: found.counts.get(act, 0) for act in _OUTCOMES},
    )


def _asked(
    gateway: Gateway, dataset: DatasetVersion, body: models.QuarantineChoice, wish: Wish, unlike: str | None = None
) -> models.QuarantineAsked:
    causes = {name: value for name in _CAUSES if (value := getattr(body, name)) is not None}
    if not (body.ids or causes or body.all_matching):
        detail = "name rows by ids or by what set them aside; all_matching takes every open row"
        raise _unprocessable("nothing-chosen", "No rows are chosen", detail)
    places = [(int(partition), int(offset)) for partition, offset in (row.split("-") for row in body.ids)]
    chosen = Chosen(ids=places, causes=causes, unlike=unlike)
    found = gateway.quarantine.find(dataset.name, chosen, 1)
    clusters = [models.Cluster(**cluster) for cluster in found.clusters]
    if not found.total or (body.dry_run and wish.act not in READING):
        return models.QuarantineAsked(request=None, rows=found.total, clusters=clusters)
    if body.dry_run:
        some = list(gateway.quarantine.every(dataset.name, chosen, most=_MOST_TRIED))
        judged = gateway.quarantine_desk.try_out(dataset.name, some, replace(wish, act="try"), _PATIENCE_S)
        verdicts = [models.Verdict(**each) for each in grouped(judged)]
        return models.QuarantineAsked(
            request=None, rows=found.total, clusters=clusters, tried=len(some), verdicts=verdicts
        )
    every = gateway.quarantine.every(dataset.name, chosen, whole=wish.act in READING)
    request, rows = gateway.quarantine_desk.ask(dataset.name, every, wish)
    return models.QuarantineAsked(request=request, rows=rows, clusters=clusters)


def _unprocessable(code: str, title: str, detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, code, title, detail)

"""Routes: how the source of a dataset drifts from what it was, and what is to be done about it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from http import HTTPStatus
from itertools import chain, islice
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path

from headrace.access.book import Caller
from headrace.access.policy import Action
from headrace.contract import Contract, FileEdit, checks_on, load, outputs_of, readers_of, settings_on
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Seeing, Trying, may_answer
from services.gateway.adapters.http.datasets import known, make_live
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.quarantine_desk import Act, Wish
from services.gateway.adapters.quarantine_sql import Chosen
from services.gateway.core.datasets import DatasetVersion, propose
from services.gateway.core.drift import MISFIT, UNKNOWN, Choice, Drift, Impossible, declared, edit_for, likely_type
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["books"])

_LOOKED_AT: Final = 500  # rows of a drift
_SHOWN: Final = 5

_LOOKING: Final = may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)
_DECIDING: Final = may_answer(
    HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
)


@router.get("/datasets/{name}/drift", summary="How the source drifts", responses=_LOOKING)
def drift(name: models.Name, gateway: Parts, caller: Seeing) -> models.Drift:
    """Rows that ingest set aside because a column is new, or its values do not fit: since when, and what the column hits.

    Values are there for those who see all of the dataset; readers, as far as you may see them.
    """
    dataset = known(gateway.datasets, name)
    decided = dataset.contract().source.drift
    return models.Drift(
        items=[_item(gateway, caller, dataset, found) for found in gateway.quarantine.drifts(name)],
        decided={column: decision.model_dump(exclude_defaults=True) for column, decision in decided.items()},
    )


@router.post("/datasets/{name}/drift/{column}", summary="Decide about a column that drifts", responses=_DECIDING)
def decide(
    name: models.Name,
    column: Annotated[str, Path(description="The source's column.", max_length=128)],
    body: models.DriftChoice,
    gateway: Parts,
    caller: Trying,
) -> models.DriftDecided:
    """Write the decision into the dataset's file, make that live, and have every row that was set aside read anew under it.

    From the first row on that drifted, so that no value is lost. Refused: where no row is set aside for the column (404), what
    does not go with the drift (422), and a change that is breaking, or of a file that somebody changed meanwhile (409).
    """
    dataset = known(gateway.datasets, name)
    contract = dataset.contract()
    drifts = gateway.quarantine.drifts(name)
    edit = _edit(gateway, contract, drifts, column, body)
    after = contract if edit is None else _edited(contract, edit)
    changes = propose(after, gateway.datasets.all()).changes
    version, request = dataset.version, None
    columns = {column} if edit is None else {column, *after.source.drift, *declared(after)}
    held = [each for each in drifts if each.column in columns]
    rows = sum(each.rows for each in held)
    if not body.dry_run:
        if edit is not None:
            version = make_live(gateway, after, caller.name, skip_tests=None, over=dataset.version).version
        act: Act = "resubmit" if edit is not None else "discard"
        chosen = chain.from_iterable(gateway.quarantine.every(name, _of(each), whole=edit is not None) for each in held)
        wish = Wish(act, caller.name, body.because, version=version)
        request, rows = gateway.quarantine_desk.ask(name, chosen, wish)
    return models.DriftDecided(
        column=column,
        rows=rows,
        edit=None if edit is None else models.DriftEdit.of(edit),
        changes=[models.Change(**asdict(change)) for change in changes],
        version=version,
        request=request,
    )


def _edit(
    gateway: Gateway, contract: Contract, drifts: Sequence[Drift], column: str, body: models.DriftChoice
) -> FileEdit | None:
    """What a choice changes in the file; None when it changes nothing. Errors: ProblemError."""
    name = contract.dataset
    found, values = _found(gateway, contract, drifts, column, body)
    if found is None:
        raise not_found(
            f"no open row of {name} was set aside for a column {column!r}; `headrace drift ls {name}` shows those"
        )
    if contract.load.mode == "replace" and body.act != "reject":
        detail = f"{name} is loaded in runs: change its file, apply it, and its next run reads the rows as it says"
        raise ProblemError(HTTPStatus.CONFLICT, "in-runs", "The dataset is read whole", detail)
    choice = Choice(body.act, body.to, body.expression, body.type)
    try:
        return edit_for(contract, found, choice, likely_type(values), outputs_of(contract, column).columns)
    except Impossible as error:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        raise ProblemError(status, "other-drift", "That cannot be decided here", str(error)) from error


def _found(
    gateway: Gateway, contract: Contract, drifts: Sequence[Drift], column: str, body: models.DriftChoice
) -> tuple[Drift | None, list[Any]]:
    """How a column drifts, and some of its values.

    A row is set aside for one column. Once that is decided about it may lack a decision about another, which is found here in
    some of such rows.
    """
    name = contract.dataset
    if own := next((each for each in drifts if each.column == column), None):
        return own, _values(gateway, name, own)
    decided = {*contract.source.drift, *declared(contract)}
    for other in drifts if body.act != "reject" else []:
        if other.column in decided and (values := _values(gateway, name, other, column)):
            known = column in declared(contract) or body.act == "cast" or (body.to is not None and body.act == "accept")
            return replace(other, column=column, reason=MISFIT if known else UNKNOWN), values
    return None, []


def _edited(contract: Contract, edit: FileEdit) -> Contract:
    """The contract with an edit. Errors: ContractError when it is none any more."""
    document = contract.model_dump(mode="json", by_alias=True, exclude_none=True)
    edit.write(document)
    return load(json.dumps(document))


def _of(drift: Drift) -> Chosen:
    return Chosen(causes={"stage": "ingest", "column": drift.column, "reason": drift.reason})


def _item(gateway: Gateway, caller: Caller, dataset: DatasetVersion, drift: Drift) -> models.DriftItem:
    values = _values(gateway, dataset.name, drift)
    whole = caller.access.sees_whole(Action.QUERY, gateway.assets.of(dataset.name))
    shown = list({json.dumps(value, default=str): value for value in values}.values()) if whole else []
    return models.DriftItem(
        **asdict(drift),
        examples=shown[:_SHOWN],
        likely_type=likely_type(values),
        hits=_hits(gateway, caller, dataset, drift.column),
    )


def _hits(gateway: Gateway, caller: Caller, dataset: DatasetVersion, column: str) -> models.DriftHits:
    contract = dataset.contract()
    outputs = outputs_of(contract, column)
    published = [*outputs.columns, *outputs.unsure]
    live = {name: each.contract() for name, each in gateway.datasets.all().items()}
    hides = gateway.catalog.listing.hides(caller.access)
    readers = [
        each for each in readers_of(dataset.name, published, live) if not (hides(each.dataset) or hides(each.via))
    ]
    return models.DriftHits(
        columns=list(outputs.columns),
        unsure=list(outputs.unsure),
        dropped_by=list(outputs.dropped_by),
        checks=list(checks_on(contract, published)),
        settings=list(settings_on(contract, published)),
        readers=[models.ColumnReader.of(reader) for reader in readers],
    )


def _values(gateway: Gateway, name: str, drift: Drift, column: str | None = None) -> list[Any]:
    """The values of the column, or of another one, in some of the rows, as the source gave them."""
    rows = islice(gateway.quarantine.every(name, _of(drift), most=_LOOKED_AT), _LOOKED_AT)
    return [value for row in rows if (value := _given(row).get(column or drift.column)) is not None]


def _given(row: dict[str, Any]) -> dict[str, Any]:
    """What the source gave for a row, by column; nothing where its bytes do not tell."""
    text = row["fields"] if row["fields"] else base64.b64decode(row["value"]).decode(errors="replace")
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

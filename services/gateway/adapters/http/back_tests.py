"""Routes: what another version of a dataset file would make of the rows that are there."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from headrace.contract import load
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Trying, may_answer
from services.gateway.adapters.http.authorship import permit_file
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.streamed import described, streamed
from services.gateway.adapters.inquiry import Part

router = APIRouter(prefix=PREFIX, tags=["datasets"])

_PATIENCE_S: Final = 600.0
_ROWS: Final = 100_000
_ANSWER: Final = described(
    models.BackTestPart, "A line of JSON for each part: `progress` as it goes on, then `report`, or `failure`."
)


@router.post(
    "/plan/back-test",
    summary="What a dataset file would make of the newest rows",
    response_class=StreamingResponse,
    responses=_ANSWER | may_answer(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def back_test(body: models.BackTestRequest, gateway: Parts, caller: Trying) -> StreamingResponse:
    """The newest staged rows, or those of the last hours, are put to the live version and to this one, with the same reference
    data: which rows would get another fate, which values would be others, with samples. Changes nothing. The stream waits for
    nothing: it is one back-test at a time, in the transformer.

    For whoever may edit the dataset and sees all of it: samples show rows.
    """
    contract = load(body.document)
    permit_file(gateway, caller, contract)
    known(gateway.datasets, contract.dataset)
    since = None if body.hours is None else datetime.now(UTC) - timedelta(hours=body.hours)
    rows = body.rows or (_ROWS if since is None else models.MOST_TESTED)
    parts = gateway.back_tests.ask(contract, rows, since, caller.name, _PATIENCE_S)
    return streamed(parts, lambda error: [Part("failure", {"message": str(error)})])

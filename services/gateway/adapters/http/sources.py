"""Routes: look at a source before anything is saved of it."""

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from headrace.access.book import Caller
from headrace.contract.document import read
from headrace.contract.loading import validated
from headrace.errors import Transient
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Editing, Parts, may_answer
from services.gateway.adapters.http.authorship import permit_source
from services.gateway.adapters.http.problems import ProblemError
from services.gateway.adapters.http.streamed import described, streamed
from services.gateway.adapters.inquiry import Part
from services.gateway.adapters.source_desk import Act
from services.gateway.core.sources import completed
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["sources"])

_PATIENCE_S: Final = 120.0
_ANSWER: Final = described(
    models.SourcePart, "A line of JSON for each part: `step`, then `stream` when discovering, then `end`."
)
_RESPONSES: Final = _ANSWER | may_answer(HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE)


@router.post(
    "/sources/check", summary="Try a source, step by step", response_class=StreamingResponse, responses=_RESPONSES
)
def check(body: models.SourceFile, gateway: Parts, caller: Editing) -> StreamingResponse:
    """Saves nothing. Each step is sent as it ends, with the time it took, and the setting at fault when it failed.

    For whoever may edit the dataset: the file says where ingest connects to.
    """
    return _answered(gateway, "check", body, caller)


@router.post(
    "/sources/discover",
    summary="Try a source, and describe what it offers",
    response_class=StreamingResponse,
    responses=_RESPONSES,
)
def discover(body: models.SourceFile, gateway: Parts, caller: Editing) -> StreamingResponse:
    """As checking; then what the source offers: columns with types and examples, candidates for keys and cursors, and
    which columns seem to hold personal data (no example of these is shown). A database of which no table is chosen
    offers its tables and views, each with its kind, its schema and an estimate of its rows.
    """
    return _answered(gateway, "discover", body, caller)


def _answered(gateway: Gateway, act: Act, body: models.SourceFile, caller: Caller) -> StreamingResponse:
    value = read(body.document, "source").value
    contract = validated(completed(value if isinstance(value, dict) else {}), looking=True)
    permit_source(gateway, caller, contract, named=isinstance(value, dict) and "dataset" in value)
    if contract.source.type == "http_push":
        detail = (
            "rows are sent to a source of type http_push: there is nothing to look at; apply the dataset, then push"
        )
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "pushed-source", "This source is not read", detail)
    parts = gateway.sources.ask(act, contract, caller.name, _PATIENCE_S)
    return streamed(parts, _broken_off)


def _broken_off(error: Transient) -> list[Part]:
    said = {"name": "answer", "ok": False, "message": str(error), "remedy": "", "field": None}
    return [Part("step", said), Part("end", {"ok": False, "took_s": None})]

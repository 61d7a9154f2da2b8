"""Routes: ask the warehouse."""

from collections.abc import Collection
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from headrace.access.book import Caller
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Querying, may_answer
from services.gateway.adapters.http.exports import completeness_headers, handed_on, latin
from services.gateway.adapters.http.problems import ProblemError
from services.gateway.adapters.http.recording import note
from services.gateway.core.completeness import combined
from services.gateway.core.exports import MEDIA_TYPES, Format
from services.gateway.gateway import Gateway
from services.gateway.queries import ReadDataset

router = APIRouter(prefix=PREFIX, tags=["queries"])

_ROWS: Final = 1000
_STREAMED: Final[tuple[Format, ...]] = ("jsonl", "csv", "arrow")
_ACCEPTED: Final[dict[str, Format]] = {MEDIA_TYPES[form].partition(";")[0]: form for form in _STREAMED}
_STREAMS: Final[dict[int | str, dict[str, Any]]] = {
    HTTPStatus.OK.value: {"content": {media: {"schema": {"type": "string"}} for media in _ACCEPTED}}
}


@router.post(
    "/query",
    summary="Run a read-only query",
    response_model=models.QueryResult,
    responses=may_answer(HTTPStatus.CONFLICT) | _STREAMS,
)
def query(
    body: models.Query, gateway: Parts, caller: Querying, accept: Annotated[str, Header()] = ""
) -> models.QueryResult | StreamingResponse:
    """Run one SELECT in the warehouse, over the datasets that you may query: of each the rows and the values that you may see.

    A hidden value is NULL, also to conditions and joins. Not allowed: anything that writes, several statements, SETTINGS,
    FORMAT, INTO OUTFILE, table functions, functions that reach beyond their arguments, tables that are no dataset's, and
    `IN table`. The statement that runs is the one that was understood, without its comments.

    The answer is JSON, or a stream of JSON lines, CSV or Arrow, as `format` or the header Accept asks for. Who stops reading a
    stream stops the query. How complete the rows are stands in `datasets`, of a stream in headers: `X-Headrace-Complete-Through`,
    if all that the sources had by then is among the rows, else `X-Headrace-Waiting-For`; `X-Headrace-Datasets` and
    `X-Headrace-Partial` name what was read, and what of it you see a part of. In CSV, texts that a spreadsheet would run begin
    with an apostrophe.
    """
    form = _ACCEPTED.get(accept.partition(";")[0].strip()) if body.format is None else _streamed(body.format)
    if form is not None:
        pieces, read = gateway.queries.stream(caller, body.sql, body.limit, body.parameters, form, _noted)
        first = next(pieces, b"")
        _record(gateway, caller, read)
        return StreamingResponse(handed_on(first, pieces), headers=_told(read), media_type=MEDIA_TYPES[form])
    limit = _ROWS if body.limit is None else body.limit
    if limit > models.MOST_IN_JSON:
        detail = f"as JSON at most {models.MOST_IN_JSON:,} rows come: ask for the format jsonl, csv or arrow"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "too-many-rows", "The limit is too high", detail)
    answer, read = gateway.queries.answer(caller, body.sql, limit, body.parameters, _noted)
    _record(gateway, caller, read)
    note(rows=len(answer.rows), truncated=answer.truncated)
    return models.QueryResult(
        columns=[models.Column(name=name, type=kind) for name, kind in answer.columns],
        rows=answer.rows,
        row_count=len(answer.rows),
        truncated=answer.truncated,
        elapsed_ms=answer.elapsed_ms,
        datasets=[_read(each) for each in read],
    )


@router.post("/query/estimate", summary="What a query would read", responses=may_answer(HTTPStatus.CONFLICT))
def estimate(body: models.Query, gateway: Parts, caller: Querying) -> models.QueryEstimate:
    """How many rows the engine would read for a query at most. Nothing is read; what is refused is refused here as well."""
    rows, parts, datasets = gateway.queries.estimate(caller, body.sql, body.parameters)
    return models.QueryEstimate(rows=rows, parts=parts, datasets=list(datasets))


def _noted(datasets: Collection[str]) -> None:
    """For the audit, however the query ends."""
    note(datasets=datasets)


def _record(gateway: Gateway, caller: Caller, read: list[ReadDataset]) -> None:
    """For who uses a dataset."""
    names = [each.name for each in read]
    gateway.catalog.usage.record(names, caller.principal.id, caller.name, "queries", datetime.now(UTC))


def _streamed(form: str) -> Format | None:
    return next((each for each in _STREAMED if each == form), None)


def _told(read: list[ReadDataset]) -> dict[str, str]:
    told = completeness_headers(combined({each.name: each.completeness for each in read}))
    told["X-Headrace-Datasets"] = ",".join(each.name for each in read)
    told["X-Headrace-Partial"] = ",".join(each.name for each in read if each.partial)
    return {"Cache-Control": "no-store"} | {name: latin(value) for name, value in told.items()}


def _read(each: ReadDataset) -> models.ReadDataset:
    state = each.completeness
    return models.ReadDataset(
        dataset=each.name,
        complete_through=state.through,
        loaded_at=state.loaded_at,
        rows_in_flight=state.in_flight,
        waiting_for=list(state.waiting_for),
        partial=each.partial,
    )

"""Routes: ask the warehouse."""

from http import HTTPStatus

from fastapi import APIRouter

from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Querying, may_answer
from services.gateway.queries import ReadDataset

router = APIRouter(prefix=PREFIX, tags=["queries"])


@router.post("/query", summary="Run a read-only query", responses=may_answer(HTTPStatus.SERVICE_UNAVAILABLE))
def query(body: models.Query, gateway: Parts, caller: Querying) -> models.QueryResult:
    """Run one SELECT in the warehouse, over the datasets that you may query: of each the rows and the values that you may see.

    A hidden value is NULL, also to conditions and joins. Not allowed: anything that writes, several statements, SETTINGS,
    FORMAT, INTO OUTFILE, table functions, functions that reach beyond their arguments, tables that are no dataset's, and
    `IN table`. The statement that runs is the one that was understood, without its comments.
    """
    answer, read = gateway.queries.answer(caller, body.sql, body.limit, {})
    return models.QueryResult(
        columns=[models.Column(name=name, type=kind) for name, kind in answer.columns],
        rows=answer.rows,
        row_count=len(answer.rows),
        truncated=answer.truncated,
        elapsed_ms=answer.elapsed_ms,
        datasets=[_read(each) for each in read],
    )


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

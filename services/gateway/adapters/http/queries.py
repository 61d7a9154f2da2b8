"""Routes: ask the warehouse."""

from http import HTTPStatus

from fastapi import APIRouter

from headrace.sql_guard import guarded
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Calling, Parts, may_answer
from services.gateway.adapters.http.recording import note

router = APIRouter(prefix=PREFIX, tags=["queries"])


@router.post("/query", summary="Run a read-only query", responses=may_answer(HTTPStatus.SERVICE_UNAVAILABLE))
def query(body: models.Query, gateway: Parts, _: Calling) -> models.QueryResult:
    """Run one SELECT in the warehouse, over the tables of datasets.

    Not allowed: anything that writes, several statements, SETTINGS, FORMAT, INTO OUTFILE, table functions, tables
    that belong to no dataset, and `IN table`. The statement that runs is the one that was understood, without its
    comments.
    """
    domains = {name.partition(".")[0] for name in gateway.datasets.all()}
    answer = gateway.warehouse.query(guarded(body.sql, domains, body.limit + 1), body.limit)
    note(rows=len(answer.rows), truncated=answer.truncated)
    return models.QueryResult(
        columns=[models.Column(name=name, type=kind) for name, kind in answer.columns],
        rows=answer.rows,
        row_count=len(answer.rows),
        truncated=answer.truncated,
        elapsed_ms=answer.elapsed_ms,
    )

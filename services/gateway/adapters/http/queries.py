"""Routes: ask the warehouse."""

from http import HTTPStatus

from fastapi import APIRouter

from headrace.access.book import Caller
from headrace.access.policy import Action
from headrace.sql_guard import guarded
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Querying, may_answer
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["queries"])


@router.post("/query", summary="Run a read-only query", responses=may_answer(HTTPStatus.SERVICE_UNAVAILABLE))
def query(body: models.Query, gateway: Parts, caller: Querying) -> models.QueryResult:
    """Run one SELECT in the warehouse, over the tables of datasets.

    Not allowed: anything that writes, several statements, SETTINGS, FORMAT, INTO OUTFILE, table functions, tables
    that belong to no dataset, and `IN table`. The statement that runs is the one that was understood, without its
    comments.
    """
    answer = gateway.warehouse.query(guarded(body.sql, _whole_domains(gateway, caller), body.limit + 1), body.limit)
    return models.QueryResult(
        columns=[models.Column(name=name, type=kind) for name, kind in answer.columns],
        rows=answer.rows,
        row_count=len(answer.rows),
        truncated=answer.truncated,
        elapsed_ms=answer.elapsed_ms,
    )


def _whole_domains(gateway: Gateway, caller: Caller) -> set[str]:
    """The domains of which the caller sees everything: in a domain's database are the tables of all of its datasets."""
    hidden: set[str] = set()
    domains: set[str] = set()
    for asset in gateway.assets.all().values():
        (domains if caller.access.sees_whole(Action.QUERY, asset) else hidden).add(asset.domain)
    return domains - hidden

"""Routes: where every row is."""

from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from headrace.stream import topics
from services.gateway.accounts import Account, StageStatus
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Reading, Seeing, may_answer
from services.gateway.adapters.http.datasets import known, visible_datasets
from services.gateway.core.conservation import Books

router = APIRouter(prefix=PREFIX, tags=["books"])


@router.get("/status", summary="What every stage is doing", responses=may_answer(HTTPStatus.NOT_FOUND))
def status(
    gateway: Parts,
    caller: Seeing,
    dataset: Annotated[str | None, Query(description="Only this dataset.", examples=["nyc.flights"])] = None,
) -> models.Statuses:
    """Lag, rate and latency of every stage of every dataset, or of one; and whether it has come to rest."""
    datasets = visible_datasets(gateway, caller, dataset or None)
    now, pins = datetime.now(UTC), gateway.overrides.pins()
    return models.Statuses(
        items=[
            models.DatasetStatus(
                dataset=account.dataset.name,
                state=account.dataset.state,
                settled=account.settled,
                waiting_for=list(account.waiting_for),
                problems=list(account.problems),
                pinned=pins[account.dataset.name].told if account.dataset.name in pins else "",
                source=models.SourceStatus(**asdict(account.source)),
                stages=[_stage(stage) for stage in gateway.accounts.status(account, now)],
                quarantined=sum(account.books.total.quarantined.values()),
                resubmitted=sum(account.books.total.resubmitted.values()),
                discarded=sum(account.books.total.discarded.values()),
                parked=sum(account.books.total.parked.values()),
            )
            for account in gateway.accounts.of(datasets)
        ]
    )


@router.get(
    "/datasets/{name}/ledger", summary="Where every row of a dataset went", responses=may_answer(HTTPStatus.NOT_FOUND)
)
def ledger(name: models.Name, gateway: Parts, _: Seeing) -> models.Ledger:
    """The books: rows by fate, whole and by partition, with every stage and hop they are made of.

    The residue is only known once the dataset is settled: until then a difference is rows in flight.
    """
    (account,) = gateway.accounts.of([known(gateway.datasets, name)])
    return _ledger(account)


@router.get(
    "/datasets/{name}/tail",
    summary="The newest records of a topic",
    responses=may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def tail(
    name: models.Name,
    gateway: Parts,
    _: Reading,
    stage: Annotated[models.TailStage, Query(description="After which stage to look.")] = "validated",
    limit: Annotated[int, Query(ge=1, le=500, description="The most records.")] = 10,
) -> models.TailRecords:
    """The newest committed records of all partitions, oldest first."""
    dataset = known(gateway.datasets, name)
    topic = {
        "raw": topics.raw(dataset.name),
        "staged": topics.staged(dataset.name),
        "transformed": topics.transformed(dataset.name, dataset.generation),
        "validated": topics.validated(dataset.name, dataset.generation),
        "quarantine": topics.quarantine(dataset.name),
    }[stage]
    return models.TailRecords(items=[models.TailRecord(**asdict(record)) for record in gateway.tail(topic, limit)])


def _stage(status: StageStatus) -> models.StageStatus:
    return models.StageStatus(
        stage=status.stage,
        rows_in=status.rows_in,
        rows_out=status.rows_out,
        lag_rows=status.lag_rows,
        rate_rows_s=status.rate_rows_s,
        latency_ms=models.Latency(p50=status.p50_ms, p95=status.p95_ms),
        last_commit_at=status.last_commit_at,
    )


def _ledger(account: Account) -> models.Ledger:
    books = account.books
    return models.Ledger(
        **_fates(books.total),
        dataset=account.dataset.name,
        generation=account.dataset.generation,
        settled=account.settled,
        waiting_for=list(account.waiting_for),
        problems=list(account.problems),
        partitions=[
            models.PartitionBooks(**_fates(each), partition=partition) for partition, each in books.partitions.items()
        ],
        stages=[models.StageBooks(**asdict(stage)) for stage in books.stages],
        hops=[models.Hop(**asdict(hop)) for hop in books.hops],
    )


def _fates(books: Books) -> dict[str, object]:
    return asdict(books)

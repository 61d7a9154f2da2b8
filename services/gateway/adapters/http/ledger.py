"""Routes: where every row is."""

import re
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from headrace.stream import topics
from services.gateway.accounts import Account, StageStatus
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Calling, Parts, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.problems import not_found
from services.gateway.core.conservation import Books

router = APIRouter(prefix=PREFIX, tags=["books"])

_ROW_ID: Final = re.compile(r"(\d{1,9})-(\d{1,18})")


@router.get("/status", summary="What every stage is doing", responses=may_answer(HTTPStatus.NOT_FOUND))
def status(
    gateway: Parts,
    _: Calling,
    dataset: Annotated[str | None, Query(description="Only this dataset.", examples=["nyc.flights"])] = None,
) -> models.Statuses:
    """Lag, rate and latency of every stage of every dataset, or of one; and whether it has come to rest."""
    datasets = [known(gateway.datasets, dataset)] if dataset else gateway.datasets.all().values()
    now = datetime.now(UTC)
    return models.Statuses(
        items=[
            models.DatasetStatus(
                dataset=account.dataset.name,
                state=account.dataset.state,
                settled=account.settled,
                waiting_for=list(account.waiting_for),
                problems=list(account.problems),
                source=models.SourceStatus(**asdict(account.source)),
                stages=[_stage(stage) for stage in gateway.accounts.status(account, now)],
            )
            for account in gateway.accounts.of(datasets)
        ]
    )


@router.get(
    "/datasets/{name}/ledger", summary="Where every row of a dataset went", responses=may_answer(HTTPStatus.NOT_FOUND)
)
def ledger(name: models.Name, gateway: Parts, _: Calling) -> models.Ledger:
    """The books: rows by fate, whole and by partition, with every stage and hop they are made of.

    The residue is only known once the dataset is settled: until then a difference is rows in flight.
    """
    (account,) = gateway.accounts.of([known(gateway.datasets, name)])
    return _ledger(account)


@router.get(
    "/datasets/{name}/quarantine",
    summary="Rows that were set aside",
    responses=may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def quarantine(
    name: models.Name,
    gateway: Parts,
    _: Calling,
    reason: Annotated[
        str | None,
        Query(description="Only rows with this reason.", max_length=100, examples=["check_references"]),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="The most rows to show in full.")] = 100,
) -> models.Quarantined:
    """All quarantined rows by cause, and the newest of them in full, as the loader has stored them in the warehouse."""
    dataset = known(gateway.datasets, name)
    found = gateway.quarantine.find(dataset.name, reason, limit)
    return models.Quarantined(
        total=found.total,
        clusters=[models.Cluster(**cluster) for cluster in found.clusters],
        items=[models.QuarantinedRow(**item) for item in found.items],
    )


@router.get(
    "/datasets/{name}/quarantine/{row_id}",
    summary="One row that was set aside",
    responses=may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def quarantined(
    name: models.Name,
    row_id: Annotated[str, Path(description="Its id, partition-offset.", examples=["1-4711"])],
    gateway: Parts,
    _: Calling,
) -> models.QuarantinedRow:
    """One quarantined row with its bytes."""
    dataset = known(gateway.datasets, name)
    place = _ROW_ID.fullmatch(row_id)
    found = gateway.quarantine.get(dataset.name, int(place[1]), int(place[2])) if place else None
    if found is None:
        raise not_found(f"{name} has no quarantined row {row_id}; ids look like 1-4711")
    return models.QuarantinedRow(**found)


@router.get(
    "/datasets/{name}/tail",
    summary="The newest records of a topic",
    responses=may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def tail(
    name: models.Name,
    gateway: Parts,
    _: Calling,
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

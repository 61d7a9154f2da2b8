"""Routes: the passports of rows."""

from base64 import b64encode
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from headrace.stream import columns, topics
from headrace.stream.generation_table import table_name
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Reading, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.problems import not_found
from services.gateway.adapters.http.recording import AUDITED_READ
from services.gateway.contributors import Contribution
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.passport import place_of
from services.gateway.passport import NoRecordError, Passport

router = APIRouter(prefix=PREFIX, tags=["books"])

_LOOKING = may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)


@router.get(
    "/datasets/{name}/rows/{row_id}/passport",
    summary="The passport of a raw record",
    responses=_LOOKING,
    openapi_extra=AUDITED_READ,
)
def passport(
    name: models.Name,
    row_id: Annotated[
        str,
        Path(description="Its partition:offset in the raw topic, or partition:offset:seq.", examples=["0:4711"]),
    ],
    gateway: Parts,
    _: Reading,
    contributors: Annotated[int, Query(ge=0, le=100, description=models.CONTRIBUTORS_TOLD)] = 5,
) -> models.Passport:
    """What a raw record was, and what became of it: rows of the warehouse, filtered, quarantined or still on its way.

    The coordinates are those that each row carries as `_partition` and `_offset`, so this is also the way back from a row.
    """
    dataset, place = known(gateway.datasets, name), place_of(row_id)
    if place is None:
        raise not_found(f"{row_id} is no row of {name}: rows are named PARTITION:OFFSET, for example 0:4711")
    coordinates, seq = place
    try:
        return _shown(gateway.passports.of(dataset, coordinates, () if seq is None else [seq], contributors))
    except NoRecordError as error:
        raise not_found(str(error)) from error


@router.post(
    "/datasets/{name}/rows/passport",
    summary="The passports of rows that meet a condition",
    responses=may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
)
def passports(name: models.Name, body: models.RowsWanted, gateway: Parts, _: Reading) -> models.Passports:
    """From rows of the dataset's table back to the raw records they were made of, with the siblings of each.

    Changes nothing. The condition is one expression over a row's columns; anything else is refused (422).
    """
    dataset = known(gateway.datasets, name)
    try:
        found, more = gateway.passports.matching(dataset, body.where, body.limit, body.contributors)
    except NoRecordError as error:
        raise not_found(str(error)) from error
    return models.Passports(items=[_shown(each) for each in found], truncated=more)


def _shown(passport: Passport) -> models.Passport:
    content = passport.seen.fields or {}
    return models.Passport(
        dataset=passport.dataset.name,
        id=str(passport.place),
        fate=models.Whereabouts(
            state=passport.fate.state,
            stage=passport.fate.stage,
            detail=passport.fate.detail,
            rule=passport.rule,
            candidates=passport.candidates,
        ),
        raw=_raw(passport),
        origin=models.Origin(
            type=passport.dataset.contract().source.type,
            changed_at=content.get(columns.SOURCE_TS),
            op=content.get(columns.OP),
            place=passport.edits[-1]["source"] if passport.edits else None,
        ),
        lake=models.LandedRecord(
            state=passport.seen.landed.state,
            table=passport.seen.landed.table,
            file=passport.seen.landed.file,
            detail=passport.seen.landed.detail,
        ),
        version=_version(passport.version) if passport.version is not None else None,
        legs=_legs(passport),
        rows=[_row(passport, row) for row in passport.seen.rows],
        quarantined=[
            models.SetAsideRow(**each.row, became=[str(place) for place in each.became])
            for each in passport.seen.quarantined
        ],
        edits=[models.QuarantinedRow(**row) for row in passport.edits],
        run=_run(passport),
        contributors=[_made_of(each) for each in passport.contributors],
    )


def _raw(passport: Passport) -> models.RawRecord:
    record, schema = passport.seen.record, passport.schema
    in_lake = passport.seen.landed.state == "landed"
    return models.RawRecord(
        topic=topics.raw(passport.dataset.name),
        partition=passport.place.partition,
        offset=passport.place.offset,
        held="topic" if record is not None else "lake" if in_lake else "nowhere",
        timestamp=record.at if record is not None else (passport.seen.landed.fields or {}).get(columns.INGESTED_AT),
        key=_base64(record.key) if record is not None else None,
        headers=[(name, _base64(value)) for name, value in record.headers] if record is not None else [],
        value=_base64(record.value) if record is not None else None,
        size_bytes=len(record.value) if record is not None and record.value is not None else None,
        schema=models.RawSchema(id=schema.id, fields=_fields(schema.fields)) if schema is not None else None,
        fields=passport.seen.fields,
        error=record.error if record is not None else None,
    )


def _fields(known: list[dict[str, Any]] | None) -> list[models.RawField] | None:
    return None if known is None else [models.RawField(**each) for each in known]


def _version(version: DatasetVersion) -> models.AppliedVersion:
    contract = version.contract()
    return models.AppliedVersion(
        version=version.version,
        generation=version.generation,
        applied_at=version.applied_at,
        applied_by=version.applied_by,
        tests_skipped=version.tests_skipped,
        sql=contract.transform.sql,
        checks=[check.model_dump(mode="json", exclude_none=True) for check in contract.checks],
    )


def _legs(passport: Passport) -> list[models.Leg]:
    stamps = {stamp.stage: stamp for stamp in passport.stamps}
    legs = []
    for step in passport.seen.steps:
        stamp = stamps.get(step.stage)
        legs.append(
            models.Leg(
                stage=step.stage,
                topic=step.topic,
                offsets=list(step.found.offsets),
                done=step.done,
                committed_at=stamp.committed_at if stamp else None,
                version=stamp.version if stamp else None,
                instance=stamp.instance if stamp else None,
            )
        )
    return legs


def _row(passport: Passport, row: dict[str, Any]) -> models.MadeRow:
    dataset, seq = passport.dataset, row[columns.SEQ]
    hidden = ("_load_partition", "_load_offset", "_row_version", "_is_deleted")
    return models.MadeRow(
        seq=seq,
        matched=seq in passport.matched,
        shown=seq in passport.seen.shown,
        flags=row.get(columns.FLAGS) or [],
        fields={name: value for name, value in row.items() if name not in hidden},
        loaded=models.LoadedAs(
            table=table_name(dataset.name, dataset.generation),
            partition=row["_load_partition"],
            offset=row["_load_offset"],
        ),
    )


def _run(passport: Passport) -> models.LoadRun | None:
    run = passport.run
    return None if run is None else models.LoadRun(run=run.run, state=run.state, at=run.at, rows=run.rows)


def _made_of(found: Contribution) -> models.Contributors:
    items = [
        models.ContributingRow(
            id=f"{row[columns.PARTITION]}:{row[columns.OFFSET]}",
            seq=row[columns.SEQ],
            version=row[columns.VERSION],
            ingested_at=row[columns.INGESTED_AT],
        )
        for row in found.items
    ]
    return models.Contributors(
        dataset=found.dataset,
        sql=found.sql,
        rows=found.rows,
        later=found.later,
        items=items,
        notes=list(found.notes),
        error=found.error,
    )


def _base64(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()

"""Routes: exports that are made in the background, and their schedules. Each sees their own; an administrator all."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from headrace.access.book import Caller
from headrace.access.policy import Action
from headrace.contract.schedule import Schedule
from services.gateway.adapters.export_schedules import ExportSchedule, new_id
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Calling, Exporting, Parts, forbidden, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.exports import handed_on, no_such_column, sight_of
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.recording import AUDITED_READ, note
from services.gateway.core.export_jobs import BadRangeError, Job, State, byte_range, fetch_refusal
from services.gateway.core.exports import MEDIA_TYPES, NoSuchColumnError, Wanted
from services.gateway.export_worker import place
from services.gateway.gateway import Gateway

OwnedT = TypeVar("OwnedT", Job, ExportSchedule)

router = APIRouter(prefix=PREFIX, tags=["exports"])

_NOT_FOUND: Final = may_answer(HTTPStatus.NOT_FOUND)
_CONFLICT: Final = may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_FETCHING: Final[dict[int | str, dict[str, Any]]] = may_answer(
    HTTPStatus.CONFLICT, HTTPStatus.GONE, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
) | {
    status.value: {
        "description": said,
        "content": {media.partition(";")[0]: {"schema": {"type": "string"}} for media in MEDIA_TYPES.values()},
    }
    for status, said in ((HTTPStatus.OK, "The file."), (HTTPStatus.PARTIAL_CONTENT, "The part that was asked for."))
}


@router.post("/exports", status_code=HTTPStatus.ACCEPTED, summary="Export in the background", responses=_CONFLICT)
def start(body: models.NewExport, gateway: Parts, caller: Exporting) -> models.Export:
    """Have rows written to a file in the background. What you may export is asked again when it begins and when you fetch it."""
    _check(gateway, caller, body)
    job = Job(**_wanted(body, caller))
    note(export=job.id)
    gateway.exports.add(job)
    gateway.export_worker.wake()
    return _shown(gateway, job)


@router.get("/exports", summary="List exports", responses=may_answer())
def exports(
    gateway: Parts,
    caller: Calling,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most exports.")] = 100,
) -> models.Exports:
    """Your exports, newest first; an administrator's list has everybody's."""
    found = gateway.exports.of_owner(_whose(caller), limit, state)
    return models.Exports(items=[_shown(gateway, job) for job in found if _reaches(gateway, caller, job)])


@router.get("/exports/{id}", summary="Show an export", responses=_NOT_FOUND)
def show(id: models.ExportId, gateway: Parts, caller: Calling) -> models.Export:
    """How far it is, and what is known of its file."""
    return _shown(gateway, _job(gateway, caller, id))


@router.delete(
    "/exports/{id}", status_code=HTTPStatus.NO_CONTENT, summary="Cancel or remove an export", responses=_NOT_FOUND
)
def remove(id: models.ExportId, gateway: Parts, caller: Calling) -> Response:
    """Cancel it while it is made; else delete its file and forget it."""
    job = _job(gateway, caller, id)
    if not gateway.exports.cancel(id, datetime.now(UTC)):
        gateway.export_worker.remove(job)
        gateway.exports.remove(id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get(
    "/exports/{id}/file",
    summary="The file of an export",
    response_class=StreamingResponse,
    responses=_FETCHING | _NOT_FOUND,
    openapi_extra=AUDITED_READ,
)
def fetch(
    id: models.ExportId,
    gateway: Parts,
    caller: Calling,
    wanted: Annotated[
        str, Header(alias="Range", description="One range of bytes, to go on with a download.", max_length=100)
    ] = "",
    if_range: Annotated[
        str, Header(alias="If-Range", description="The range counts only for the file with this ETag.", max_length=100)
    ] = "",
) -> StreamingResponse:
    """Download the file; a download that broke off goes on with `Range`. `X-Headrace-Sha256` is that of the whole file."""
    job = _job(gateway, caller, id)
    part = _part(job)
    sight = caller.access.sight(Action.EXPORT, gateway.assets.of(job.dataset))
    if (told := fetch_refusal(job, sight)) is not None:
        raise forbidden(told)
    etag, size = f'"{part["sha256"]}"', int(part["size_bytes"])
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{job.file_name}"',
        "X-Headrace-Sha256": part["sha256"],
    }
    start, stop, status = 0, size, HTTPStatus.OK
    try:
        if (found := byte_range(wanted, size) if if_range in ("", etag) else None) is not None:
            start, stop, status = *found, HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    except BadRangeError as error:
        status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        raise ProblemError(status, "bad-range", "The file has no such part", str(error)) from error
    headers["Content-Length"] = str(stop - start)
    pieces = gateway.export_storages[job.destination].read(place(job), job.file_name, start, stop)
    try:
        first = next(pieces, b"")
    except FileNotFoundError as error:
        raise _gone(job) from error
    return StreamingResponse(handed_on(first, pieces), status, headers, MEDIA_TYPES[job.format])


@router.post(
    "/export-schedules", status_code=HTTPStatus.CREATED, summary="Export at times of a clock", responses=_CONFLICT
)
def schedule(body: models.NewExportSchedule, gateway: Parts, caller: Exporting) -> models.ExportSchedule:
    """Have a dataset exported at certain times, with what you may export then."""
    _check(gateway, caller, body)
    made = ExportSchedule(
        **_wanted(body, caller),
        cron=body.cron,
        timezone=body.timezone,
        paused=False,
        next_at=_next(body, datetime.now(UTC)),
    )
    note(schedule=made.id)
    gateway.export_schedules.add(made)
    return _schedule(made)


@router.get("/export-schedules", summary="List schedules of exports", responses=may_answer())
def schedules(gateway: Parts, caller: Calling) -> models.ExportSchedules:
    """Your schedules, the next to be due first; an administrator's list has everybody's."""
    found = gateway.export_schedules.of_owner(_whose(caller))
    return models.ExportSchedules(items=[_schedule(each) for each in found if _reaches(gateway, caller, each)])


@router.post("/export-schedules/{id}/pause", summary="Pause a schedule", responses=_NOT_FOUND)
def pause(id: models.ExportId, gateway: Parts, caller: Calling) -> models.ExportSchedule:
    """Let it rest. What it is making goes on."""
    found = _own_schedule(gateway, caller, id)
    gateway.export_schedules.pause(id, paused=True, next_at=found.next_at)
    return _schedule(_own_schedule(gateway, caller, id))


@router.post("/export-schedules/{id}/resume", summary="Resume a schedule", responses=_NOT_FOUND)
def resume(id: models.ExportId, gateway: Parts, caller: Calling) -> models.ExportSchedule:
    """Go on with the time that comes next; what passed meanwhile is not made up for."""
    found = _own_schedule(gateway, caller, id)
    gateway.export_schedules.pause(id, paused=False, next_at=found.after(datetime.now(UTC)))
    return _schedule(_own_schedule(gateway, caller, id))


@router.delete(
    "/export-schedules/{id}", status_code=HTTPStatus.NO_CONTENT, summary="Remove a schedule", responses=_NOT_FOUND
)
def unschedule(id: models.ExportId, gateway: Parts, caller: Calling) -> Response:
    """Take a schedule away. The exports it made stay."""
    _own_schedule(gateway, caller, id)
    gateway.export_schedules.remove(id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _wanted(body: models.NewExport, caller: Caller) -> dict[str, Any]:
    """What an export and a schedule of exports have in common."""
    return {
        "id": new_id(),
        "owner": caller.principal.id,
        "owner_name": caller.name,
        "token": caller.token.id if caller.token else None,
        "dataset": body.dataset,
        "format": body.format,
        "columns": tuple(body.columns),
        "condition": body.where,
        "destination": body.destination,
        "created_at": datetime.now(UTC),
    }


def _check(gateway: Gateway, caller: Caller, body: models.NewExport) -> None:
    """Errors: ProblemError and those of `ExportSource.plan`, when it could not be exported now."""
    note(datasets=[body.dataset])
    sight = sight_of(gateway, caller, body.dataset)
    if body.destination not in gateway.export_storages:
        detail = "no bucket is set here: see HEADRACE_EXPORT_BUCKET of the gateway, or choose the destination download"
        raise ProblemError(HTTPStatus.CONFLICT, "no-bucket", "There is no such destination", detail)
    try:
        wanted = Wanted(body.dataset, body.format, tuple(body.columns), body.where)
        gateway.export_source.plan(known(gateway.datasets, body.dataset), wanted, sight)
    except NoSuchColumnError as error:
        raise no_such_column(error) from error


def _next(body: models.NewExportSchedule, now: datetime) -> datetime:
    try:
        return Schedule(cron=body.cron, timezone=body.timezone).after(now)
    except (ValidationError, ValueError, OverflowError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "bad-schedule",
            "The schedule cannot be read",
            said.removeprefix("Value error, "),
        ) from error


def _whose(caller: Caller) -> str | None:
    return None if caller.access.may_everywhere(Action.ADMIN) else caller.principal.id


def _reaches(gateway: Gateway, caller: Caller, found: Job | ExportSchedule) -> bool:
    """Whether the token that somebody uses reaches what they own."""
    return _whose(caller) is None or caller.access.lets(Action.EXPORT, gateway.assets.of(found.dataset))


def _own(gateway: Gateway, caller: Caller, found: OwnedT | None, what: str) -> OwnedT:
    if found is None or _whose(caller) not in (None, found.owner) or not _reaches(gateway, caller, found):
        raise not_found(f"there is no {what}, or it is somebody else's")
    note(datasets=[found.dataset])
    return found


def _job(gateway: Gateway, caller: Caller, id: str) -> Job:
    return _own(gateway, caller, gateway.exports.get(id), f"export {id}")


def _own_schedule(gateway: Gateway, caller: Caller, id: str) -> ExportSchedule:
    return _own(gateway, caller, gateway.export_schedules.get(id), f"schedule {id}")


def _part(job: Job) -> dict[str, Any]:
    """What is known of the file. Errors: ProblemError when there is none, or it is elsewhere."""
    if job.state == "expired":
        raise _gone(job)
    if job.state != "done" or job.manifest is None:
        detail = f"export {job.id} is {job.state}{f': {job.error}' if job.error else ''}"
        raise ProblemError(HTTPStatus.CONFLICT, "not-ready", "The export has no file", detail)
    if job.destination != "download":
        detail = f"the file of export {job.id} is in the bucket, under `location`"
        raise ProblemError(HTTPStatus.CONFLICT, "elsewhere", "The file is not to be downloaded here", detail)
    part: dict[str, Any] = job.manifest["parts"][0]
    return part


def _gone(job: Job) -> ProblemError:
    detail = f"the file of export {job.id} was deleted when its time was over: make another"
    return ProblemError(HTTPStatus.GONE, "expired", "The file is gone", detail)


def _shown(gateway: Gateway, job: Job) -> models.Export:
    there = job.state == "done" and job.destination != "download"
    both = models.Export.model_fields.keys() & Job.__dataclass_fields__.keys() - {"owner", "columns"}
    return models.Export(
        **{name: getattr(job, name) for name in both},
        owner=job.owner_name,
        columns=list(job.columns),
        where=job.condition,
        location=gateway.export_storages[job.destination].url(place(job)) if there else None,
    )


def _schedule(found: ExportSchedule) -> models.ExportSchedule:
    both = models.ExportSchedule.model_fields.keys() & ExportSchedule.__dataclass_fields__.keys() - {
        "owner",
        "columns",
        "next_at",
    }
    return models.ExportSchedule(
        **{name: getattr(found, name) for name in both},
        owner=found.owner_name,
        columns=list(found.columns),
        where=found.condition,
        next_at=None if found.paused else found.next_at,
    )

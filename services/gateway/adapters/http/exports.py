"""Routes: rows of datasets as files."""

import asyncio
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from headrace.access.book import Caller
from headrace.access.policy import Action, Sight
from services.gateway.adapters.export_source import Opened
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Exporting, Parts, may_answer, permit
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.problems import ProblemError
from services.gateway.adapters.http.recording import AUDITED_READ
from services.gateway.core.completeness import Completeness
from services.gateway.core.exports import ENDINGS, MEDIA_TYPES, Format, NoSuchColumnError, Wanted
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["exports"])

_FILE: Final[dict[int | str, dict[str, Any]]] = {
    HTTPStatus.OK.value: {
        "description": "The file, as it is made. One that breaks off has no proper end: its last chunk is missing.",
        "content": {media.partition(";")[0]: {"schema": {"type": "string"}} for media in MEDIA_TYPES.values()},
    }
}
_EXPORTING: Final = may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE)
_HEADER_CHARACTERS: Final = 500


@router.get(
    "/datasets/{name}/export",
    summary="The rows of a dataset as a file",
    response_class=StreamingResponse,
    responses=_EXPORTING | _FILE,
    openapi_extra=AUDITED_READ,
)
def export(
    name: models.Name,
    gateway: Parts,
    caller: Exporting,
    form: Annotated[Format, Query(alias="format", description="How the rows are written.")] = "csv",
    columns: Annotated[
        str,
        Query(description="Only these columns, with commas between; else all but Headrace's own.", max_length=10_000),
    ] = "",
    where: Annotated[
        str, Query(description="Only rows that meet this condition, as it may follow WHERE.", max_length=10_000)
    ] = "",
) -> StreamingResponse:
    """Stream the rows that you may export, as a file. In CSV, texts that a spreadsheet would run begin with an apostrophe.

    Headers say how complete the rows are: `X-Headrace-Complete-Through` is there when all that the source had by then is among
    them; else `X-Headrace-Waiting-For` says what is under way. `X-Headrace-Masked-Columns` names columns that do not show every
    value.
    """
    wanted = Wanted(name, form, tuple(column for column in columns.split(",") if column), where)
    try:
        opened = gateway.export_source.open(known(gateway.datasets, name), wanted, sight_of(gateway, caller, name))
    except NoSuchColumnError as error:
        raise no_such_column(error) from error
    first = next(opened.pieces, b"")  # before the status is sent: what goes wrong at once is an error
    gateway.catalog.usage.record([name], caller.principal.id, caller.name, "exports", datetime.now(UTC))
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Content-Disposition": f'attachment; filename="{name}-{stamp}.{ENDINGS[form]}"',
        "Cache-Control": "no-store",
        **_told(opened),
    }
    return StreamingResponse(handed_on(first, opened.pieces), headers=headers, media_type=MEDIA_TYPES[form])


def sight_of(gateway: Gateway, caller: Caller, name: str) -> Sight:
    """What the caller may export of a dataset. Errors: ProblemError (403, 404)."""
    asset = gateway.assets.of(name)
    permit(caller, Action.EXPORT, asset)
    sight = caller.access.sight(Action.EXPORT, asset)
    assert sight is not None, "it is permitted"
    return sight


def no_such_column(error: NoSuchColumnError) -> ProblemError:
    """The answer for a column that is not there."""
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "no-such-column", "There is no such column", str(error))


async def handed_on(first: bytes, pieces: Generator[bytes]) -> AsyncIterator[bytes]:
    """The pieces as they are made. The query is stopped when nobody takes them any more."""
    # One thread makes all of them: the memory that is set free in a thread is not another's.
    making, loop = ThreadPoolExecutor(1), asyncio.get_running_loop()
    try:
        yield first
        while (piece := await loop.run_in_executor(making, next, pieces, None)) is not None:
            yield piece
    finally:
        making.submit(pieces.close)
        making.shutdown(wait=False)


def _told(opened: Opened) -> dict[str, str]:
    told: dict[str, Any] = completeness_headers(opened.completeness)
    if opened.plan.masked:
        told["X-Headrace-Masked-Columns"] = ",".join(opened.plan.masked)
    return {name: latin(value) for name, value in told.items()}


def completeness_headers(state: Completeness) -> dict[str, str]:
    """How complete rows are, as headers."""
    told = {
        "X-Headrace-Complete-Through": state.through and state.through.isoformat(),
        "X-Headrace-Loaded-At": state.loaded_at and state.loaded_at.isoformat(),
        "X-Headrace-Waiting-For": "; ".join(state.waiting_for),
    }
    return {"X-Headrace-Rows-In-Flight": str(state.in_flight)} | {name: value for name, value in told.items() if value}


def latin(text: str) -> str:
    """As a header may have it: on one line, and of few letters."""
    return " ".join(text.split())[:_HEADER_CHARACTERS].encode("ascii", "replace").decode()

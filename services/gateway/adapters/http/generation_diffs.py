"""Routes: what differs between two generations of a dataset."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from services.gateway.adapters.generations_compared import DiffRefusedError
from services.gateway.adapters.http.access import PREFIX, Parts, Reading, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.models.generation_diffs import DiffPart
from services.gateway.adapters.http.models.words import Name
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.streamed import described, streamed
from services.gateway.adapters.inquiry import Part

router = APIRouter(prefix=PREFIX, tags=["datasets"])

_ANSWER: Final = described(
    DiffPart, "A line of JSON for each part: `progress` as it goes on, then `report`, or `failure`."
)
_Generation = Annotated[int, Path(ge=1, description="The generation that is looked at.", examples=[2])]


@router.get(
    "/datasets/{name}/generations/{generation}/diff",
    summary="What differs between two generations",
    response_class=StreamingResponse,
    responses=_ANSWER | may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE),
)
def diff(
    name: Name,
    generation: _Generation,
    gateway: Parts,
    _: Reading,
    against: Annotated[
        int | None, Query(ge=1, description="The generation before it; the live one when not given.")
    ] = None,
    sample: Annotated[int, Query(ge=0, le=100, description="The most rows to show of each kind.")] = 20,
) -> StreamingResponse:
    """Rows added, removed and changed by key, in how many rows each column differs, sums of numbers, rows set aside by cause, and
    samples, over what both generations have got to. Changes nothing. To hang up ends it.

    Refused (409): while another comparison of the dataset runs (`diff-running`); for a generation that has no table yet
    (`nothing-loaded`); where nothing says which rows are the same (`no-match`); for a dataset that is loaded in runs (`in-runs`).
    """
    dataset = known(gateway.datasets, name)
    parts = gateway.diffs.parts(dataset, generation, against or dataset.generation, sample)
    try:
        return streamed(parts, lambda error: [Part("failure", {"code": "unavailable", "message": str(error)})])
    except DiffRefusedError as error:
        if error.not_found:
            raise not_found(str(error)) from error
        title = "The generations cannot be compared now"
        raise ProblemError(HTTPStatus.CONFLICT, error.code, title, str(error)) from error

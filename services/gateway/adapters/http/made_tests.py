"""Routes: tests that are made of rows."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Reading, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.recording import AUDITED_READ
from services.gateway.core.passport import Place, place_of
from services.gateway.made_tests import MadeTest, NoTestError
from services.gateway.passport import NoRecordError

router = APIRouter(prefix=PREFIX, tags=["books"])

_MAKING: Final = may_answer(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE)
_ROW_ID: Final = re.compile(r"(\d{1,9})-(\d{1,18})")
_Clear = Annotated[
    list[str], Query(description="A column that is to have its real values; repeat it for several.", max_length=100)
]


@router.get(
    "/datasets/{name}/rows/{row_id}/test",
    summary="A raw record as a test",
    responses=_MAKING,
    openapi_extra=AUDITED_READ,
)
def of_record(
    name: models.Name,
    row_id: Annotated[str, Path(description="Its partition:offset in the raw topic.", examples=["0:4711"])],
    gateway: Parts,
    _: Reading,
    clear: _Clear = [],  # noqa: B006 - FastAPI copies it
) -> models.MadeTest:
    """A test of what the live version makes of a record: what the transform reads of it, the rows of other datasets it needs,
    and what becomes of it. Columns that are confidential, or seem to hold personal data, have stand-ins of the same shape.

    It was run before it is answered. Where no test can be made that passes and says what became of the row, that is
    told (409), with the column whose stand-in changes it.
    """
    dataset, place = known(gateway.datasets, name), place_of(row_id)
    if place is None:
        raise not_found(f"{row_id} is no row of {name}: rows are named PARTITION:OFFSET, for example 0:4711")
    return _made(lambda: gateway.test_maker.of_record(dataset, place[0], clear))


@router.get(
    "/datasets/{name}/quarantine/{row_id}/test",
    summary="A quarantined row as a test",
    responses=_MAKING,
    openapi_extra=AUDITED_READ,
)
def of_quarantined(
    name: models.Name,
    row_id: Annotated[str, Path(description="Its id, partition-offset.", examples=["1-4711"])],
    gateway: Parts,
    _: Reading,
    clear: _Clear = [],  # noqa: B006 - FastAPI copies it
) -> models.MadeTest:
    """The same of a row that was set aside by the transformer or behind it."""
    dataset, place = known(gateway.datasets, name), _ROW_ID.fullmatch(row_id)
    if place is None:
        raise not_found(f"{name} has no quarantined row {row_id}; ids look like 1-4711")
    return _made(lambda: gateway.test_maker.of_quarantined(dataset, Place(int(place[1]), int(place[2])), clear))


def _made(make: Callable[[], MadeTest]) -> models.MadeTest:
    try:
        made = make()
    except NoRecordError as error:
        raise not_found(str(error)) from error
    except NoTestError as error:
        columns = [{"column": name} for name in error.columns]
        raise ProblemError(
            HTTPStatus.CONFLICT, "no-test", "No test can be made of the row", str(error), columns
        ) from error
    return models.MadeTest(
        dataset=made.dataset.name,
        id=str(made.place),
        version=made.dataset.version,
        outcome=str(made.outcome),
        recorded=str(made.recorded),
        masked=[models.MaskedColumn(column=name, why=why) for name, why in made.masked.items()],
        notes=list(made.notes),
        test=made.test.model_dump(mode="json", exclude_defaults=True),
    )

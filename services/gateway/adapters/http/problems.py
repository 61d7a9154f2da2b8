"""Decides how an error is answered: application/problem+json. Source: RFC 9457."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from headrace.errors import ContractError, Fatal, Transient
from headrace.sql_guard import RefusedQueryError
from services.gateway.adapters.warehouse import QueryError

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"


class Problem(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:headrace:problem:unavailable",
                "title": "A part Headrace needs is not reachable",
                "status": 503,
                "detail": "the warehouse at http://127.0.0.1:8123 cannot be reached: connection refused",
                "instance": "/api/v1/query",
                "request_id": "5f0c6d7e8a9b4c3d",
                "problems": [],
            }
        }
    )

    type: str = Field(description="The kind of problem, as a URN; `about:blank` when the title says it all.")
    title: str = Field(description="The kind of problem in words, the same each time.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time, and what to do about it.")
    instance: str = Field(description="The path of the request.")
    request_id: str = Field(description="Names the request in the gateway's log.")
    problems: list[dict[str, Any]] = Field(
        [], description="Every single fault where there are several, as an invalid dataset file has."
    )


class ProblemError(Exception):
    """A problem to answer with. `code` names its kind in the URN."""

    def __init__(
        self, status: HTTPStatus, code: str, title: str, detail: str, problems: Sequence[dict[str, Any]] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.problems = list(problems)


def not_found(what: str) -> ProblemError:
    """The answer for a thing that does not exist."""
    return ProblemError(HTTPStatus.NOT_FOUND, "not-found", "There is no such thing", what)


def install(app: FastAPI) -> None:
    """Answer every expected error of the app as a problem; `Requests` sees to the others."""
    app.add_exception_handler(ProblemError, _api_problem)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(ContractError, _invalid_dataset_file)
    app.add_exception_handler(RefusedQueryError, _refused_query)
    app.add_exception_handler(QueryError, _failed_query)
    app.add_exception_handler(Transient, _unavailable)
    app.add_exception_handler(SQLAlchemyError, _database_failed)
    app.add_exception_handler(Fatal, _fatal)


def answer(request: Request, problem: ProblemError, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response that tells of a problem."""
    body = Problem(
        type=f"urn:headrace:problem:{problem.code}" if problem.code else "about:blank",
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        instance=request.url.path,
        request_id=request.state.request_id,
        problems=problem.problems,
    )
    return JSONResponse(body.model_dump(), problem.status, headers, MEDIA_TYPE)


def _api_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
    return answer(request, error, headers)


def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [{"path": ".".join(str(part) for part in e["loc"]), "expected": e["msg"]} for e in error.errors()]
    said = "; ".join(f"{fault['path']}: {fault['expected']}" for fault in faults)
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return answer(request, ProblemError(status, "invalid-request", "The request is not valid", said, faults))


def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    problem = ProblemError(status, "", status.phrase, f"{request.method} {request.url.path}: {error.detail}")
    return answer(request, problem, dict(error.headers or {}))


def _invalid_dataset_file(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ContractError)
    faults = [
        {name: getattr(fault, name) for name in ("line", "column", "path", "found", "expected", "suggestion")}
        for fault in error.problems
    ]
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "The dataset file is not valid"
    return answer(request, ProblemError(status, "invalid-dataset-file", title, str(error), faults))


def _refused_query(request: Request, error: Exception) -> JSONResponse:
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return answer(request, ProblemError(status, "refused-query", "The query is not allowed", str(error)))


def _failed_query(request: Request, error: Exception) -> JSONResponse:
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return answer(request, ProblemError(status, "failed-query", "The warehouse refused the query", str(error)))


def _unavailable(request: Request, error: Exception) -> JSONResponse:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "A part Headrace needs is not reachable"
    return answer(request, ProblemError(status, "unavailable", title, str(error)), {"Retry-After": "2"})


def _database_failed(request: Request, error: Exception) -> JSONResponse:
    log.error("the gateway's database failed", exc_info=error, extra={"request_id": request.state.request_id})
    return _unavailable(request, Transient(f"the gateway's database does not answer ({type(error).__name__})"))


def _fatal(request: Request, error: Exception) -> JSONResponse:
    status = HTTPStatus.CONFLICT
    return answer(request, ProblemError(status, "conflict", "It cannot be done as things are", str(error)))


def bug(request: Request, error: Exception) -> JSONResponse:
    """The answer to an error nobody expected: its log tells what the caller need not know."""
    log.error("a request failed", exc_info=error, extra={"request_id": request.state.request_id})
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    detail = "This is a fault of the gateway. Its log tells more under the request id."
    return answer(request, ProblemError(status, "internal", "The gateway failed", detail))

"""Decides who may call: whoever has a bearer token, and the administrator for tokens and for applying."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.gateway.adapters.http.problems import MEDIA_TYPE, Problem, ProblemError
from services.gateway.adapters.token_store import Caller
from services.gateway.gateway import Gateway

PREFIX: Final = "/api/v1"  # everything under it needs a token
_BEARER: Final = HTTPBearer(auto_error=False, description="The administrator's token, or one made with POST /tokens.")


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _caller(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]) -> Caller:
    found = None if credentials is None else _gateway(request).tokens.caller(credentials.credentials)
    if found is None:
        detail = "send the header Authorization: Bearer <token>" if credentials is None else "this token is not known"
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "unauthorized", "A valid bearer token is needed", detail)
    request.state.caller = found  # for the audit
    return found


def _administrator(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    if not caller.is_admin:
        detail = f"{caller.name} is not the administrator"
        raise ProblemError(HTTPStatus.FORBIDDEN, "forbidden", "Only the administrator may do this", detail)
    return caller


Calling = Annotated[Caller, Depends(_caller)]
Administering = Annotated[Caller, Depends(_administrator)]
Parts = Annotated[Gateway, Depends(_gateway)]


def may_answer(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The problems a route may answer with, for its documentation."""
    always = (HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR)
    return {
        status.value: {
            "description": status.phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
        }
        for status in sorted({*always, *statuses})
    }

"""Decides who is calling, and whether they may do what a route does.

What a route needs stands in its signature (`Seeing`, `Querying` ...) and so in the API's description, as a scope of its security.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from headrace.access.book import Caller
from headrace.access.policy import Action, Asset
from services.gateway.adapters.http.problems import MEDIA_TYPE, Problem, ProblemError, not_found
from services.gateway.adapters.http.session_cookie import SCHEME, signed_in
from services.gateway.gateway import Gateway

PREFIX: Final = "/api/v1"  # everything under it needs a token
_BEARER: Final = HTTPBearer(auto_error=False, description="The administrator's token, or one made with POST /tokens.")

#: The scope of routes that look at single records: those are shown whole or not at all.
WHOLE: Final = "query:whole"
#: The scope of routes for which an action has to be granted on everything.
EVERYWHERE: Final = "admin:everywhere"


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _caller(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    cookie: Annotated[str | None, Security(SCHEME)],
    view_as: Annotated[
        str | None,
        Header(
            alias="X-View-As", max_length=100, description="For an administrator: answer as you would answer this user."
        ),
    ] = None,
) -> Caller:
    gateway, now = _gateway(request), datetime.now(UTC)
    if credentials is None:
        found = signed_in(request, gateway, cookie, now)
    else:
        found = gateway.access.bearer(credentials.credentials, now)
    if found is None:
        detail = (
            "sign in, or send the header Authorization: Bearer <token>"
            if credentials is None
            else "this token is not known"
        )
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED, "unauthorized", "A valid bearer token or a session is needed", detail
        )
    request.state.caller = found  # for the audit
    return found if view_as is None else _viewed(request, gateway, found, view_as)


def _viewed(request: Request, gateway: Gateway, caller: Caller, name: str) -> Caller:
    """Somebody else, as an administrator looks at the API with their eyes. Nothing can be changed that way."""
    if not caller.access.may_everywhere(Action.ADMIN):
        raise forbidden(f"{caller.name} is not an administrator: only they see with the eyes of others")
    if request.method not in ("GET", "HEAD") and request.url.path != f"{PREFIX}/query":
        raise forbidden("with the eyes of others one only looks: leave the header X-View-As out")
    book = gateway.access.book
    found = book.named(name)
    seen = None if found is None else book.caller(found.id)
    if seen is None:
        raise not_found(f"there is nobody active with the name or id {name[:100]!r}")
    request.state.seen_as = seen.name  # for the audit
    narrowed = replace(seen.access, limit=caller.access.limit)  # a token reaches no further with the eyes of others
    return replace(
        seen, principal=replace(seen.principal, name=f"{seen.name} (seen by {caller.name})"), access=narrowed
    )


def _permitted(request: Request, scopes: SecurityScopes, caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    """The caller, if they may do what the route does, with the dataset in its path if there is one."""
    name = request.path_params.get("name")
    for scope in scopes.scopes:
        action = Action(scope.partition(":")[0])
        if scope == EVERYWHERE:
            if not caller.access.may_everywhere(action):
                raise forbidden(f"{caller.name} is not an administrator")
        elif name is not None:
            permit(caller, action, _gateway(request).assets.of(name), whole=scope == WHOLE)
        elif not caller.access.may_somewhere(action):
            raise forbidden(f"{caller.name} may {action} no dataset: ask an administrator for a grant")
    return caller


def permit(caller: Caller, action: Action, asset: Asset, *, whole: bool = False) -> None:
    """Go on only if the caller may do this. `whole`: and sees all of the dataset. Errors: ProblemError."""
    if not caller.access.may(Action.SEE, asset):
        raise not_found(f"there is no dataset {asset.name}, or you may not see it")
    if not caller.access.may(action, asset):
        raise forbidden(f"{caller.name} may see {asset.name}, but not {action} it: ask its owner for a grant")
    if whole and not caller.access.sees_whole(action, asset):
        detail = f"single records are shown whole or not at all, and some of {asset.name} is hidden from {caller.name}"
        raise forbidden(f"{detail}: query the published table, or ask its owner for a grant without a condition")


def seen(caller: Caller, assets: Iterable[Asset]) -> set[str]:
    """The names of those that the caller may see."""
    return {asset.name for asset in assets if caller.access.may(Action.SEE, asset)}


def forbidden(detail: str) -> ProblemError:
    """The answer to somebody who may not do what they ask for."""
    return ProblemError(HTTPStatus.FORBIDDEN, "forbidden", "You may not do this", detail)


Calling = Annotated[Caller, Security(_permitted)]
Seeing = Annotated[Caller, Security(_permitted, scopes=[Action.SEE.value])]
Querying = Annotated[Caller, Security(_permitted, scopes=[Action.QUERY.value])]
Reading = Annotated[Caller, Security(_permitted, scopes=[WHOLE])]
Exporting = Annotated[Caller, Security(_permitted, scopes=[Action.EXPORT.value])]
Editing = Annotated[Caller, Security(_permitted, scopes=[Action.EDIT.value])]
Operating = Annotated[Caller, Security(_permitted, scopes=[Action.OPERATE.value])]
Trying = Annotated[Caller, Security(_permitted, scopes=[Action.EDIT.value, WHOLE])]
Repairing = Annotated[Caller, Security(_permitted, scopes=[Action.OPERATE.value, WHOLE])]
Governing = Annotated[Caller, Security(_permitted, scopes=[Action.ADMIN.value])]
Administering = Annotated[Caller, Security(_permitted, scopes=[EVERYWHERE])]
Parts = Annotated[Gateway, Depends(_gateway)]


def may_answer(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The problems a route may answer with, for its documentation."""
    always = (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
    return {
        status.value: {
            "description": status.phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
        }
        for status in sorted({*always, *statuses})
    }

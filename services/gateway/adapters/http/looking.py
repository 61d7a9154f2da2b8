"""Decides who looks at the catalog: until the gateway asks the policy everywhere, whoever may call sees everything."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from headrace.access.book import Caller, Principal
from headrace.access.policy import EVERYTHING, Access, Action, Grant
from services.gateway.adapters.http import access, models
from services.gateway.adapters.http.problems import ProblemError, not_found


def caller_of(caller: access.Calling) -> Caller:
    role = "admin" if caller.is_admin else "analyst"
    return Caller(
        Principal(caller.name, "user", caller.name), Access((Grant("g", f"user:{caller.name}", role, EVERYTHING),))
    )


Calling = Annotated[Caller, Depends(caller_of)]


def _for(action: Action):  # type: ignore[no-untyped-def]
    def check(name: models.Name, request: Request, caller: Calling) -> Caller:
        entry = request.app.state.gateway.catalog.listing.entries().get(name)
        if entry is None or not caller.access.may(Action.SEE, entry.asset):
            raise not_found(f"there is no dataset {name}")
        if not caller.access.may(action, entry.asset):
            raise ProblemError(HTTPStatus.FORBIDDEN, "forbidden", "You may not do this", f"you may not {action} {name}")
        return caller

    return check


Seeing = Annotated[Caller, Depends(_for(Action.SEE))]
Querying = Annotated[Caller, Depends(_for(Action.QUERY))]

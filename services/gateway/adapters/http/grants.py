"""Routes: what is granted, and what follows from it."""

import secrets
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query

from headrace.access import policy
from headrace.access.book import AccessBook, Caller
from headrace.access.policy import ACTIONS, CLEARANCES, ROLES, Action, Asset, Rows, Scope
from headrace.stream.columns import MARKS, TRANSFORMED_FIELDS
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Calling, Governing, Parts, forbidden, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.problems import not_found
from services.gateway.adapters.http.recording import note
from services.gateway.adapters.http.users import named, shown
from services.gateway.core.row_filters import checked_rows
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["access"])


@router.get("/roles", summary="List roles", responses=may_answer())
def roles(_: Calling) -> models.Roles:
    """What each role may do, and up to which classification it sees values unless a grant says otherwise."""
    told = {role: models.RoleTold(actions=sorted(ACTIONS[role]), clearance=CLEARANCES[role]) for role in ROLES}
    return models.Roles(items=told)


@router.get("/grants", summary="List grants", responses=may_answer())
def grants(
    gateway: Parts,
    caller: Governing,
    to: Annotated[str | None, Query(description="Only those for this user.", max_length=100)] = None,
) -> models.Grants:
    """What was granted within the scopes that you govern, by whom it is for."""
    book = gateway.access.book
    wanted = None if to is None else f"user:{named(book, to).id}"
    within = [
        each for each in book.grants.values() if caller.access.may_grant(each.scope) and wanted in (None, each.to)
    ]
    return models.Grants(items=[_told(book, each) for each in sorted(within, key=lambda each: (each.to, each.id))])


@router.post("/grants", summary="Grant a role", status_code=HTTPStatus.CREATED, responses=may_answer())
def grant(body: models.NewGrant, gateway: Parts, caller: Governing) -> models.Grant:
    """A role within a scope, for somebody or for a group. It is known to every service within two seconds.

    Grants add up. A condition on rows is one expression over the columns of the published table (422 otherwise).
    """
    scope, book = Scope.parse(body.scope), gateway.access.book
    _permit(caller, scope)
    kind, _, name = body.to.partition(":")
    to = f"user:{named(book, name).id}" if kind == "user" else body.to
    rows = checked_rows(body.rows, _columns(gateway, scope)) if body.rows.strip() else ""
    made = policy.Grant(f"g-{secrets.token_hex(8)}", to, body.role, scope, rows, body.clearance)
    gateway.access.put(caller.name, datetime.now(UTC), made)
    note(after=_told(gateway.access.book, made).model_dump(mode="json"))
    return _told(gateway.access.book, made)


@router.delete(
    "/grants/{grant_id}", summary="Take a grant back", status_code=HTTPStatus.NO_CONTENT, responses=may_answer()
)
def revoke(
    grant_id: Annotated[str, Path(description="The grant's id.", max_length=100)], gateway: Parts, caller: Governing
) -> None:
    """From now on nothing is allowed because of it; every service knows it within two seconds."""
    found = gateway.access.book.grants.get(grant_id)
    if found is None or not caller.access.may_grant(found.scope):
        raise not_found(f"there is no grant {grant_id} within what you govern")
    note(before=_told(gateway.access.book, found).model_dump(mode="json"))
    gateway.access.remove(caller.name, datetime.now(UTC), found)


@router.get("/datasets/{name}/access", summary="Who may do what with a dataset", responses=may_answer())
def of_dataset(name: models.Name, gateway: Parts, _: Governing) -> models.DatasetAccesses:
    """Everybody who may do anything with it, what they see of it, and because of which grants."""
    known(gateway.datasets, name)
    asset, book = gateway.assets.of(name), gateway.access.book
    everybody = sorted(book.principals.values(), key=lambda each: each.name.casefold())
    callers = [caller for each in everybody if (caller := book.caller(each.id)) is not None]
    return models.DatasetAccesses(
        items=[_access(book, caller, asset) for caller in callers if caller.access.may(Action.SEE, asset)]
    )


def _columns(gateway: Gateway, scope: Scope) -> list[str]:
    """The columns that a condition within the scope may name; none when it is over several tables, or one nobody knows yet."""
    columns = gateway.assets.of(scope.name).columns if scope.kind == "dataset" else {}
    return [*columns, *(field.name for field in (*TRANSFORMED_FIELDS, *MARKS))] if columns else []


def _permit(caller: Caller, scope: Scope) -> None:
    if not caller.access.may_grant(scope):
        raise forbidden(f"{caller.name} does not govern {scope}: only its administrator grants anything within it")


def _access(book: AccessBook, caller: Caller, asset: Asset) -> models.DatasetAccess:
    sight = caller.access.sight(Action.QUERY, asset)
    told = None
    if sight is not None:
        told = models.Sight(
            rows=_conditions(sight.rows),
            masked={column: _conditions(where) or [] for column, where in sight.masked.items()},
            records=caller.access.sees_whole(Action.QUERY, asset),
        )
    because = [_told(book, each) for each in caller.access.grants if each.scope.covers(asset)]
    actions = [action for action in Action if caller.access.may(action, asset)]
    return models.DatasetAccess(user=shown(caller.principal), actions=actions, sight=told, because=because)


def _conditions(rows: Rows) -> list[str] | None:
    return None if rows == "all" else list(rows)


def _told(book: AccessBook, grant: policy.Grant) -> models.Grant:
    kind, _, name = grant.to.partition(":")
    if kind == "user":
        name = book.principals[name].name if name in book.principals else ""
    return models.Grant(
        id=grant.id,
        to=grant.to,
        name=name,
        role=grant.role,
        scope=str(grant.scope),
        rows=grant.rows,
        clearance=grant.clearance or CLEARANCES[grant.role],
    )

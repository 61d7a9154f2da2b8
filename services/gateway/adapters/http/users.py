"""Routes: who there is."""

import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from headrace.access.book import AccessBook, Principal
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Administering, Calling, Parts, may_answer
from services.gateway.adapters.http.problems import not_found
from services.gateway.adapters.http.recording import note

router = APIRouter(prefix=PREFIX, tags=["access"])

UserId = Annotated[str, Path(description="Their id.", max_length=100, examples=["u-9f86d081884c7d65"])]
_CHANGING = may_answer(HTTPStatus.CONFLICT)


@router.get("/users", summary="List users and service accounts", responses=may_answer())
def users(gateway: Parts, _: Administering) -> models.Users:
    """Everybody who can be granted something, by name; not the administrator's token of the settings."""
    everybody = sorted(gateway.access.book.principals.values(), key=lambda each: each.name.casefold())
    return models.Users(items=[shown(each) for each in everybody])


@router.get("/me", summary="Show who you are", responses=may_answer())
def me(caller: Calling) -> models.User:
    """Whom your token or session stands for."""
    return shown(caller.principal)


@router.post("/users", summary="Add a user or a service account", status_code=HTTPStatus.CREATED, responses=_CHANGING)
def add(body: models.NewUser, gateway: Parts, caller: Administering) -> models.User:
    """Somebody new, who may do nothing until it is granted. Refused when the name is taken (409)."""
    kind = "u" if body.kind == "user" else "s"
    principal = Principal(f"{kind}-{secrets.token_hex(8)}", body.kind, body.name, body.email, tuple(body.groups))
    gateway.access.add_principal(caller.name, datetime.now(UTC), principal)
    note(after=asdict(principal))
    return shown(principal)


@router.patch("/users/{user_id}", summary="Change a user or a service account", responses=_CHANGING)
def change(user_id: UserId, body: models.UserChange, gateway: Parts, caller: Administering) -> models.User:
    """Another name, address or groups; or whether they may do anything at all."""
    fields = body.model_dump(exclude_none=True)
    if "groups" in fields:
        fields["groups"] = tuple(fields["groups"])
    standing = gateway.access.book.principals.get(user_id)
    note(before=standing and asdict(standing))
    changed = gateway.access.change_principal(caller.name, datetime.now(UTC), user_id, **fields)
    if changed is None:
        raise not_found(f"there is nobody with the id {user_id}")
    if not changed.active:
        gateway.sign_in.end_all(user_id)
    note(after=asdict(changed))
    return shown(changed)


@router.delete(
    "/users/{user_id}",
    summary="Remove a user or a service account",
    status_code=HTTPStatus.NO_CONTENT,
    responses=_CHANGING,
)
def remove(user_id: UserId, gateway: Parts, caller: Administering) -> None:
    """With their tokens and what was granted to them. To only keep them out for a while, make them inactive."""
    standing = gateway.access.book.principals.get(user_id)
    note(before=standing and asdict(standing))
    found = gateway.access.remove_principal(caller.name, datetime.now(UTC), user_id)
    gateway.sign_in.forget(user_id)  # also where that failed the last time
    if not found:
        raise not_found(f"there is nobody with the id {user_id}")


def shown(principal: Principal) -> models.User:
    """Somebody, as the API tells it."""
    return models.User(
        id=principal.id,
        kind=principal.kind,
        name=principal.name,
        email=principal.email,
        groups=list(principal.groups),
        active=principal.active,
    )


def named(book: AccessBook, name: str) -> Principal:
    """Somebody by name or id. Errors: ProblemError (404)."""
    if (found := book.named(name)) is None:
        raise not_found(f"there is nobody with the name or id {name[:100]!r}; see: headrace access users")
    return found

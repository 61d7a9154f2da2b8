"""Routes: bearer tokens."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from headrace.access import book
from headrace.access.book import Caller, Principal
from headrace.access.policy import Action, Scope
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Calling, Parts, forbidden, may_answer
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.recording import note
from services.gateway.adapters.http.users import named
from services.gateway.gateway import Gateway

router = APIRouter(prefix=PREFIX, tags=["access"])


@router.post("/tokens", summary="Make a token", status_code=HTTPStatus.CREATED, responses=may_answer())
def create(body: models.NewToken, gateway: Parts, caller: Calling) -> models.CreatedToken:
    """A new bearer token, with 256 random bits. It is shown this once: only a keyed hash of it is kept.

    It may be used for what its owner may do, as far as its actions and scopes reach. Made with a token, it reaches no further.
    """
    owner, now = _owner(gateway, caller, body.owner), datetime.now(UTC)
    if body.expires_at is not None and body.expires_at <= now:
        detail = f"it would have expired at {body.expires_at.isoformat()}: name a moment to come, or leave it out"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "expired", "The token would be worth nothing", detail)
    scopes = [Scope.parse(text) for text in body.scopes]
    _refuse_wider(caller, body.actions, scopes)
    limited = caller.token.expires_at if caller.token is not None else None
    expires_at = min((each for each in (body.expires_at, limited) if each is not None), default=None)
    actions = [action for action in Action if action in body.actions]
    by = caller.token.id if caller.token is not None else ""
    made, bearer = gateway.access.new_token(caller.name, now, owner.id, body.name, actions, scopes, expires_at, by)
    note(after=_fields(gateway, made))
    return models.CreatedToken(**_fields(gateway, made), token=bearer)


@router.get("/tokens", summary="List tokens", responses=may_answer())
def tokens(gateway: Parts, caller: Calling) -> models.Tokens:
    """Your own; all of them for an administrator."""
    standing = gateway.access.book.tokens.values()
    mine = [each for each in standing if _rules(caller) or each.owner == caller.principal.id]
    return models.Tokens(
        items=[models.Token(**_fields(gateway, each)) for each in sorted(mine, key=lambda each: each.created_at)]
    )


@router.delete(
    "/tokens/{token_id}", summary="Revoke a token", status_code=HTTPStatus.NO_CONTENT, responses=may_answer()
)
def revoke(
    token_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", examples=["9f86d081884c7d65"])],
    gateway: Parts,
    caller: Calling,
) -> None:
    """Make a token worthless, and those that were made with it. Every service refuses them within two seconds.

    With a token, those that reach no further than it.
    """
    found = gateway.access.book.tokens.get(token_id)
    if found is None or not (_rules(caller) or found.owner == caller.principal.id):
        raise not_found(f"there is no token {token_id}, or it is not yours")
    if caller.token is None or caller.token.id != token_id:
        _refuse_wider(caller, list(found.actions), list(found.scopes))
    note(before=_fields(gateway, found))
    gateway.access.revoke_token(caller.name, datetime.now(UTC), token_id)


def _rules(caller: Caller) -> bool:
    return caller.access.may_everywhere(Action.ADMIN)


def _owner(gateway: Gateway, caller: Caller, name: str | None) -> Principal:
    """Whom a new token stands for. Errors: ProblemError."""
    theirs = (caller.principal.id, caller.principal.name)
    if name is not None and name not in theirs:
        if not _rules(caller):
            raise forbidden(f"{caller.name} is not an administrator: only they make tokens for others")
        return named(gateway.access.book, name)
    if caller.principal.id not in gateway.access.book.principals:
        detail = "the administrator of the settings has one token: name an owner, such as a service account"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "no-owner", "Whom does the token stand for?", detail)
    return caller.principal


def _refuse_wider(caller: Caller, actions: list[Action], scopes: list[Scope]) -> None:
    """A token makes and revokes none that reaches further than itself. Errors: ProblemError."""
    limit = caller.access.limit
    if limit is None:
        return
    wider = not limit.actions.issuperset(actions)
    if wider or not all(any(own.holds(scope) for own in limit.scopes) for scope in scopes):
        raise forbidden(
            "a token makes and revokes none that reaches further than itself: sign in, or use one that does"
        )


def _fields(gateway: Gateway, token: book.Token) -> dict[str, object]:
    owner = gateway.access.book.principals.get(token.owner)
    return {
        "id": token.id,
        "name": token.name,
        "owner": token.owner if owner is None else owner.name,
        "actions": list(token.actions),
        "scopes": [str(scope) for scope in token.scopes],
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": gateway.access.uses().get(token.id),
    }
